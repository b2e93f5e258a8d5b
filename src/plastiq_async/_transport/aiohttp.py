"""`AiohttpTransport`, the fast transport on asyncio.

Imported only if it is asked for, because aiohttp is an extra.
"""

import asyncio
import base64
import functools
import socket
import ssl
from typing import Self, cast

import aiohttp
import anyio
import httpx
from aiohttp.abc import ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import AddrInfoType, Connection
from aiohttp.tracing import Trace
from multidict import CIMultiDict
from yarl import URL

from plastiq_async._call import current_call
from plastiq_async._request import TIMEOUTS
from plastiq_async._transport.settings import KEEP_ALIVE, SOCKET_OPTIONS
from plastiq_async._transport.trace_check import (
    ForeignResponseError,
    Verdict,
    check_trace_id,
)
from plastiq_async.errors import ConfigurationError

# After these, nothing of the request can have arrived.
_UNSENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
)


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends requests with aiohttp, and raises httpx's errors."""

    def __init__(
        self, context: ssl.SSLContext, proxy: httpx.Proxy | None, max_connections: int
    ) -> None:
        self._context = context
        self._proxy = None if proxy is None else str(proxy.url)
        self._proxy_headers = None if proxy is None else _proxy_headers(proxy)
        self._max_connections = max_connections
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`, and return the response before its body is read."""
        if self._session is None:
            self._session = self._open_session()
        headers = ((key.decode(), value.decode()) for key, value in request.headers.raw)
        try:
            response = await self._session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=CIMultiDict(headers),
                data=request.content or None,
                allow_redirects=False,
                proxy=self._proxy,
                proxy_headers=self._proxy_headers,
            )
        except (aiohttp.ClientError, ValueError) as error:
            failure = _translated(error)
        else:
            return httpx.Response(
                response.status, headers=response.raw_headers, stream=_Body(response)
            )
        # Not chained, since the repr of some of aiohttp's errors shows request headers
        # or the proxy's password.
        raise failure

    async def aclose(self) -> None:
        """Close all connections, even if the caller is cancelled."""
        if self._session is not None:
            # asyncio.gather inside would make anyio's cancellation unrecognizable.
            with anyio.CancelScope(shield=True):
                await self._session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            msg = 'transport="aiohttp" works on asyncio only'
            raise ConfigurationError(msg) from None
        session = aiohttp.ClientSession(
            connector=_Connector(self._context, self._max_connections),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            request_class=_Request,
            response_class=_Response,
            skip_auto_headers=("User-Agent",),
            timeout=aiohttp.ClientTimeout(sock_connect=TIMEOUTS["connect"]),
        )
        # aiohttp would send a GET or a DELETE twice without the call being told.
        session._retry_connection = False  # noqa: SLF001 -- there is no argument for it
        return session


class _Body(httpx.AsyncByteStream):
    """The body of a response. Closing it unread closes the connection."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._response.content.readany()
        except aiohttp.ClientError as error:
            failure = _translated(error)
            # aiohttp raises the same object after each close, and its traceback would
            # collect the frames of all these calls.
            error.__traceback__ = None
        else:
            if chunk:
                return chunk
            raise StopAsyncIteration
        raise failure

    async def aclose(self) -> None:
        self._response.close()


def _translated(error: Exception) -> httpx.TransportError:
    """Return httpx's error for one of aiohttp's, without its text."""
    name = type(error).__name__
    if isinstance(error, _UNSENT):
        reason = error.strerror if isinstance(error, OSError) else None
        return httpx.ConnectError(f"{name}, {reason}" if reason else name)
    if isinstance(error, aiohttp.ClientConnectionError):
        return httpx.ReadError(name)
    return httpx.RemoteProtocolError(name)


def _proxy_headers(proxy: httpx.Proxy) -> dict[str, str]:
    """Return the headers for `proxy`. aiohttp's parameter for auth is deprecated."""
    headers = dict(proxy.headers)
    if proxy.raw_auth is not None:
        credentials = base64.b64encode(b":".join(proxy.raw_auth)).decode()
        headers["Proxy-Authorization"] = f"Basic {credentials}"
    return headers


class _Protocol(ResponseHandler):
    """A connection."""

    # Whether it carried a response, and the body of the latest one.
    used = False
    reader: aiohttp.StreamReader | None = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tell the reader of the body that no more will come.

        aiohttp does not if it closes the connection itself, because the chunks of a
        body do not match their lengths.
        """
        super().connection_lost(exc)
        reader = self.reader
        if reader and not reader.is_eof() and reader.exception() is None:
            reader.set_exception(aiohttp.ClientPayloadError("the body was cut off"))


class _Connector(aiohttp.TCPConnector):
    """Returns no connection on which unrequested bytes arrived."""

    def __init__(self, context: ssl.SSLContext, limit: int) -> None:
        super().__init__(
            ssl=context,
            limit=limit,
            keepalive_timeout=KEEP_ALIVE,
            socket_factory=_make_socket,
            resolver=_Resolver(),
        )
        factory = functools.partial(_Protocol, loop=self._loop)
        self._factory = cast("functools.partial[ResponseHandler]", factory)

    async def connect(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = cast("_Protocol", connection.protocol)
            if not (protocol.used and protocol.should_close):
                current_call.get().sending()
                return connection
            connection.close()


def _make_socket(address: AddrInfoType) -> socket.socket:
    made = socket.socket(*address[:3])
    for option in SOCKET_OPTIONS:
        made.setsockopt(*option)
    return made


class _Resolver(aiohttp.ThreadedResolver):
    """Resolves names within the connect timeout, which aiohttp's does not include."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        with anyio.fail_after(TIMEOUTS["connect"]):
            return await super().resolve(host, port, family)


class _Request(aiohttp.ClientRequest):
    """A request that has no ``Content-Length: 0`` if a DELETE has no body."""

    GET_METHODS = aiohttp.ClientRequest.GET_METHODS | {"DELETE"}


class _Response(aiohttp.ClientResponse):
    """A response whose trace ID is checked before its connection is used again.

    Its errors quote nothing that came over the wire, since aiohttp's instrumentation
    sees them before we do.
    """

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        protocol = cast("_Protocol", connection.protocol)
        failure = None
        try:
            await super().start(connection)
        except aiohttp.ClientResponseError:
            failure = aiohttp.ClientPayloadError("no valid HTTP")
        if failure:
            raise failure
        verdict = check_trace_id(
            current_call.get(), self.status, self.raw_headers, reused=protocol.used
        )
        protocol.used = True
        protocol.reader = self.content
        if verdict is not Verdict.KEEP:
            if self.connection is None:
                # The body is complete, and the connection is back in the pool.
                protocol.close()
            else:
                protocol.force_close()
        if verdict is Verdict.REFUSE:
            raise ForeignResponseError
        return self
