"""Fault 7: descriptors of connections whose server has stopped reading."""

from __future__ import annotations

import contextlib
import ssl
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

from plastiq_async import APITimeoutError, PlastiqSession
from tests.support.session_programs import open_files
from tests.support.sessions import PAYER
from tests.support.socket_server import Connection, Request, Server, Step
from tests.support.steps import answer, response
from tests.support.timing import eventually
from tests.support.wirings import Connect

CALLS = 8


async def create_at_once(session: PlastiqSession, **options: Any) -> None:
    """Make calls at the same time, and accept that they run out of time."""

    async def create() -> None:
        with contextlib.suppress(APITimeoutError):
            await session.client_secrets.create(PAYER, **options)

    async with anyio.create_task_group() as group:
        for _ in range(CALLS):
            group.start_soon(create)


def answer_first_until(stopped: threading.Event) -> Step:
    """Return the step that answers first requests, and then does not even read."""

    def step(connection: Connection, request: Request) -> None:
        if len(connection.requests) == 1:
            connection.pause(0.4)
            connection.send(response(request))
        else:
            stopped.wait(20)

    return step


@pytest.mark.slow
@pytest.mark.parametrize("reused", [False, True])
async def test_server_that_hangs(
    connect: Connect, server_tls: ssl.SSLContext, ca_file: Path, reused: bool
) -> None:
    """A call that times out closes its descriptor, and so does the session."""
    stopped = threading.Event()

    def hang(connection: Connection, request: Request) -> None:
        stopped.wait(20)

    step = answer_first_until(stopped) if reused else hang
    with Server(step, tls=server_tls) as server:
        before = open_files()

        def client_files() -> int:
            return open_files() - before - len(server.connections)

        try:
            async with connect(server, verify=str(ca_file)) as session:
                for _ in range(3):
                    if reused:
                        await create_at_once(session)
                    await create_at_once(session, timeout=0.3)
                    await eventually(lambda: client_files() <= 0)
            await eventually(lambda: client_files() <= 0)
        finally:
            stopped.set()


@pytest.mark.slow
async def test_session_with_idle_connections(
    connect: Connect, server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    """Closing the session does not wait for a server that hangs."""
    stopped = threading.Event()

    def answer_and_hang(connection: Connection, request: Request) -> None:
        connection.send(response(request))
        stopped.wait(20)

    with Server(answer_and_hang, tls=server_tls) as server:
        before = open_files()
        try:
            async with connect(server, verify=str(ca_file)) as session:
                await session.client_secrets.create(PAYER)
            await eventually(lambda: open_files() - before <= len(server.connections))
        finally:
            stopped.set()


@pytest.mark.slow
async def test_idle_connections_closed_by_the_server(connect: Connect) -> None:
    """The descriptors of connections that the server closed do not pile up."""

    def answer_and_close(connection: Connection, request: Request) -> None:
        connection.pause(0.1)
        connection.send(response(request))
        connection.pause(0.3)
        connection.close()

    with Server(*[answer_and_close] * CALLS, answer()) as server:
        before = open_files()
        async with connect(server) as session:
            await create_at_once(session)
            await eventually(lambda: server.open_connections == 0)
            await anyio.sleep(1.1)
            for _ in range(2):
                secret = await session.client_secrets.create(PAYER)
                assert secret.response.attempts == 1
            # Both ends of one connection.
            await eventually(lambda: open_files() - before <= 2)
    assert len(server.connections) == CALLS + 1
