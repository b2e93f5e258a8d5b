"""Fault 19: sessions closed early, closed twice, never closed, forked or moved."""

from __future__ import annotations

import gc
import math
import os
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from plastiq_async import PlastiqSession, SessionStateError
from tests.support.cancellers import cancellers
from tests.support.session_programs import open_files, refuse
from tests.support.sessions import PAYER, TOKEN
from tests.support.socket_server import Connection, Request, Server, Step
from tests.support.steps import answer, ignore, response
from tests.support.timing import eventually
from tests.support.wirings import Connect

ROOT = Path(__file__).parents[2]


async def create(session: PlastiqSession) -> None:
    """Make one call."""
    await session.client_secrets.create(PAYER)


async def create_at_once(session: PlastiqSession, calls: int) -> None:
    """Make many calls at the same time."""
    async with anyio.create_task_group() as group:
        for _ in range(calls):
            group.start_soon(create, session)


def half(connection: Connection, request: Request) -> None:
    """Send the first part of a response."""
    connection.send(response(request)[:-5])


async def keep_waiting() -> str:
    """Wait forever instead of returning a token."""
    await anyio.sleep(math.inf)
    return TOKEN


LATER = answer(503, headers=[("Retry-After", "20")])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "scheme", "token"),
    [
        pytest.param(ignore, "http", keep_waiting, id="asking for a token"),
        # The server does not speak TLS, so the handshake hangs.
        pytest.param(ignore, "https", TOKEN, id="connecting"),
        pytest.param(ignore, "http", TOKEN, id="sent"),
        pytest.param(half, "http", TOKEN, id="half answered"),
        pytest.param(LATER, "http", TOKEN, id="backing off"),
    ],
)
async def test_closed_during_calls(
    step: Step, scheme: str, token: Any, transport: Any
) -> None:
    """Fault 19: closing a session ends its calls in flight and its waiting calls."""
    errors: list[SessionStateError] = []

    async def call() -> None:
        with pytest.raises(SessionStateError, match="closed during the call") as info:
            await create(session)
        errors.append(info.value)

    with Server(step) as server:
        before = open_files()
        session = PlastiqSession(
            token,
            base_url=server.base_url.replace("http", scheme),
            transport=transport,
            verify=False,
            max_connections=1,
        )
        async with anyio.create_task_group() as group:
            group.start_soon(call)
            group.start_soon(call)
            await anyio.sleep(0.2)
            assert errors == []
            closed = anyio.current_time()
            await session.aclose()
        assert anyio.current_time() - closed < 2
        await eventually(lambda: open_files() <= before)
    assert len(errors) == 2


async def test_closed_more_than_once(connect: Connect) -> None:
    """Fault 19: a session may be closed repeatedly, and then refuses calls."""
    with Server(answer(delay=0.1)) as server:
        before = open_files()
        session = connect(server)
        await create_at_once(session, 3)
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(session.aclose)
        await session.aclose()
        await eventually(lambda: open_files() <= before)
        for one in (session, session.with_options(max_retries=0)):
            with pytest.raises(SessionStateError, match="is closed"):
                await create(one)
    assert len(server.requests) == len(server.connections) == 3


@pytest.mark.slow
@pytest.mark.parametrize("tls", [False, True])
async def test_close_is_cancelled(
    tls: bool,
    anyio_backend: str,
    connect: Connect,
    server_tls: ssl.SSLContext,
    ca_file: Path,
) -> None:
    """Fault 19: a close that is cancelled at any step leaves no socket open."""
    with Server(answer(delay=0.05), tls=server_tls if tls else None) as server:
        before = open_files()
        for cancel in cancellers(anyio_backend):
            for steps in range(8):
                async with connect(server, verify=str(ca_file)) as session:
                    await create_at_once(session, 4)
                    await cancel(session.aclose, steps)
                await eventually(lambda: open_files() <= before)


@pytest.mark.slow
@pytest.mark.parametrize("other", ["asyncio", "trio"])
def test_event_loop_after_another(
    other: str, anyio_backend: str, connect: Connect
) -> None:
    """Fault 19: a session refuses a second event loop after the first has ended."""
    before = open_files()
    with Server(answer()) as server:
        session = connect(server)
        anyio.run(create, session, backend=anyio_backend)
        anyio.run(refuse, session, "another event loop", backend=other)
        assert len(server.requests) == len(server.connections) == 1
        # The connections of the first event loop can no longer be closed in order.
        with pytest.warns(ResourceWarning, match="(?i)unclosed") as caught:  # noqa: PT031 -- all
            del session
            gc.collect()
            # A recorded warning keeps the object that it is about alive.
            for warning in caught:
                warning.source = None
            gc.collect()
    assert open_files() <= before


@pytest.mark.slow
async def test_event_loop_beside_another(anyio_backend: str, connect: Connect) -> None:
    """Fault 19: a session refuses an event loop in a thread and still works."""

    def use_in_thread() -> None:
        anyio.run(refuse, session, "another event loop", backend=anyio_backend)

    with Server(answer(delay=0.3)) as server:
        async with connect(server) as session:
            async with anyio.create_task_group() as group:
                group.start_soon(create, session)
                await eventually(lambda: server.requests)
                await anyio.to_thread.run_sync(use_in_thread)
            await create(session)
    assert len(server.requests) == 2
    assert len(server.connections) == 1


def complaints(*arguments: str) -> str:
    """Run a program of `tests.support.session_programs`; return its stderr.

    Python writes its warnings there, including those about unclosed resources.
    """
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "default",
            "-m",
            "tests.support.session_programs",
            *arguments,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for words in ("Event loop is closed", "Exception ignored", "Traceback", TOKEN):
        assert words not in done.stderr, done.stderr
    return done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["inside", "after", "under-way", "exit"])
def test_never_closed(
    moment: str, wiring: tuple[str, str], server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    """Fault 19: a session dropped without closing frees its sockets and warns.

    The warning is Python's ResourceWarning about an unclosed resource.
    """
    steps = [answer(delay=0.1), answer(delay=0.1), ignore]
    with Server(*steps, tls=server_tls) as server:
        arguments = ("abandon", *wiring, server.base_url, str(ca_file), moment)
        told = complaints(*arguments)
        assert moment == "exit" or "unclosed" in told.lower()
    assert len(server.requests) == 2 + (moment == "under-way")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_fork(
    wiring: tuple[str, str], server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    """Fault 19: after a fork the session works in the parent process only."""
    with Server(answer(delay=0.1), tls=server_tls) as server:
        assert not complaints("fork", *wiring, server.base_url, str(ca_file))
    assert len(server.requests) == 5
    assert len(server.connections) == 2
