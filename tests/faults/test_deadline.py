"""Faults 7 and 8: the server never answers, or never comes to the end of its answer."""

from __future__ import annotations

import asyncio
import gc
import ssl
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from plastiq_async import APITimeoutError, PlastiqError, PlastiqSession
from tests.faults.conftest import Connect
from tests.helpers import PAYER, eventually
from tests.servers import Connection, Request, Server, Step
from tests.steps import answer, drop, ignore

PATIENCE = 0.3


@asynccontextmanager
async def in_time(margin: float = 0.1) -> AsyncIterator[None]:
    """Check that what happens within takes `PATIENCE`, and hardly more.

    On a busy machine every timer is late: this one knows by how much.
    """
    due = anyio.current_time() + PATIENCE
    late = 0.0

    async def watch() -> None:
        nonlocal late
        await anyio.sleep_until(due)
        late = anyio.current_time() - due

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        yield
        ended = anyio.current_time()
    assert due <= ended < due + late + margin


async def by_argument(session: PlastiqSession) -> None:
    """Make a call with a deadline of its own."""
    await session.client_secrets.create(PAYER, timeout=PATIENCE)


async def by_option(session: PlastiqSession) -> None:
    """Make a call with the session's deadline."""
    await session.with_options(timeout=PATIENCE).client_secrets.create(PAYER)


async def by_scope(session: PlastiqSession) -> None:
    """Make a call within a deadline of the caller's own, which is shorter."""
    with anyio.fail_after(PATIENCE):
        await session.client_secrets.create(PAYER, timeout=2 * PATIENCE)


async def by_task(session: PlastiqSession) -> None:
    """Do likewise in the manner of asyncio."""
    await asyncio.wait_for(
        session.client_secrets.create(PAYER, timeout=2 * PATIENCE), PATIENCE
    )


Call = Callable[[PlastiqSession], Awaitable[None]]


def impatient_calls(backend: str) -> list[Call]:
    """Return the ways to make a call that takes `PATIENCE`, on an event loop."""
    return [by_argument, by_option, by_scope, *[by_task] * (backend == "asyncio")]


async def time_out(
    session: PlastiqSession, call: Call, *, attempts: int, outcome_unknown: bool
) -> None:
    """Make a call, and check when and how it ends."""
    async with in_time():
        with pytest.raises((TimeoutError, asyncio.TimeoutError)) as info:
            await call(session)
    error = info.value
    if call in {by_argument, by_option}:
        assert type(error) is APITimeoutError
        assert (error.attempts, error.outcome_unknown) == (attempts, outcome_unknown)
    else:
        assert not isinstance(error, PlastiqError)


tls_or_not = pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])


@tls_or_not
async def test_never_accepted(
    anyio_backend: str,
    connect: Connect,
    server_tls: ssl.SSLContext,
    ca_file: Path,
    *,
    tls: bool,
) -> None:
    """Fault 7: connections come about, but the server does not even look at them.

    With TLS nothing can have been sent; without, the request may still be read.
    """
    calls = impatient_calls(anyio_backend)
    server = Server(answer(), tls=server_tls if tls else None)
    server.listener.listen()
    async with connect(server, max_connections=1, verify=str(ca_file)) as session:
        for call in calls:
            await time_out(session, call, attempts=1, outcome_unknown=not tls)
        with server:
            await session.client_secrets.create(PAYER)
            assert len(server.connections) == len(calls) + 1
            await eventually(lambda: server.open_connections == 1)


@tls_or_not
async def test_never_answered(
    anyio_backend: str,
    connect: Connect,
    server_tls: ssl.SSLContext,
    ca_file: Path,
    *,
    tls: bool,
) -> None:
    """Fault 7: the server reads requests and says nothing."""
    calls = impatient_calls(anyio_backend)
    steps = [ignore, answer()] * len(calls)
    with Server(*steps, tls=server_tls if tls else None) as server:
        async with connect(server, max_connections=1, verify=str(ca_file)) as session:
            for call in calls:
                await time_out(session, call, attempts=1, outcome_unknown=True)
                await eventually(lambda: server.open_connections == 0)
                await session.client_secrets.create(PAYER)


async def test_second_attempt(
    anyio_backend: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 7: the deadline is the whole call's, however many attempts it makes."""
    # Else the wait may not fit before the deadline.
    monkeypatch.setattr("plastiq_async._retry._FIRST_WAIT", 0)
    calls = impatient_calls(anyio_backend)
    with Server(*[drop, ignore, answer()] * len(calls)) as server:
        async with connect(server, max_connections=1) as session:
            for call in calls:
                await time_out(session, call, attempts=2, outcome_unknown=True)
                await eventually(lambda: server.open_connections == 0)
                await session.client_secrets.create(PAYER)


async def test_no_permit(anyio_backend: str, connect: Connect) -> None:
    """Fault 7: to wait for the only connection counts as well; nothing is sent."""
    with Server(ignore, answer()) as server:
        async with connect(server, max_connections=1) as session:
            async with anyio.create_task_group() as group:
                group.start_soon(session.client_secrets.create, PAYER)
                await eventually(lambda: server.requests)
                for call in impatient_calls(anyio_backend):
                    await time_out(session, call, attempts=0, outcome_unknown=False)
                group.cancel_scope.cancel()
            await eventually(lambda: server.open_connections == 0)
            await session.client_secrets.create(PAYER)
    assert len(server.requests) == 2


def drip(head: bytes, piece: bytes, interval: float = 0.02) -> Step:
    """Return the step that sends `head`, and pieces until long after the deadline."""

    def step(connection: Connection, _: Request) -> None:
        end = time.monotonic() + PATIENCE + 0.7
        connection.send(head)
        while time.monotonic() < end:
            connection.send(piece)
            connection.pause(interval)
        connection.close()

    return step


INTERIM = [
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n",
]
LENGTH = b"Content-Length: 1000\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def _no_collection() -> Iterator[None]:
    """Keep the garbage of other tests out of this one's working time."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collection")
@pytest.mark.fails_on_httpx
@pytest.mark.parametrize(
    ("head", "piece"),
    [
        pytest.param(b"HTTP/1.1 200 O", b"K", id="status line"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX-Header: ", b"x", id="header"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"X: x\r\n", id="headers"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + LENGTH, b" ", id="body"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", b" ", id="body until the end"),
        pytest.param(b"HTTP/1.1 503 No\r\n" + LENGTH, b" ", id="body of an error"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + CHUNKED, b"1\r\n \r\n", id="chunks"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"1;", b"x", id="chunk size"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"0\r\nX-Trailer: ", b"x", id="trailer"
        ),
        *[pytest.param(b"", one, id=one[9:12].decode()) for one in INTERIM],
    ],
)
async def test_drip(connect: Connect, head: bytes, piece: bytes) -> None:
    """Fault 8: bytes that keep coming do not postpone the deadline."""
    with Server(drip(head, piece), answer()) as server:
        async with connect(server, max_connections=1, timeout=PATIENCE) as session:
            working = time.thread_time()
            async with in_time():
                with pytest.raises(APITimeoutError) as info:
                    await session.client_secrets.create(PAYER)
            assert time.thread_time() - working < PATIENCE / 2
            assert (info.value.attempts, info.value.outcome_unknown) == (1, True)
            await eventually(lambda: server.open_connections == 0)
            await session.client_secrets.create(PAYER, timeout=20)


@pytest.mark.fails_on_httpx
async def test_flood(connect: Connect) -> None:
    """Fault 8: interim answers as fast as they go do not fill the memory, either."""
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </%s.css>\r\n\r\n" % (b"x" * 8000)
    with Server(drip(b"", hint * 10, interval=0), answer()) as server:
        async with connect(server, max_connections=1, timeout=PATIENCE) as session:
            tracemalloc.start()
            try:
                # Tracing takes its time.
                async with in_time(margin=1):
                    with pytest.raises(APITimeoutError):
                        await session.client_secrets.create(PAYER)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            # Far less than what was received.
            assert peak < 3 * 1024 * 1024
            await eventually(lambda: server.open_connections == 0)
            await session.client_secrets.create(PAYER, timeout=20)
