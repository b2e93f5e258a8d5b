"""Fault 14: responses that are too large, or never end."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytest

from plastiq_async import APIConnectionError, APIResponseError, PlastiqSession
from tests._resources.widgets import SessionWithWidgets
from tests.support.checks import SECRET, check_error
from tests.support.sessions import ANY_CONTEXT, PAYER, TOKEN
from tests.support.socket_server import Connection, Request, Server, Step
from tests.support.steps import answer, response
from tests.support.timing import eventually
from tests.support.wirings import Connect

MIB = 1 << 20
MOST_MEMORY = 10 * MIB
# The most that the server sends if the client never disconnects: far more than the
# allowed memory, and than the socket buffers of the operating system.
MOST_SENT = 64 * MIB
WHOLE = b'{"clientSecret": "XYZCLIENTSECRET123"}'
CHUNKED = ("Transfer-Encoding", "chunked")
GZIP = ("Content-Encoding", "gzip")

grows_on_httpx = pytest.mark.fails_on_httpx(raises=AssertionError)

Headers = list[tuple[str, str]]
Pieces = Callable[[], Iterator[bytes]]


@contextmanager
def little_memory() -> Iterator[None]:
    """Check that the block, server included, never uses more memory than allowed.

    All allocations of Python count, including zlib's windows and httpcore's buffers.
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
    """Return the step that sends a body until the client disconnects."""

    def step(connection: Connection, request: Request) -> None:
        head = response(request, status, b"", headers)
        connection.send(head.replace(b"Content-Length: 0\r\n", b""))
        for piece in pieces():
            connection.send(piece)
        connection.close()

    return step


def again(piece: bytes) -> Iterator[bytes]:
    """Yield a piece many times."""
    for _ in range(MOST_SENT // len(piece)):
        yield piece


def blanks() -> Iterator[bytes]:
    """Yield spaces, which are valid JSON in any number."""
    return again(b" " * MIB)


def chunks() -> Iterator[bytes]:
    """Yield spaces in chunked encoding."""
    return again(b"%x\r\n%b\r\n" % (MIB, b" " * MIB))


def hollow() -> Iterator[bytes]:
    """Yield gzip data that decompresses to nothing."""
    yield zlib.compressobj(wbits=31).flush(zlib.Z_SYNC_FLUSH)
    yield from again(b"\0\0\0\xff\xff" * (MIB // 5))


def bomb() -> Iterator[bytes]:
    """Yield gzip data that decompresses to a thousand times its size, then nothing."""
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
    """Make a call; check that its response is refused early and not retried."""
    with little_memory(), pytest.raises(APIResponseError) as info:
        await session.client_secrets.create(PAYER)
    await eventually(lambda: server.open_connections == 0)
    assert f"with status {status}: more than {MIB} bytes [" in str(info.value)
    assert info.value.status_code == status
    assert info.value.attempts == len(server.requests) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("status", [200, 401, 500])
@pytest.mark.parametrize(
    "name",
    [
        # Plain httpx sees a small body here.
        name if name == "hollow gzip" else pytest.param(name, marks=grows_on_httpx)
        for name in ENDLESS
    ],
)
async def test_endless_body(connect: Connect, status: int, name: str) -> None:
    """Fault 14: a body over the size limit is read no further, and not retried."""
    headers, pieces = ENDLESS[name]
    with Server(endless(status, headers, pieces)) as server:
        async with connect(server) as session:
            await check_too_large(server, session, status)


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize(("headers", "pieces"), ENDLESS.values(), ids=ENDLESS)
async def test_endless_body_for_the_auth_flow(
    transport: Literal["httpx", "aiohttp"], headers: Headers, pieces: Pieces
) -> None:
    """Fault 14: a 401 over the size limit is an error; no new token is requested."""
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
    """Fault 14: a body of exactly the size limit is accepted, one byte more is not."""

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


KIB = 1024
ACCEPTED = {
    "one of 64 KiB": [("X-More", "x" * (64 * KIB - 6))],
    "long name": [("x" * 9000, "x")],
    "96 KiB": [("X-More", "x" * 32 * KIB)] * 3,
    "120": [("X-More", "x")] * 120,
}
REFUSED = {
    "one of more than 64 KiB": [("X-More", SECRET + "x" * 64 * KIB)],
    "one of 300 KiB": [("X-More", SECRET + "x" * 300 * KIB)],
    "120 KiB": [("X-More", SECRET + "x" * 40 * KIB)] * 3,
    "300 KiB": [("X-More", SECRET + "x" * 60 * KIB)] * 5,
    "129": [("X-More", SECRET)] * 129,
}


@pytest.mark.parametrize("headers", ACCEPTED.values(), ids=ACCEPTED)
async def test_large_headers(connect: Connect, headers: Headers) -> None:
    """Fault 14: headers of a gateway that are larger than usual are accepted."""
    with Server(answer(headers=headers)) as server:
        async with connect(server, max_retries=0) as session:
            secret = await session.client_secrets.create(PAYER)
    assert secret.response.headers[headers[0][0]]


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("status", [200, 503])
@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED)
async def test_too_large_headers(
    connect: Connect, headers: Headers, status: int
) -> None:
    """Fault 14: headers that are too large are refused, and the call not retried."""
    with Server(answer(status, headers=headers), answer()) as server:
        async with connect(server) as session:
            with pytest.raises(APIResponseError, match="too large or too many") as info:
                await session.client_secrets.create(PAYER)
    check_error(info.value)
    assert info.value.status_code in {status, None}
    assert (info.value.attempts, info.value.outcome_unknown) == (1, False)
    assert len(server.requests) == 1


@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED)
async def test_too_large_headers_of_an_unsafe_operation(
    transport: Any, headers: Headers
) -> None:
    """Fault 14: after headers that are too large, the outcome is unknown."""
    with Server(answer(headers=headers)) as server:
        async with SessionWithWidgets(
            TOKEN, base_url=server.base_url, transport=transport, verify=ANY_CONTEXT
        ) as session:
            with pytest.raises(APIResponseError) as info:
                await session.widgets.update(PAYER, name="a")
    assert info.value.outcome_unknown
    assert info.value.next_step == "reconcile"
    assert len(server.requests) == 1


@pytest.mark.usefixtures("quick_retries")
async def test_too_large_headers_of_a_proxy(transport: Any) -> None:
    """Fault 14: if the proxy's headers are too large, nothing was sent."""
    headers = REFUSED["one of 300 KiB"]
    with Server(answer(headers=headers)) as proxy:
        async with PlastiqSession(
            TOKEN,
            base_url="https://127.0.0.1:9/api",
            proxy=proxy.url,
            transport=transport,
            verify=ANY_CONTEXT,
        ) as session:
            with pytest.raises(APIConnectionError) as info:
                await session.client_secrets.create(PAYER)
    check_error(info.value)
    assert not info.value.outcome_unknown


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
    """Fault 14: endless headers, chunk extensions or trailers are refused."""

    def step(connection: Connection, request: Request) -> None:
        head = response(request, 200, b"").replace(b"Content-Length: 0\r\n\r\n", b"")
        connection.send(head[:-2] + before)
        for many in again(piece * (MIB // len(piece))):
            connection.send(many)

    with Server(step) as server:
        async with connect(server, timeout=3) as session:
            refusals = (APIConnectionError, APIResponseError)
            with little_memory(), pytest.raises(refusals):
                await session.client_secrets.create(PAYER)
            await eventually(lambda: server.open_connections == 0)
