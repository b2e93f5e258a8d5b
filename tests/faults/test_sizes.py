"""Fault 14: answers that are larger than any of the API's, or have no end."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import pytest

from plastiq_async import APIConnectionError, APIResponseError, PlastiqSession
from tests.faults.conftest import Connect
from tests.helpers import PAYER, TOKEN, eventually
from tests.servers import Connection, Request, Server, Step
from tests.steps import answer, response

MIB = 1 << 20
MOST_MEMORY = 10 * MIB
# To a client that never hangs up: far more than the memory that is allowed, and than
# the operating system keeps for one that has.
MOST_SENT = 64 * MIB
WHOLE = b'{"clientSecret": "XYZCLIENTSECRET123"}'
CHUNKED = ("Transfer-Encoding", "chunked")
GZIP = ("Content-Encoding", "gzip")

grows_on_httpx = pytest.mark.fails_on_httpx(raises=AssertionError)

Headers = list[tuple[str, str]]
Pieces = Callable[[], Iterator[bytes]]


@contextmanager
def little_memory() -> Iterator[None]:
    """Fail if at any time the block holds more memory than allowed, server included.

    Whatever Python allocates is counted, zlib's windows and httpcore's buffers, too.
    """
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    try:
        yield
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak - before < MOST_MEMORY


def endless(status: int, headers: Headers, pieces: Pieces) -> Step:
    """Return the step that sends a body until the client hangs up."""

    def step(connection: Connection, request: Request) -> None:
        head = response(request, status, b"", headers)
        connection.send(head.replace(b"Content-Length: 0\r\n", b""))
        for piece in pieces():
            connection.send(piece)
        connection.close()

    return step


def again(piece: bytes) -> Iterator[bytes]:
    """Give a piece again and again."""
    for _ in range(MOST_SENT // len(piece)):
        yield piece


def blanks() -> Iterator[bytes]:
    """Give blanks, of which JSON may have as many as one likes."""
    return again(b" " * MIB)


def chunks() -> Iterator[bytes]:
    """Give blanks in chunks."""
    return again(b"%x\r\n%b\r\n" % (MIB, b" " * MIB))


def hollow() -> Iterator[bytes]:
    """Give what gzip makes nothing of."""
    yield zlib.compressobj(wbits=31).flush(zlib.Z_SYNC_FLUSH)
    yield from again(b"\0\0\0\xff\xff" * (MIB // 5))


def bomb() -> Iterator[bytes]:
    """Give what gzip makes a thousand times as many blanks of, then nothing more."""
    compressor = zlib.compressobj(wbits=31)
    for piece in blanks():
        yield compressor.compress(piece) + compressor.flush(zlib.Z_SYNC_FLUSH)
    yield from again(b"\0\0\0\xff\xff" * (MIB // 5))


ENDLESS: dict[str, tuple[Headers, Pieces]] = {
    "no length": ([], blanks),
    "length": ([("Content-Length", str(1 << 40))], blanks),
    "chunked": ([CHUNKED], chunks),
    "gzip": ([GZIP], bomb),
    "hollow gzip": ([GZIP], hollow),
}


async def check_too_large(server: Server, session: PlastiqSession, status: int) -> None:
    """Make a call, and check that its answer is given up soon, and for good."""
    with little_memory(), pytest.raises(APIResponseError) as info:
        await session.client_secrets.create(PAYER)
    await eventually(lambda: server.open_connections == 0)
    assert f"with status {status}: more than {MIB} bytes [" in str(info.value)
    assert info.value.status_code == status
    assert info.value.attempts == len(server.requests) == 1


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("status", [200, 401, 500])
@pytest.mark.parametrize(
    "name",
    [
        # To httpx that one is small.
        name if name == "hollow gzip" else pytest.param(name, marks=grows_on_httpx)
        for name in ENDLESS
    ],
)
async def test_endless_body(connect: Connect, status: int, name: str) -> None:
    """Fault 14: of a body without end no more than the cap is read; that is final."""
    headers, pieces = ENDLESS[name]
    with Server(endless(status, headers, pieces)) as server:
        async with connect(server) as session:
            await check_too_large(server, session, status)


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize(("headers", "pieces"), ENDLESS.values(), ids=ENDLESS)
async def test_endless_body_for_the_auth_flow(
    transport: Literal["httpx", "aiohttp"], headers: Headers, pieces: Pieces
) -> None:
    """Fault 14: nor of a 401 that is read in order to ask for another token."""
    asked = 0

    async def provide() -> str:
        nonlocal asked
        asked += 1
        return f"{TOKEN}-{asked}"

    with Server(endless(401, headers, pieces)) as server:
        async with PlastiqSession(
            provide,
            base_url=server.base_url,
            transport=transport,
            verify=False,
        ) as session:
            await check_too_large(server, session, 401)
    assert asked == 1


@pytest.mark.fails_on_httpx(raises=pytest.fail.Exception)
@pytest.mark.parametrize("framing", ["length", "chunked", "gzip"])
async def test_one_byte_too_many(connect: Connect, framing: str) -> None:
    """Fault 14: the cap is exact, and what just fits under it is an answer."""

    def padded(size: int) -> Step:
        body = WHOLE.ljust(size)
        if framing == "length":
            return answer(200, body)
        if framing == "gzip":
            return answer(200, gzip.compress(body, mtime=0), [GZIP])
        return answer(200, b"%x\r\n%b\r\n0\r\n\r\n" % (size, body), [CHUNKED])

    with Server(padded(MIB), padded(MIB + 1)) as server:
        async with connect(server) as session:
            secret = await session.client_secrets.create(PAYER)
            assert secret.client_secret == "XYZCLIENTSECRET123"
            with pytest.raises(APIResponseError, match=f"more than {MIB} bytes"):
                await session.client_secrets.create(PAYER)


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize(
    ("before", "piece"),
    [
        (b"", b"X-More: %b\r\n" % (b"x" * 100)),
        (b"X-Long: ", b"x" * MIB),
        (b"Transfer-Encoding: chunked\r\n\r\n5;x=", b"x" * MIB),
        (b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-More: x\r\n"),
    ],
    ids=["headers", "header", "chunk extension", "trailers"],
)
async def test_endless_frame(connect: Connect, before: bytes, piece: bytes) -> None:
    """Fault 14: what is around a body may have no end, either."""

    def step(connection: Connection, request: Request) -> None:
        head = response(request, 200, b"").replace(b"Content-Length: 0\r\n\r\n", b"")
        connection.send(head[:-2] + before)
        for many in again(piece * (MIB // len(piece))):
            connection.send(many)

    with Server(step) as server:
        async with connect(server, timeout=3) as session:
            with little_memory(), pytest.raises(APIConnectionError):
                await session.client_secrets.create(PAYER)
            await eventually(lambda: server.open_connections == 0)
