"""`Connector`, aiohttp's pool of connections, and `Protocol`, one of them."""

import functools
import itertools
import socket
import ssl
from typing import cast

import aiohttp
import anyio
from aiohttp.abc import ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import AddrInfoType, Connection
from aiohttp.tracing import Trace

from plastiq_async._call import current_call
from plastiq_async._request import TIMEOUTS
from plastiq_async._transport.settings import KEEP_ALIVE, SOCKET_OPTIONS


class Protocol(ResponseHandler):
    """A connection."""

    # Whether it carried a response, and the body of the latest one.
    used = False
    reader: aiohttp.StreamReader | None = None

    def close(self) -> None:
        """Close the connection without waiting for the server.

        It may be dead, and asyncio would wait for it while TLS ends, or while bytes are
        left to be sent. The default transport does not wait either.
        """
        self.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tell the reader of the body that no more will come.

        aiohttp does not if it closes the connection itself, because the chunks of a
        body do not match their lengths.
        """
        waiter = self._drain_waiter
        super().connection_lost(exc)
        if waiter is not None and not waiter.cancelled():
            # Older versions of aiohttp do not, if the request was cancelled.
            waiter.exception()
        reader = self.reader
        if reader and not reader.is_eof() and reader.exception() is None:
            reader.set_exception(aiohttp.ClientPayloadError("the body was cut off"))


class Connector(aiohttp.TCPConnector):
    """Returns no connection on which unrequested bytes arrived."""

    def __init__(self, context: ssl.SSLContext, limit: int) -> None:
        super().__init__(
            ssl=context,
            limit=limit,
            keepalive_timeout=KEEP_ALIVE,
            socket_factory=_make_socket,
            resolver=_Resolver(),
        )
        factory = functools.partial(Protocol, loop=self._loop)
        self._factory = cast("functools.partial[ResponseHandler]", factory)

    @property
    def idle_connections(self) -> int:
        """The number of idle connections."""
        return sum(map(len, self._conns.values()))

    async def connect(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = cast("Protocol", connection.protocol)
            if not (protocol.used and protocol.should_close):
                current_call.get().sending()
                return connection
            connection.close()

    def close_idle(self, unused_since: float) -> None:
        """Close the idle connections without a response since then."""
        for protocol, used_at in itertools.chain(*self._conns.values()):
            if used_at < unused_since:
                protocol.close()


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
