"""The fast transport on asyncio: httpx-aiohttp, with its edges taken off.

Imported only when it is asked for, since aiohttp is an extra.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from typing import TYPE_CHECKING, cast
from weakref import WeakSet

import aiohttp
import anyio
import httpx
from httpx_aiohttp import AiohttpTransport

from plastiq_async._call import exchanging
from plastiq_async._protocol import is_success
from plastiq_async._request import TIMEOUTS
from plastiq_async.errors import ConfigurationError

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import AddrInfoType, Connection
    from aiohttp.tracing import Trace

# After these, nothing of the request can have arrived.
_UNSENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
)


class AiohttpPool(AiohttpTransport):
    """`AiohttpTransport` with a session of our making and the errors of httpx.

    Args:
        context: The TLS settings.
        proxy: The proxy to go through.
        max_connections: How many connections there may be.
        keep_alive: Seconds for which an idle connection is kept.
        socket_options: What to set on each socket.
        verify_trace_id: Whether a connection whose answer has no trace ID is not to be
            used again.
    """

    def __init__(
        self,
        *,
        context: ssl.SSLContext,
        proxy: httpx.Proxy | None,
        max_connections: int,
        keep_alive: float,
        socket_options: list[tuple[int, int, int]],
        verify_trace_id: bool,
    ) -> None:
        super().__init__(
            verify=context,
            proxy=proxy and _with_auth_in_headers(proxy),
            client=self._make_client,
        )
        self._max_connections = max_connections
        self._keep_alive = keep_alive
        self._options = socket_options
        self._response_class = _Response if verify_trace_id else _AnyResponse

    def _make_client(self) -> aiohttp.ClientSession:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            msg = 'transport="aiohttp" works on asyncio only'
            raise ConfigurationError(msg) from None
        return aiohttp.ClientSession(
            connector=_Connector(
                ssl=self.ssl_context,
                limit=self._max_connections,
                keepalive_timeout=self._keep_alive,
                socket_factory=self._make_socket,
                resolver=_Resolver(),
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent",),
            response_class=self._response_class,
        )

    def _make_socket(self, address: AddrInfoType) -> socket.socket:
        family, kind, protocol, *_ = address
        made = socket.socket(family, kind, protocol)
        for option in self._options:
            made.setsockopt(*option)
        return made

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Exchange one request; whatever aiohttp raises comes out as httpx's own."""
        # Not before there is a connection.
        exchanging.get().in_flight = False
        try:
            return await super().handle_async_request(request)
        except (httpx.HTTPError, aiohttp.ClientError, ValueError) as error:
            failure = _translated(error.__cause__ or error)
        # Not chained: the representation of some of aiohttp's holds request headers
        # or the proxy's password.
        raise failure

    async def aclose(self) -> None:
        """Close all connections, even for somebody who is cancelled.

        What asyncio.gather makes of a cancellation within, anyio would not recognize.
        """
        with anyio.CancelScope(shield=True):
            await super().aclose()


def _translated(error: BaseException) -> httpx.TransportError:
    """Return httpx's error for one of aiohttp's.

    httpx-aiohttp makes a ConnectTimeout of a dropped connection, which would read as
    "never sent", and lets others through.
    """
    name = type(error).__name__
    if isinstance(error, _UNSENT):
        reason = error.strerror if isinstance(error, OSError) else None
        return httpx.ConnectError(f"{name}, {reason}" if reason else name)
    if isinstance(error, aiohttp.ClientConnectionError):
        return httpx.ReadError(name)
    return httpx.RemoteProtocolError(name)


def _with_auth_in_headers(proxy: httpx.Proxy) -> httpx.Proxy:
    """Return `proxy` as aiohttp wants it; its own parameter for auth is deprecated."""
    headers = proxy.headers.copy()
    if proxy.raw_auth is not None:
        credentials = base64.b64encode(b":".join(proxy.raw_auth)).decode()
        headers["Proxy-Authorization"] = f"Basic {credentials}"
    return httpx.Proxy(proxy.url, ssl_context=proxy.ssl_context, headers=headers)


# The connections that have answered before.
_used: WeakSet[ResponseHandler] = WeakSet()


class _Resolver(aiohttp.ThreadedResolver):
    """Gives up as connecting does, whose timeout is for what comes after this."""

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,
    ) -> list[ResolveResult]:
        with anyio.fail_after(TIMEOUTS["connect"]):
            return await super().resolve(host, port, family)


class _Connector(aiohttp.TCPConnector):
    """Gives no connection on which something came that nobody had asked for."""

    async def connect(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if not (protocol and protocol.should_close and protocol in _used):
                exchanging.get().in_flight = True
                return connection
            connection.close()


def _end_of(protocol: ResponseHandler) -> asyncio.Future[None]:
    """Return what is done once the connection of `protocol` is closed."""
    # None if it is already, of which the reader has learnt.
    return protocol.closed or asyncio.get_running_loop().create_future()


def _look(closed: asyncio.Future[None]) -> None:
    """Look at why a connection was closed, or asyncio would log that nobody did."""
    _ = closed.cancelled() or closed.exception()


def _tell_of_end(closed: asyncio.Future[None], content: aiohttp.StreamReader) -> None:
    """Let whoever reads `content` learn that the connection has been closed.

    aiohttp itself closes it when the chunks of a body do not fit their lengths, and
    leaves the reader waiting for more.
    """

    def tell(_: object) -> None:
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("the body was cut off"))

    def forget() -> None:
        closed.remove_done_callback(tell)

    closed.add_done_callback(tell)
    content.on_eof(forget)


class _AnyResponse(aiohttp.ClientResponse):
    """An answer whose reader learns of the end of the connection.

    Its errors quote nothing of what came over the wire: it may be another answer's
    secret, and what instruments aiohttp sees them before we do.
    """

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        protocol = cast("ResponseHandler", connection.protocol)
        failure = None
        try:
            await super().start(connection)
        except aiohttp.ClientResponseError:
            failure = aiohttp.ClientPayloadError("no valid HTTP")
        if failure:
            raise failure
        # httpx-aiohttp fails to encode one that is not UTF-8, and loses the connection.
        self.reason = ""
        self._check(protocol)
        if protocol not in _used:
            _used.add(protocol)
            _end_of(protocol).add_done_callback(_look)
        if not self.content.is_eof():
            _tell_of_end(_end_of(protocol), self.content)
        return self

    def _check(self, protocol: ResponseHandler) -> None:
        """Accept any."""


class _Response(_AnyResponse):
    """An answer whose connection is closed unless it carries the request's trace ID."""

    def _check(self, protocol: ResponseHandler) -> None:
        returned = self.headers.getall("Trace-Id", [])
        if returned == self.request_info.headers.getall("Trace-Id", []):
            return
        if self.connection is None:
            # The body is here, and the connection already back in the pool.
            protocol.close()
        else:
            protocol.force_close()
        if not returned and protocol in _used and is_success(self.status):
            # The answers before this one had a trace ID: it was left over by them.
            raise aiohttp.ClientPayloadError
