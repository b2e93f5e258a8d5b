"""The pool of slots: which connection is used, kept, and thrown away."""

from __future__ import annotations

import anyio
import httpx
import pytest

from plastiq_async import APIConnectionError, PlastiqSession, SessionStateError
from plastiq_async._transport.make import make_transport
from plastiq_async.middleware import Handler
from tests.helpers import PAYER, eventually, request_to, session_for
from tests.servers import Server
from tests.steps import answer, drop, ignore


async def create(session: PlastiqSession, times: int = 1) -> None:
    """Make so many calls at once."""
    async with anyio.create_task_group() as group:
        for _ in range(times):
            group.start_soon(session.client_secrets.create, PAYER)


async def test_last_used_first() -> None:
    """As many connections as calls at once; afterwards few of them stay busy."""
    with Server(answer(delay=0.05)) as server:
        async with session_for(server) as session:
            await create(session, 3)
            assert len(server.connections) == 3
            for _ in range(4):
                await create(session)
    assert sorted(len(one.requests) for one in server.connections) == [1, 1, 5]


async def test_idle_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has been idle for too long is closed, and not used again."""
    monkeypatch.setattr("plastiq_async._transport.slots.KEEP_ALIVE", -1.0)
    with Server(answer()) as server:
        async with session_for(server) as session:
            await create(session)
            await create(session)
            await eventually(lambda: server.open_connections == 1)
    assert len(server.connections) == 2


async def test_failed_slot() -> None:
    """A connection on which a request failed is closed and replaced."""
    with Server(drop, answer()) as server:
        async with session_for(server, max_retries=0) as session:
            with pytest.raises(APIConnectionError):
                await session.client_secrets.create(PAYER)
            await create(session, 2)
    assert len(server.connections[0].requests) == 1


async def test_without_verification() -> None:
    """Where trace IDs are not verified, an answer without one ends no connection."""
    with Server(answer(trace_id=None)) as server:
        async with session_for(server, verify_trace_id=False) as session:
            await create(session)
            await create(session)
    assert len(server.connections) == 1


async def test_closed_with_calls_in_flight() -> None:
    """Closing the session closes the connections that are in use, too."""
    failures: list[SessionStateError] = []

    async def call(session: PlastiqSession) -> None:
        with pytest.raises(SessionStateError) as info:
            await session.client_secrets.create(PAYER)
        failures.append(info.value)

    with Server(ignore) as server:
        session = session_for(server)
        async with anyio.create_task_group() as group:
            group.start_soon(call, session)
            await eventually(lambda: server.requests)
            await session.aclose()
        await eventually(lambda: server.open_connections == 0)
    assert failures[0].outcome_unknown


async def test_trace_of_a_middleware() -> None:
    """Somebody else may follow what httpcore does, too."""
    events: list[str] = []

    async def trace(event: str, info: object) -> None:
        events.append(event)

    async def follow(request: httpx.Request, call_next: Handler) -> httpx.Response:
        request.extensions["trace"] = trace
        return await call_next(request)

    with Server(answer()) as server:
        async with session_for(server, middleware=[follow]) as session:
            await session.client_secrets.create(PAYER)
    assert "connection.connect_tcp.complete" in events
    assert "http11.send_request_headers.started" in events


async def test_given_back_after_the_close() -> None:
    """A slot whose answer is read after the close is closed as well."""
    with Server(answer()) as server:
        slots = make_transport(
            "httpx",
            base_url=server.base_url,
            verify=False,
            proxy=None,
            trust_env=False,
            max_connections=1,
            verify_trace_id=False,
        )
        answered = await slots.handle_async_request(request_to(server))
        await slots.aclose()
        assert server.open_connections == 1
        await answered.aread()
        await answered.aclose()
        await eventually(lambda: server.open_connections == 0)
