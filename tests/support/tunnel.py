"""Proxies that tunnel to loopback servers, over http, https or SOCKS5."""

from __future__ import annotations

import asyncio
import ssl
import threading
from contextlib import suppress
from typing import Self

_LONGEST = 30.0


class TunnelProxy:
    """An HTTP proxy for CONNECT, in a thread, that runs within its `with` block.

    Args:
        tls: The TLS context of an https proxy.

    Attributes:
        heads: The head of each request that the proxy received.
        url: The URL of the proxy.
    """

    scheme = "http"

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        if tls:
            self.scheme = "https"
        self.heads: list[str] = []
        self.url = ""
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._started = threading.Event()
        self._stop = asyncio.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(_LONGEST)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_LONGEST)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        port = server.sockets[0].getsockname()[1]
        self.url = f"{self.scheme}://127.0.0.1:{port}"
        self._started.set()
        await self._stop.wait()
        server.close()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            if target := await self._open(reader, writer):
                origin_reader, origin_writer = await asyncio.open_connection(*target)
                await asyncio.gather(
                    _pump(reader, origin_writer), _pump(origin_reader, writer)
                )
        writer.close()

    async def _open(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[str, int] | None:
        """Return the host and port that the client asks for, or None to refuse."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        host, _, port = head.split()[1].rpartition(":")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        return host, int(port)


class SocksProxy(TunnelProxy):
    """A SOCKS5 proxy that requires a user name and a password.

    Args:
        accept: Whether it accepts the credentials.

    Attributes:
        heads: The user name and password of each connection.
    """

    scheme = "socks5"

    def __init__(self, *, accept: bool) -> None:
        super().__init__()
        self._accept = accept

    async def _open(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[str, int] | None:
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\x05\x02")
        _, length = await reader.readexactly(2)
        user = await reader.readexactly(length)
        password = await reader.readexactly((await reader.readexactly(1))[0])
        self.heads.append(f"{user.decode()}:{password.decode()}")
        if not self._accept:
            writer.write(b"\x01\x01")
            return None
        writer.write(b"\x01\x00")
        *_, kind = await reader.readexactly(4)
        length = 4 if kind == 1 else (await reader.readexactly(1))[0]
        host = await reader.readexactly(length)
        port = int.from_bytes(await reader.readexactly(2))
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        return ".".join(map(str, host)) if kind == 1 else host.decode(), port


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy all bytes, then close the writer."""
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
