"""The fast transport on asyncio: httpx-aiohttp, with its edges taken off.

Imported only when it is asked for, since aiohttp is an extra.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from typing import TYPE_CHECKING

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from plastiq_async.errors import ConfigurationError

if TYPE_CHECKING:
    from aiohttp.connector import AddrInfoType, Connection

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
        self._response_class = _Response if verify_trace_id else aiohttp.ClientResponse

    def _make_client(self) -> aiohttp.ClientSession:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            msg = 'transport="aiohttp" works on asyncio only'
            raise ConfigurationError(msg) from None
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=self.ssl_context,
                limit=self._max_connections,
                keepalive_timeout=self._keep_alive,
                socket_factory=self._make_socket,
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
        try:
            return await super().handle_async_request(request)
        except (httpx.HTTPError, aiohttp.ClientError, ValueError) as error:
            failure = _translated(error.__cause__ or error)
        # Not chained: the representation of some of aiohttp's holds request headers
        # or the proxy's password.
        raise failure


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


class _Response(aiohttp.ClientResponse):
    """An answer whose connection is closed if it does not carry a trace ID."""

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        protocol = connection.protocol
        await super().start(connection)
        if "Trace-Id" not in self.headers and protocol is not None:
            if self.connection is None:
                # The body is here, and the connection already back in the pool.
                protocol.close()
            else:
                protocol.force_close()
        return self
