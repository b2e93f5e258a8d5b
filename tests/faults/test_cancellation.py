"""Faults 1, 2 and 3: cancellation at any moment, in any number, and a burst."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial

import anyio
import pytest
from anyio.lowlevel import checkpoint

from plastiq_async import PlastiqSession
from tests.faults.conftest import Connect
from tests.helpers import PAYER, eventually
from tests.servers import Server
from tests.steps import answer

Canceller = Callable[[Callable[[], Coroutine[None, None, None]], int], Awaitable[None]]


async def cancel_with_anyio(
    function: Callable[[], Coroutine[None, None, None]], steps: int
) -> None:
    """Cancel `function` through its scope, after so many steps of the event loop."""
    async with anyio.create_task_group() as group:
        group.start_soon(function)
        for _ in range(steps):
            await checkpoint()
        group.cancel_scope.cancel()


async def cancel_natively(
    function: Callable[[], Coroutine[None, None, None]], steps: int
) -> None:
    """Cancel `function` as a task of asyncio, twice."""
    task = asyncio.ensure_future(function())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def cancellers(backend: str) -> list[Canceller]:
    """Return the ways to cancel on an event loop."""
    natively = [cancel_natively] if backend == "asyncio" else []
    return [cancel_with_anyio, *natively]


async def create(session: PlastiqSession) -> None:
    """Make one call."""
    await session.client_secrets.create(PAYER)


@pytest.mark.parametrize("warm", [False, True])
async def test_cancelled_at_every_step(
    anyio_backend: str, connect: Connect, *, warm: bool
) -> None:
    """Fault 1: after a cancellation at any step, the only permit works again."""
    with Server(answer()) as server:
        for cancel in cancellers(anyio_backend):
            for steps in range(40):
                async with connect(server, max_connections=1) as session:
                    if warm:
                        await create(session)
                    await cancel(partial(create, session), steps)
                    await create(session)
        await eventually(lambda: server.open_connections == 0)


@pytest.mark.fails_on_httpx
async def test_churn(anyio_backend: str, connect: Connect) -> None:
    """Fault 2: 5 s of cancellations at twice the connections leave it healthy."""
    connections, callers = 10, 20
    cancelled = 0

    async def caller(session: PlastiqSession, number: int) -> None:
        nonlocal cancelled
        patience = 0.0002
        end = anyio.current_time() + 5
        while anyio.current_time() < end:
            # From hopelessly short to nearly enough, by an irrational step.
            patience = (patience * math.e) % 0.01
            if anyio_backend == "asyncio" and number % 2:
                try:
                    await asyncio.wait_for(create(session), patience)
                except TimeoutError:
                    cancelled += 1
            else:
                with anyio.move_on_after(patience) as scope:
                    await create(session)
                cancelled += scope.cancelled_caught

    with Server(answer(delay=0.003)) as server:
        async with connect(server, max_connections=connections, timeout=20) as session:
            async with anyio.create_task_group() as group:
                for number in range(callers):
                    group.start_soon(caller, session, number)
            assert cancelled > 1000
            async with anyio.create_task_group() as group:
                for _ in range(100):
                    group.start_soon(create, session)
            await eventually(lambda: server.open_connections <= connections)
        await eventually(lambda: server.open_connections == 0)


@pytest.mark.fails_on_httpx
async def test_burst(connect: Connect) -> None:
    """Fault 3: 1000 calls at once, ten times the connections, all succeed."""
    with Server(answer(delay=0.1)) as server:
        async with (
            connect(server) as session,
            anyio.create_task_group() as group,
        ):
            for _ in range(1000):
                group.start_soon(create, session)
    assert len(server.requests) == 1000
    assert len(server.connections) <= 100
