"""`AiohttpTransport`, the fast transport on asyncio.

Imported only if it is asked for, because aiohttp is an extra.
"""

import asyncio
import base64
import ssl
from typing import Self, cast

import aiohttp
import anyio
import httpx
from aiohttp.connector import Connection
from aiohttp.http_exceptions import LineTooLong
from multidict import CIMultiDict
from yarl import URL

from plastiq_async._call import current_call
from plastiq_async._request import TIMEOUTS
from plastiq_async._transport.aiohttp_connector import Connector, Protocol
from plastiq_async._transport.bounded import (
    MAX_HEADER,
    MAX_HEADERS,
    HeadTooLargeError,
    PoolTransport,
)
from plastiq_async._transport.failures import reason_of
from plastiq_async._transport.trace_check import (
    ForeignResponseError,
    Verdict,
    check_trace_id,
)
from plastiq_async.errors import ConfigurationError

# Larger bodies hold up the event loop if they are sent at once, as aiohttp warns.
_LARGE = 64 * 1024


class AiohttpTransport(PoolTransport):
    """Sends requests with aiohttp, and raises httpx's errors."""

    def __init__(
        self, context: ssl.SSLContext, proxy: httpx.Proxy | None, max_connections: int
    ) -> None:
        self._context = context
        self._proxy = None if proxy is None else str(proxy.url)
        self._proxy_headers = () if proxy is None else _proxy_headers(proxy)
        self._max_connections = max_connections
        self._session: aiohttp.ClientSession | None = None

    @property
    def idle_connections(self) -> int:
        """The number of idle connections."""
        connector = self._session.connector if self._session else None
        return cast("Connector", connector).idle_connections if connector else 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`, and return the response before its body is read."""
        if self._session is None:
            self._session = self._open_session()
        headers = CIMultiDict(
            (key.decode(), value.decode()) for key, value in request.headers.raw
        )
        if self._proxy_headers and request.url.scheme == "http":
            # aiohttp sends its `proxy_headers` with CONNECT only.
            missing = [one for one in self._proxy_headers if one[0] not in headers]
            headers.extend(missing)
        try:
            response = await self._session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=headers,
                data=_body_of(request),
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

    async def close_idle(self, *, unused_since: float) -> None:
        """Close the idle connections without a response since then."""
        # A request was sent, so there is a session.
        session = cast("aiohttp.ClientSession", self._session)
        cast("Connector", session.connector).close_idle(unused_since)

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
            connector=Connector(self._context, self._max_connections),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            request_class=_Request,
            response_class=_Response,
            skip_auto_headers=("User-Agent",),
            max_line_size=MAX_HEADER,
            max_field_size=MAX_HEADER,
            max_headers=MAX_HEADERS,
            timeout=aiohttp.ClientTimeout(sock_connect=TIMEOUTS["connect"]),
        )
        # aiohttp would send a GET or a DELETE twice without the call being told.
        session._retry_connection = False  # noqa: SLF001 -- there is no argument for it
        return session


def _body_of(request: httpx.Request) -> bytes | httpx.AsyncByteStream | None:
    """Return the body of `request`, in pieces if it is large."""
    content = request.content
    if len(content) > _LARGE:
        return cast("httpx.AsyncByteStream", request.stream)
    return content or None


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
    """Return httpx's error for one of aiohttp's, without its text.

    The text may show request headers or the response, unlike that of an `OSError`.
    """
    name = type(error).__name__
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return httpx.ProxyError(str(error.status))
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return httpx.ConnectTimeout("")
    if isinstance(error, aiohttp.ClientConnectorError):
        return httpx.ConnectError(reason_of(error.os_error))
    if isinstance(error, aiohttp.ClientConnectionError):
        reason = reason_of(error) if isinstance(error, OSError) else None
        return httpx.ReadError(reason or name)
    return httpx.RemoteProtocolError(name)


def _is_too_large(error: aiohttp.ClientResponseError) -> bool:
    """Tell whether aiohttp refused to read on, since a header is one too many."""
    reason = error.__cause__ and error.__cause__.__cause__
    return isinstance(reason, LineTooLong) or "Too many headers" in str(reason)


def _proxy_headers(proxy: httpx.Proxy) -> tuple[tuple[str, str], ...]:
    """Return the headers for `proxy`. aiohttp's parameter for auth is deprecated."""
    headers = tuple(proxy.headers.multi_items())
    if proxy.raw_auth is None:
        return headers
    credentials = base64.b64encode(b":".join(proxy.raw_auth)).decode()
    return ("Proxy-Authorization", f"Basic {credentials}"), *headers


class _Request(aiohttp.ClientRequest):
    """A request that has no ``Content-Length: 0`` if a DELETE has no body."""

    GET_METHODS = aiohttp.ClientRequest.GET_METHODS | {"DELETE"}


class _Response(aiohttp.ClientResponse):
    """A response whose trace ID is checked before its connection is used again.

    Its errors quote nothing that came over the wire, since aiohttp's instrumentation
    sees them before we do.
    """

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        protocol = cast("Protocol", connection.protocol)
        failure: Exception | None = None
        try:
            await super().start(connection)
        except aiohttp.ClientResponseError as error:
            failure = (
                HeadTooLargeError()
                if _is_too_large(error)
                else aiohttp.ClientPayloadError("no valid HTTP")
            )
        if failure:
            raise failure
        verdict = check_trace_id(
            current_call.get(), self.status, self.raw_headers, reused=protocol.used
        )
        # It is the server's text, and aiohttp's instrumentation records it.
        self.reason = ""
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
