"""The connection slots of the httpx transport: reuse, expiry and closing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace

import anyio
import anyio.lowlevel
import httpx
import pytest

from plastiq_async import APIConnectionError, PlastiqSession, SessionStateError
from plastiq_async._transport import slots as slots_module
from plastiq_async._transport.slots import SlotTransport
from plastiq_async.middleware import Handler
from tests.support.internals import (
    expire_idle_connections,
    httpx_transport_to,
    make_request,
    request_to,
)
from tests.support.sessions import PAYER, session_for
from tests.support.socket_server import Server
from tests.support.steps import answer, drop, ignore
from tests.support.timing import eventually


async def create(session: PlastiqSession, times: int = 1) -> None:
    """Make `times` calls at once."""
    async with anyio.create_task_group() as group:
        for _ in range(times):
            group.start_soon(session.client_secrets.create, PAYER)


async def test_last_used_first() -> None:
    """The pool reuses the connection that was used last."""
    with Server(answer(delay=0.05)) as server:
        async with session_for(server) as session:
            await create(session, 3)
            assert len(server.connections) == 3
            for _ in range(4):
                await create(session)
    assert sorted(len(one.requests) for one in server.connections) == [1, 1, 5]


async def test_idle_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that was idle for too long is closed and replaced."""
    expire_idle_connections(monkeypatch)
    with Server(answer()) as server:
        async with session_for(server) as session:
            await create(session)
            await create(session)
            await eventually(lambda: server.open_connections == 0)
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
    """Without the trace ID check, a missing trace ID keeps the connection."""
    with Server(answer(trace_id=None)) as server:
        async with session_for(server, verify_trace_id=False) as session:
            await create(session)
            await create(session)
    assert len(server.connections) == 1


async def test_closed_with_calls_in_flight() -> None:
    """Closing the session also closes the connections in use."""
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
    """A `trace` extension set by middleware still receives httpcore's events."""
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
    """A slot whose response is read after the close is closed as well."""
    with Server(answer()) as server:
        slots = httpx_transport_to(server)
        answered = await slots.handle_async_request(request_to(server))
        await slots.aclose()
        assert server.open_connections == 1
        await answered.aread()
        await answered.aclose()
        await eventually(lambda: server.open_connections == 0)


async def test_no_trace_id_on_a_new_connection() -> None:
    """A response without a trace ID is delivered, and its connection closed."""
    with Server(answer(trace_id=None)) as server:
        async with session_for(server, max_retries=0) as session:
            await create(session)
            await create(session)
    assert len(server.connections) == 2


async def test_no_trace_id_on_a_used_connection() -> None:
    """A response without a trace ID may be left over from an earlier request."""
    with Server(answer(), answer(trace_id=None)) as server:
        async with session_for(server, max_retries=0) as session:
            await create(session)
            with pytest.raises(APIConnectionError, match="trace ID"):
                await session.client_secrets.create(PAYER)
            await eventually(lambda: server.open_connections == 0)
    assert len(server.connections) == 1


async def body() -> AsyncIterator[bytes]:
    """Yield a body."""
    yield b"{}"


class FakeSlot(httpx.AsyncBaseTransport):
    """Slot without a connection.

    Args:
        hangs: Whether no response comes.
    """

    def __init__(self, *, hangs: bool = False) -> None:
        self.closed = False
        self._hangs = hangs

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return a response whose body is not read yet."""
        if self._hangs:
            await anyio.sleep_forever()
        return httpx.Response(200, content=body())

    async def aclose(self) -> None:
        """Close the slot, unless the task is cancelled."""
        await anyio.lowlevel.checkpoint()
        self.closed = True


async def test_body_not_read() -> None:
    """A slot comes back to be closed if the body was not read to its end."""
    slot = FakeSlot()
    slots = SlotTransport(slot, FakeSlot)
    response = await slots.handle_async_request(make_request())
    await response.aclose()
    assert slot.closed


async def test_cancelled() -> None:
    """A slot is closed although the caller is cancelled."""
    slot = FakeSlot(hangs=True)
    slots = SlotTransport(slot, FakeSlot)
    with anyio.move_on_after(0.01) as scope:
        await slots.handle_async_request(make_request())
    assert scope.cancelled_caught
    assert slot.closed


async def test_oldest_expires_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next request closes the slots that have expired, and no others."""
    now = 1000.0
    clock = SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr(slots_module, "time", clock)
    made = [FakeSlot(), FakeSlot()]
    older, newer = made
    slots = SlotTransport(older, lambda: newer)
    responses = [await slots.handle_async_request(make_request()) for _ in made]
    for response in responses:
        await response.aread()
        await response.aclose()
        now += 30
    assert [slot.closed for slot in made] == [False, False]
    response = await slots.handle_async_request(make_request())
    assert [slot.closed for slot in made] == [True, False]
    await response.aread()
    await response.aclose()
    await slots.aclose()
    assert newer.closed
