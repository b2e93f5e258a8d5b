"""The pipeline of a call: deadline, concurrency limit, cancellation, outcome."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from datetime import timedelta
from functools import partial
from types import NoneType
from typing import Any
from uuid import UUID

import anyio
import attrs
import httpx
import pytest

from plastiq_async import (
    APIResponseError,
    APITimeoutError,
    CreateClientSecret,
    NotFoundError,
    PlastiqSession,
)
from plastiq_async.middleware import Handler
from plastiq_async.testing import FakePlastiq
from tests.support.internals import make_operation, operation_for
from tests.support.sessions import PAYER, TOKEN, fake_session, session_for
from tests.support.socket_server import Server
from tests.support.steps import answer, drop, ignore
from tests.support.timing import eventually
from tests.support.transports import Transport

TRACE_ID = "fe278caa-e01d-4910-b975-5c19c21a6d8e"
KEY = UUID("5b0c7a3e-93d4-41ee-b9d1-0242ac120002")


async def run(session: PlastiqSession, **changes: Any) -> Any:
    """Perform the creation of a client secret, with changes to the operation."""
    operation = operation_for(CreateClientSecret(payer_id=PAYER))
    changed = attrs.evolve(operation, **changes)
    return await session._pipeline.run(changed, {"trace_id": UUID(TRACE_ID)})


async def test_deadline() -> None:
    """At the deadline, a call to a hanging server ends and its socket is closed."""
    with Server(ignore) as server:
        async with session_for(server) as session:
            with pytest.raises(APITimeoutError, match=r"0\.2 s") as info:
                await session.client_secrets.create(
                    PAYER, timeout=0.2, trace_id=TRACE_ID
                )
            await eventually(lambda: server.open_connections == 0)
    error = info.value
    assert (error.method, error.path) == ("POST", "/client-secrets")
    assert (error.attempts, error.trace_id) == (1, UUID(TRACE_ID))
    assert error.outcome_unknown


@pytest.mark.parametrize("jump", [-1.7e9, 1.7e9])
@pytest.mark.parametrize("during", [False, True])
async def test_clocks_that_jump(
    jump: float,
    during: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fake_plastiq: FakePlastiq,
) -> None:
    """Durations are right though a test or an operator changes the other clocks."""
    caplog.set_level(logging.DEBUG, "plastiq_async")

    def move_clocks() -> None:
        for name in ("time", "perf_counter"):
            clock = getattr(time, name)
            monkeypatch.setattr(time, name, lambda clock=clock: clock() + jump)

    async def travel(request: httpx.Request, call_next: Handler) -> httpx.Response:
        if during:
            move_clocks()
        return await call_next(request)

    if not during:
        move_clocks()
    async with fake_session(fake_plastiq, middleware=[travel]) as session:
        secret = await session.client_secrets.create(PAYER)
    assert timedelta() < secret.response.elapsed < timedelta(seconds=30)
    (logged,) = re.findall(r"elapsed=(\S+)s", caplog.text)
    assert 0 <= float(logged) < 30


async def test_callers_own_deadline() -> None:
    """If the caller's own deadline is shorter, its TimeoutError is raised."""
    with Server(ignore) as server:
        async with session_for(server) as session:
            with pytest.raises(TimeoutError) as info, anyio.fail_after(0.1):
                await session.client_secrets.create(PAYER, timeout=20)
    assert type(info.value) is TimeoutError


async def test_waiting_for_a_permit() -> None:
    """Waiting for one of `max_connections` permits counts towards the deadline."""
    with Server(ignore) as server:
        async with (
            session_for(server, max_connections=1) as session,
            anyio.create_task_group() as group,
        ):
            group.start_soon(session.client_secrets.create, PAYER)
            await eventually(lambda: server.requests)
            with pytest.raises(APITimeoutError) as info:
                await session.client_secrets.create(
                    PAYER, timeout=0.1, trace_id=TRACE_ID
                )
            group.cancel_scope.cancel()
    assert len(server.requests) == 1
    assert (info.value.attempts, info.value.outcome_unknown) == (0, False)
    assert info.value.trace_id == UUID(TRACE_ID)
    assert "waiting for a permit [POST" in str(info.value)


async def test_no_more_calls_than_connections() -> None:
    """At most `max_connections` calls run at a time; the others wait."""
    with Server(answer(delay=0.02)) as server:
        async with (
            session_for(server, max_connections=3) as session,
            anyio.create_task_group() as group,
        ):
            for _ in range(12):
                group.start_soon(session.client_secrets.create, PAYER)
    assert len(server.requests) == 12
    assert len(server.connections) <= 3


async def test_cancellation() -> None:
    """After a cancelled call, its permit and connection are free for the next call."""
    with Server(ignore, answer(), ignore, answer()) as server:
        async with session_for(server, max_connections=1) as session:
            for _ in range(2):
                with anyio.CancelScope() as scope:
                    async with anyio.create_task_group() as group:
                        group.start_soon(session.client_secrets.create, PAYER)
                        await eventually(lambda: len(server.requests) % 2)
                        scope.cancel()
                assert scope.cancelled_caught
                secret = await session.client_secrets.create(PAYER, timeout=10)
                assert secret.client_secret


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_native_cancellation() -> None:
    """The same holds for a native asyncio cancellation."""
    with Server(ignore, answer()) as server:
        async with session_for(server, max_connections=1) as session:
            call = asyncio.create_task(session.client_secrets.create(PAYER))
            await eventually(lambda: server.requests)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await session.client_secrets.create(PAYER, timeout=10)


@pytest.mark.usefixtures("no_jitter")
async def test_permit_during_the_wait() -> None:
    """A call keeps its permit during back-off, which limits the load in an outage."""
    with Server(answer(503, headers=[("Retry-After", "0.2")]), answer()) as server:
        async with (
            session_for(server, max_connections=1) as session,
            anyio.create_task_group() as group,
        ):
            group.start_soon(session.client_secrets.create, PAYER)
            await eventually(lambda: server.requests)
            group.start_soon(session.client_secrets.create, PAYER)
    first, second, third = (r.header("Trace-Id") for r in server.requests)
    assert first == second != third


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize(
    ("statuses", "left"), [([409, 409], 98), ([503], 98), ([409, 503, 409], 98)]
)
async def test_quota_after_polls(statuses: list[int], left: int) -> None:
    """A retried call that succeeds returns its retry to the quota; polls spend none."""
    responses = [httpx.Response(status) for status in [*statuses, 204]]
    transport = Transport(lambda _: responses.pop(0))
    operation = make_operation(harmless=False, keyed=True, result=NoneType)
    async with PlastiqSession(TOKEN, transport=transport) as session:
        pipeline = session._pipeline
        for _ in range(2):
            pipeline.retries.quota.spend()
        await pipeline.run(operation, {})
    assert transport.calls == len(statuses) + 1
    assert pipeline.retries.quota.left == left


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return our own warnings."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "plastiq_async" and record.levelno == logging.WARNING
    ]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"idempotency_key": KEY}, KEY),
        ({"idempotency_key": KEY, "harmless": False}, KEY),
        ({"harmless": False}, None),
    ],
)
async def test_cancelled_after_sending(
    changes: dict[str, Any], key: UUID | None, caplog: pytest.LogCaptureFixture
) -> None:
    """A cancellation after sending logs the operation, key and trace ID."""
    with Server(ignore) as server:
        async with session_for(server) as session, anyio.create_task_group() as group:
            group.start_soon(partial(run, session, **changes))
            await eventually(lambda: server.requests)
            group.cancel_scope.cancel()
    (warning,) = warnings_of(caplog)
    assert warning == (
        "client_secrets.create ended early, and its outcome is unknown: "
        f"idempotency_key={key} trace_id={TRACE_ID}"
    )
    assert server.requests[0].header("Idempotency-Key") == str(key or "")


async def test_cancelled_with_nothing_to_find_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No warning is logged if repeating is safe, or if nothing was sent."""
    with Server(ignore) as server:
        async with (
            session_for(server, max_connections=1) as session,
            anyio.create_task_group() as group,
        ):
            group.start_soon(run, session)
            await eventually(lambda: server.requests)
            # Waits for its permit.
            group.start_soon(partial(run, session, idempotency_key=KEY))
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
    assert len(server.requests) == 1
    assert warnings_of(caplog) == []


@pytest.mark.parametrize(
    ("changes", "unknown", "step"),
    [
        ({}, False, "again"),
        ({"harmless": False}, True, "reconcile"),
        ({"harmless": False, "idempotency_key": KEY}, True, "same_key"),
    ],
)
async def test_unreadable_result(
    changes: dict[str, Any], unknown: bool, step: str
) -> None:
    """A 2xx without a result leaves the outcome unknown if repeating is unsafe."""
    with Server(answer(200, b"{}")) as server:
        async with session_for(server) as session:
            with pytest.raises(APIResponseError) as info:
                await run(session, **changes)
    error = info.value
    assert (error.outcome_unknown, error.next_step) == (unknown, step)
    assert error.idempotency_key == changes.get("idempotency_key")


DELETE: dict[str, Any] = {"method": "DELETE", "body": None, "result": NoneType}


@pytest.mark.usefixtures("quick_retries")
async def test_deleted_by_an_earlier_attempt() -> None:
    """A 404 is a success if an earlier attempt of the call got no response."""
    with Server(drop, answer(404, b"")) as server:
        async with session_for(server) as session:
            assert await run(session, **DELETE) is None
    assert len(server.requests) == 2


async def test_nothing_to_delete() -> None:
    """A 404 to the first attempt is an error."""
    with Server(answer(404, b"")) as server:
        async with session_for(server) as session:
            with pytest.raises(NotFoundError) as info:
                await run(session, **DELETE)
    assert not info.value.outcome_unknown
