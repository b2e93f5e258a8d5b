"""Fault 7: attempts without a response, above all on connections that died silently."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from plastiq_async import (
    APIConnectionError,
    APITimeoutError,
    ClientSecret,
    PlastiqSession,
)
from tests._resources.widgets import SessionWithWidgets
from tests.support.sessions import ANY_CONTEXT, PAYER, TOKEN
from tests.support.socket_server import Connection, Request, Server
from tests.support.steps import answer, ignore, response
from tests.support.timing import PATIENCE, eventually, in_time
from tests.support.wirings import Connect

pytestmark = [pytest.mark.usefixtures("quick_retries")]

ConnectWidgets = Callable[..., SessionWithWidgets]

# Long enough for a busy machine to respond within it.
LIMIT = 1.0
WIDGET = "3f6ba0de-8f2b-4f3a-9d3c-6c1c5f0f7e11"
WIDGET_BODY = (
    b'{"id": "%s", "payer": {"id": "%s"}, "name": "a", "amount": 1, '
    b'"createdAt": "2026-01-01T00:00:00Z", "status": "ACTIVE"}'
) % (WIDGET.encode(), PAYER.encode())


def answer_first(connection: Connection, request: Request) -> None:
    """Answer the first request of each connection, and never another."""
    if len(connection.requests) == 1:
        # Slow enough for calls made at once to take a connection each.
        connection.pause(0.1)
        connection.send(response(request))


def half(connection: Connection, request: Request) -> None:
    """Send the head and a part of the body, and stall."""
    connection.send(response(request)[:-5])


async def create_at_once(session: PlastiqSession, calls: int) -> list[ClientSecret]:
    """Return the results of calls made at the same time."""
    secrets = []

    async def create() -> None:
        secrets.append(await session.client_secrets.create(PAYER))

    async with anyio.create_task_group() as group:
        for _ in range(calls):
            group.start_soon(create)
    return secrets


@pytest.fixture
def connect_widgets(transport: Any) -> ConnectWidgets:
    """Return a function that makes sessions with the resource `widgets`."""

    def make(server: Server, **options: Any) -> SessionWithWidgets:
        return SessionWithWidgets(
            TOKEN,
            base_url=server.base_url,
            transport=transport,
            verify=ANY_CONTEXT,
            **options,
        )

    return make


@pytest.mark.slow
@pytest.mark.parametrize("calls", [1, 4])
async def test_dead_connections(connect: Connect, calls: int) -> None:
    """If all idle connections have died, each call loses one attempt and no more."""
    with Server(answer_first) as server:
        async with connect(server, attempt_timeout=LIMIT, max_retries=1) as session:
            await create_at_once(session, 5)
            assert len(server.connections) == 5
            secrets = await create_at_once(session, calls)
            assert [one.response.attempts for one in secrets] == [2] * calls
            await eventually(lambda: server.open_connections == calls)
    assert len(server.connections) == 5 + calls


@pytest.mark.slow
async def test_used_meanwhile(connect: Connect) -> None:
    """An idle connection that got a response meanwhile is kept."""
    steps = [answer(delay=0.1)] * 3
    with Server(*steps, ignore, answer()) as server:
        async with connect(server, attempt_timeout=LIMIT) as session:
            await create_at_once(session, 3)
            async with anyio.create_task_group() as group:
                group.start_soon(create_at_once, session, 1)
                await eventually(lambda: len(server.requests) == 4)
                await session.client_secrets.create(PAYER)
            await eventually(lambda: server.open_connections == 1)
    assert len(server.connections) == 3
    assert len(server.requests) == 6


@pytest.mark.slow
async def test_stalled_body(connect: Connect) -> None:
    """The limit covers the body, and the connection of the attempt is closed."""
    with Server(half, answer()) as server:
        async with connect(server, attempt_timeout=LIMIT) as session:
            secret = await session.client_secrets.create(PAYER)
            await eventually(lambda: server.open_connections == 1)
    assert secret.response.attempts == len(server.connections) == 2


@pytest.mark.parametrize("step", [ignore, half])
async def test_never_a_response(connect: Connect, step: Any) -> None:
    """If each attempt expires, the error is that of the last one, not a timeout."""
    with Server(step) as server:
        async with connect(server, attempt_timeout=0.1, max_retries=1) as session:
            with pytest.raises(APIConnectionError) as info:
                await session.client_secrets.create(PAYER)
            await eventually(lambda: server.open_connections == 0)
    error = info.value
    assert type(error) is APIConnectionError
    address = server.base_url.split("/")[2]
    assert f"the attempt had no response in 0.1 s ({address}) [" in str(error)
    assert (error.attempts, error.outcome_unknown) == (2, True)
    assert isinstance(error.__cause__, httpx.ReadTimeout)


@pytest.mark.slow
async def test_slow_server(connect: Connect) -> None:
    """A response within the limit is delivered."""
    with Server(answer(delay=PATIENCE)) as server:
        async with connect(server, attempt_timeout=20) as session:
            secret = await session.client_secrets.create(PAYER)
    assert secret.response.attempts == 1


@pytest.mark.slow
async def test_views(connect: Connect) -> None:
    """A view has a limit of its own, which its views take over."""
    with Server(ignore, answer()) as server:
        async with connect(server, attempt_timeout=20) as session:
            view = session.with_options(attempt_timeout=LIMIT).with_options(timeout=25)
            secret = await view.client_secrets.create(PAYER)
            assert secret.response.attempts == 2
            server.play(answer(delay=1.5 * LIMIT))
            secret = await session.client_secrets.create(PAYER)
            assert secret.response.attempts == 1


@pytest.mark.slow
async def test_shorter_deadline(connect: Connect) -> None:
    """A deadline that is earlier than the limit ends the call."""
    with Server(ignore) as server:
        options = {"timeout": PATIENCE, "attempt_timeout": 2 * PATIENCE}
        async with connect(server, **options) as session, in_time():
            with pytest.raises(APITimeoutError) as info:
                await session.client_secrets.create(PAYER)
    assert info.value.attempts == len(server.requests) == 1


async def test_cancelled(connect: Connect) -> None:
    """A cancellation of the caller's ends the call as it is."""
    with Server(ignore) as server:
        async with connect(server, attempt_timeout=20) as session:
            with anyio.move_on_after(0.1) as scope:
                await session.client_secrets.create(PAYER)
            await eventually(lambda: server.open_connections == 0)
    assert scope.cancelled_caught
    assert len(server.requests) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("method", ["create", "update"])
async def test_unsafe_operations(connect_widgets: ConnectWidgets, method: str) -> None:
    """An operation with a key, or one that is not harmless, is not cut off."""
    with Server(answer(200, WIDGET_BODY, delay=PATIENCE)) as server:
        async with connect_widgets(server, attempt_timeout=0.01) as session:
            call = {
                "create": partial(session.widgets.create, "a", payer_id=PAYER),
                "update": partial(session.widgets.update, WIDGET, name="a"),
            }[method]
            widget = await call()
    assert widget.response.attempts == len(server.requests) == 1


@pytest.mark.slow
@pytest.mark.parametrize("method", ["retrieve", "list", "delete"])
async def test_harmless_operations(
    connect_widgets: ConnectWidgets, method: str
) -> None:
    """All other operations are retried."""
    page = b'{"data": [%s], "total": 1}' % WIDGET_BODY
    body = {"retrieve": WIDGET_BODY, "list": page, "delete": b""}[method]
    status = 204 if method == "delete" else 200
    with Server(ignore, answer(status, body)) as server:
        async with connect_widgets(server, attempt_timeout=LIMIT) as session:
            widgets = session.widgets
            if method == "list":
                await widgets.list(PAYER, limit=1)
            else:
                arguments = (WIDGET, PAYER)[: 1 + (method == "retrieve")]
                await getattr(widgets, method)(*arguments)
    assert len(server.requests) == 2


@pytest.mark.slow
async def test_slow_token_provider(transport: Any) -> None:
    """The time that the provider takes does not count, before or after a 401."""
    tokens = iter(["first", "second"])

    async def provide() -> str:
        await anyio.sleep(1.2 * LIMIT)
        return next(tokens)

    with Server(answer(401), answer()) as server:
        session = PlastiqSession(
            provide,
            base_url=server.base_url,
            transport=transport,
            verify=ANY_CONTEXT,
            attempt_timeout=LIMIT,
        )
        async with session:
            secret = await session.client_secrets.create(PAYER)
    assert secret.response.attempts == 1
    assert len(server.requests) == 2


@pytest.mark.slow
async def test_slow_handshake(
    connect: Connect, server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    """The time that it takes to connect does not count."""
    secrets = []
    server = Server(answer(), tls=server_tls)
    server.listener.listen()

    async def create(session: PlastiqSession) -> None:
        secrets.append(await session.client_secrets.create(PAYER))

    options = {"attempt_timeout": LIMIT, "verify": str(ca_file)}
    async with (
        connect(server, **options) as session,
        anyio.create_task_group() as group,
    ):
        group.start_soon(create, session)
        await anyio.sleep(1.2 * LIMIT)
        with server:
            await eventually(lambda: secrets)
    assert secrets[0].response.attempts == 1
