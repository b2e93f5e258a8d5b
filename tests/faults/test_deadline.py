"""Faults 7 and 8: responses that never begin, or never end."""

from __future__ import annotations

import asyncio
import gc
import ssl
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import anyio
import pytest

from plastiq_async import APITimeoutError, PlastiqError, PlastiqSession
from tests.support.sessions import PAYER
from tests.support.socket_server import Connection, Request, Server, Step
from tests.support.steps import answer, drop, ignore
from tests.support.timing import PATIENCE, eventually, in_time
from tests.support.wirings import Connect


async def by_argument(session: PlastiqSession, patience: float) -> None:
    """Make a call with a `timeout` argument."""
    await session.client_secrets.create(PAYER, timeout=patience)


async def by_option(session: PlastiqSession, patience: float) -> None:
    """Make a call with the timeout of a view of the session."""
    await session.with_options(timeout=patience).client_secrets.create(PAYER)


async def by_scope(session: PlastiqSession, patience: float) -> None:
    """Make a call in an anyio scope that expires before the call's own deadline."""
    with anyio.fail_after(patience):
        await session.client_secrets.create(PAYER, timeout=2 * patience)


async def by_task(session: PlastiqSession, patience: float) -> None:
    """Make a call in `asyncio.wait_for`, which expires before the call's deadline."""
    await asyncio.wait_for(
        session.client_secrets.create(PAYER, timeout=2 * patience), patience
    )


Call = Callable[[PlastiqSession, float], Awaitable[None]]


def impatient_calls(backend: str) -> list[Call]:
    """Return the ways to make a call that ends after some time, on an event loop."""
    return [by_argument, by_option, by_scope, *[by_task] * (backend == "asyncio")]


async def time_out(
    session: PlastiqSession,
    call: Call,
    *,
    attempts: int,
    outcome_unknown: bool,
    patience: float = PATIENCE,
) -> None:
    """Make a call, and check when it ends and with which error."""
    async with in_time(patience):
        with pytest.raises((TimeoutError, asyncio.TimeoutError)) as info:
            await call(session, patience)
    error = info.value
    if call in {by_argument, by_option}:
        assert type(error) is APITimeoutError
        assert (error.attempts, error.outcome_unknown) == (attempts, outcome_unknown)
    else:
        assert not isinstance(error, PlastiqError)


tls_or_not = pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])


@pytest.mark.slow
@tls_or_not
async def test_never_accepted(
    anyio_backend: str,
    connect: Connect,
    server_tls: ssl.SSLContext,
    ca_file: Path,
    *,
    tls: bool,
) -> None:
    """Fault 7: a call ends at its deadline if its connection is not accepted.

    With TLS nothing was sent. Without TLS the outcome is unknown, because the server
    may still read the request.
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


@pytest.mark.slow
@tls_or_not
async def test_never_answered(
    anyio_backend: str,
    connect: Connect,
    server_tls: ssl.SSLContext,
    ca_file: Path,
    *,
    tls: bool,
) -> None:
    """Fault 7: a call ends at its deadline if the server sends no response.

    It finds a connection, so that a server that is slow to connect does not matter.
    """
    calls = impatient_calls(anyio_backend)
    steps = [answer(), ignore] * len(calls)
    with Server(*steps, answer(), tls=server_tls if tls else None) as server:
        async with connect(server, max_connections=1, verify=str(ca_file)) as session:
            for call in calls:
                await session.client_secrets.create(PAYER)
                await time_out(session, call, attempts=1, outcome_unknown=True)
                await eventually(lambda: server.open_connections == 0)
            await session.client_secrets.create(PAYER)
    assert len(server.requests) == 2 * len(calls) + 1


# Without jitter, the back-off always fits before the deadline.
@pytest.mark.slow
@pytest.mark.usefixtures("no_jitter")
async def test_second_attempt(anyio_backend: str, connect: Connect) -> None:
    """Fault 7: one deadline covers all attempts of a call."""
    calls = impatient_calls(anyio_backend)
    with Server(*[drop, ignore, answer()] * len(calls)) as server:
        async with connect(server, max_connections=1) as session:
            for call in calls:
                server.requests.clear()
                # Long enough for a busy machine to lose the first attempt within it.
                await time_out(
                    session, call, attempts=2, outcome_unknown=True, patience=1.0
                )
                await eventually(lambda: len(server.requests) == 2)
                await eventually(lambda: server.open_connections == 0)
                await session.client_secrets.create(PAYER)


@pytest.mark.slow
async def test_no_permit(anyio_backend: str, connect: Connect) -> None:
    """Fault 7: the deadline covers the wait for a connection; nothing is sent."""
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
    """Return the step that sends `head`, and then pieces until after the deadline."""

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
    """Switch garbage collection off, so that it does not count as working time."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.slow
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
    """Fault 8: a response that arrives slowly does not postpone the deadline."""
    with Server(drip(head, piece), answer()) as server:
        async with connect(server, max_connections=1, timeout=PATIENCE) as session:
            working = time.thread_time()
            async with in_time():
                with pytest.raises(APITimeoutError) as info:
                    await session.client_secrets.create(PAYER)
            assert time.thread_time() - working < PATIENCE / 2
            assert (info.value.attempts, info.value.outcome_unknown) == (1, True)
            await eventually(lambda: server.requests)
            await eventually(lambda: server.open_connections == 0)
            await session.client_secrets.create(PAYER, timeout=20)


@pytest.mark.fails_on_httpx
async def test_flood(connect: Connect) -> None:
    """Fault 8: a flood of interim responses does not use much memory."""
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </%s.css>\r\n\r\n" % (b"x" * 8000)
    with Server(drip(b"", hint * 10, interval=0), answer()) as server:
        async with connect(server, max_connections=1, timeout=PATIENCE) as session:
            tracemalloc.start()
            try:
                # tracemalloc slows the call down.
                async with in_time(margin=1):
                    with pytest.raises(APITimeoutError):
                        await session.client_secrets.create(PAYER)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            # Far less than the number of bytes received.
            assert peak < 3 * 1024 * 1024
            await eventually(lambda: server.requests)
            await eventually(lambda: server.open_connections == 0)
            await session.client_secrets.create(PAYER, timeout=20)
