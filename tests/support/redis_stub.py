"""A stub of a Redis server on a loopback socket, without a Lua interpreter.

It shows what the rate limiter sends, and fails as no real Redis can be made to.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

Reply: TypeAlias = Callable[[list[str]], Awaitable[bytes | None]]
"""Returns the reply to a command, or None to close the connection."""


def integer(number: int) -> Reply:
    """Return a reply that is a number."""
    return text(b":%d\r\n" % number)


def text(reply: bytes) -> Reply:
    """Return a reply that is these bytes."""

    async def answer(command: list[str]) -> bytes:
        return reply

    return answer


async def hang(command: list[str]) -> bytes | None:
    """Never reply."""
    await asyncio.sleep(60)
    return None


async def hang_up(command: list[str]) -> bytes | None:
    """Close the connection."""
    return None


class RedisStub:
    """A server that runs no script, and records the arguments of each.

    Attributes:
        reply: The reply to each script.
        to_auth: The reply to each password.
        scripts: The arguments of the scripts so far, each with its key first.
        asked: Set once there is a script.
        connections: The number of connections so far.
        url: The URL of the server, with a password.
    """

    password = "s3cr3t"

    def __init__(self) -> None:
        self.reply: Reply = integer(0)
        self.to_auth: Reply = text(b"+OK\r\n")
        self.scripts: list[list[str]] = []
        self.asked = asyncio.Event()
        self.connections = 0
        self.url = ""

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[RedisStub]:
        """Serve during the block, then close all connections."""
        tasks: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            tasks.add(asyncio.ensure_future(self._serve(reader, writer)))

        server = await asyncio.start_server(accept, "127.0.0.1", port)
        port = server.sockets[0].getsockname()[1]
        self.url = f"redis://:{self.password}@127.0.0.1:{port}"
        try:
            yield self
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while count := await reader.readline():
                command = []
                for _ in range(int(count[1:])):
                    size = int((await reader.readline())[1:])
                    command.append((await reader.readexactly(size + 2))[:-2].decode())
                reply = await self._reply_to(command)
                if reply is None:
                    break
                writer.write(reply)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _reply_to(self, command: list[str]) -> bytes | None:
        match command[0].upper():
            case "EVAL":
                self.scripts.append(command[3:])
                self.asked.set()
                return await self.reply(command)
            case "AUTH":
                return await self.to_auth(command)
            case _:
                return b"+OK\r\n"
