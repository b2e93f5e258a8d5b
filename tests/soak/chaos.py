"""A server with random faults.

It runs in a process of its own with one event loop, so that it is fast and so that
its memory and file descriptors are not counted as the client's.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import parse_headers
from io import BytesIO
from multiprocessing import get_context
from multiprocessing.connection import Connection

import attrs

from tests.soak.answers import ANSWERS, error
from tests.support.socket_server import Request
from tests.support.steps import response

# The share of faulty exchanges, which changes every few seconds.
FAULT_RATES = (0.02, 0.1, 0.3, 0.6, 0.95)
LONGEST_RATE = 3.0
# Weights: kinds of response, ways of sending it, and what happens to the connection.
KINDS = dict.fromkeys(ANSWERS, 1) | {"good": 10}
WAYS = {
    "whole": 70,
    "in two parts": 10,
    "drip": 3,
    "cut": 6,
    "nothing": 6,
    "never": 2,
    "endless 103": 2,
}
ENDS = {"stays": 8, "closed": 1, "reset": 1, "closed later": 1, "reset later": 1}
# Probability that a new connection is closed at once, and delays in seconds.
REFUSED = 0.2
LATER = 0.01
DELAY = 0.004
CALM_DELAY = 0.05


@attrs.define
class State:
    """The state of the server.

    Attributes:
        connections: Number of open connections.
        seen: Number of exchanges of each kind.
        complaints: Errors of the client or of this server, with their number.
    """

    connections: int = 0
    seen: Counter[str] = attrs.field(factory=Counter)
    complaints: Counter[str] = attrs.field(factory=Counter)


class Chaos:
    """The server, within its own process."""

    def __init__(self, seed: int) -> None:
        self.state = State()
        self._calm = False
        # Connections whose clients are kept waiting.
        self._kept: set[asyncio.StreamWriter] = set()
        self._random = random.Random(seed)  # noqa: S311 -- to be repeated, not secret
        self._rate = 0.0
        self._changes = 0.0
        self._revoked = 0

    def switch(self, *, calm: bool) -> State:
        """Switch the faults on or off, including faults in progress."""
        self._calm = calm
        if calm:
            for writer in self._kept:
                writer.transport.abort()
        return self.state

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Serve one connection until it ends."""
        self.state.connections += 1
        try:
            if self._is_fault() and self._random.random() < REFUSED:
                self._end(self._choose(ENDS), writer)
            while not writer.is_closing():
                await self._exchange(await _receive(reader), reader, writer)
        except (EOFError, OSError):
            pass  # client or server closed the connection
        finally:
            self.state.connections -= 1
            writer.close()

    async def _exchange(
        self,
        request: Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        if request.line != "POST /api/client-secrets HTTP/1.1":
            self.state.complaints[f"the server was asked to {request.line}"] += 1
        token = int(request.header("Authorization").removeprefix("Bearer token-"))
        if token <= self._revoked:
            writer.write(error(401, request))
            return
        if not self._is_fault():
            delay = CALM_DELAY if self._calm else self._random.expovariate(1 / DELAY)
            await asyncio.sleep(delay)
            self.state.seen["no fault"] += 1
            writer.write(response(request))
            return
        kind = self._choose(KINDS)
        if kind == "401":
            # Rotate the key: from now on only newer tokens are valid.
            self._revoked = token
        way, end = self._choose(WAYS), self._choose(ENDS)
        answer = ANSWERS[kind](request)
        if way == "cut":
            answer = answer[: self._random.randrange(len(answer))]
        self._kept.add(writer)
        try:
            await self._send(way, answer, reader, writer)
        finally:
            self._kept.discard(writer)
        if way in {"cut", "nothing"} and end == "stays":
            end = "closed"
        if end.endswith("later"):
            await asyncio.sleep(self._random.uniform(0, LATER))
        self._end(end, writer)

    async def _send(
        self,
        way: str,
        answer: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        if way == "in two parts":
            middle = self._random.randrange(len(answer))
            writer.write(answer[:middle])
            await asyncio.sleep(self._random.expovariate(1 / DELAY))
            writer.write(answer[middle:])
        elif way == "drip":
            for byte in answer:
                await _unless_gone(reader, writer, self._random.uniform(0, 0.04))
                writer.write(bytes([byte]))
        elif way == "endless 103":
            while True:
                await _unless_gone(reader, writer, 0.005)
                writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        elif way == "never":
            await reader.read()
        elif way != "nothing":
            writer.write(answer)
        await writer.drain()

    def _end(self, end: str, writer: asyncio.StreamWriter) -> None:
        if end.startswith("reset"):
            linger = struct.pack("ii", 1, 0)
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        elif end.startswith("closed"):
            writer.close()

    def _is_fault(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now > self._changes:
            self._rate = self._random.choice(FAULT_RATES)
            self._changes = now + self._random.uniform(0, LONGEST_RATE)
        return not self._calm and self._random.random() < self._rate

    def _choose(self, weights: dict[str, int]) -> str:
        (chosen,) = self._random.choices(list(weights), list(weights.values()))
        self.state.seen[chosen] += 1
        return chosen


async def _receive(reader: asyncio.StreamReader) -> Request:
    head = await reader.readuntil(b"\r\n\r\n")
    line, _, rest = head.partition(b"\r\n")
    request = Request(line.decode(), parse_headers(BytesIO(rest)).items(), b"")
    await reader.readexactly(int(request.header("Content-Length")))
    return request


async def _unless_gone(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float
) -> None:
    """Wait for `delay`, or raise EOFError if the client has disconnected."""
    await writer.drain()
    await asyncio.sleep(delay)
    if reader.at_eof():
        raise EOFError


async def _run(pipe: Connection, seed: int) -> None:
    """Serve until the other end of `pipe` is closed."""
    chaos = Chaos(seed)
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def complain(_: object, context: dict[str, object]) -> None:
        chaos.state.complaints[f"the server's own: {context}"] += 1

    def reply() -> None:
        try:
            pipe.send(chaos.switch(calm=pipe.recv()))
        except (EOFError, OSError):
            ended.set()

    loop.set_exception_handler(complain)
    server = await asyncio.start_server(chaos.serve, "127.0.0.1", 0, backlog=1024)
    loop.add_reader(pipe.fileno(), reply)
    pipe.send(server.sockets[0].getsockname()[1])
    await ended.wait()
    loop.remove_reader(pipe.fileno())


def _main(pipe: Connection, seed: int) -> None:
    with suppress(KeyboardInterrupt):
        asyncio.run(_run(pipe, seed))


class ChaosServer:
    """The server, as seen by the process that started it.

    Attributes:
        port: Its port on the loopback interface.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.port: int = pipe.recv()

    def ask(self, *, calm: bool) -> State:
        """Switch the faults on or off, and return the state of the server."""
        self._pipe.send(calm)
        state: State = self._pipe.recv()
        return state


@contextmanager
def chaos_server(seed: int) -> Iterator[ChaosServer]:
    """Run a server for the duration of the block."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_main, args=(theirs, seed), daemon=True)
    process.start()
    theirs.close()
    with ours:
        yield ChaosServer(ours)
    process.join()
