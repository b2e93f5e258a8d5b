"""Faults 1, 2 and 3: cancellation at any step, many cancellations, and bursts."""

from __future__ import annotations

import asyncio
import math
from functools import partial

import anyio
import pytest

from plastiq_async import PlastiqSession
from tests.support.cancellers import cancellers
from tests.support.sessions import PAYER
from tests.support.socket_server import Server
from tests.support.steps import answer
from tests.support.timing import eventually
from tests.support.wirings import Connect

ENOUGH = 500


async def create(session: PlastiqSession) -> None:
    """Make one call."""
    await session.client_secrets.create(PAYER)


@pytest.mark.slow
@pytest.mark.parametrize("warm", [False, True])
async def test_cancelled_at_every_step(
    anyio_backend: str, connect: Connect, *, warm: bool
) -> None:
    """Fault 1: a call that is cancelled at any step frees its connection."""
    with Server(answer()) as server:
        for cancel in cancellers(anyio_backend):
            for steps in range(40):
                async with connect(server, max_connections=1) as session:
                    if warm:
                        await create(session)
                    await cancel(partial(create, session), steps)
                    await create(session)
        await eventually(lambda: server.open_connections == 0)


@pytest.mark.slow
@pytest.mark.fails_on_httpx
async def test_churn(anyio_backend: str, connect: Connect) -> None:
    """Fault 2: after seconds of cancellations, the session still works."""
    connections, callers = 10, 20
    cancelled = 0

    async def caller(session: PlastiqSession, number: int) -> None:
        nonlocal cancelled
        patience = 0.0002
        end = anyio.current_time() + 5
        # A busy machine takes longer than these five seconds for enough of them.
        while anyio.current_time() < end or cancelled < ENOUGH:
            # Varies from far too short to almost enough, without repeating.
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
            async with anyio.create_task_group() as group:
                for _ in range(100):
                    group.start_soon(create, session)
            await eventually(lambda: server.open_connections <= connections)
        await eventually(lambda: server.open_connections == 0)


@pytest.mark.slow
@pytest.mark.fails_on_httpx
async def test_burst(connect: Connect) -> None:
    """Fault 3: 1000 concurrent calls, ten times the connections, all succeed."""
    with Server(answer(delay=0.1)) as server:
        async with (
            connect(server) as session,
            anyio.create_task_group() as group,
        ):
            for _ in range(1000):
                group.start_soon(create, session)
    assert len(server.requests) == 1000
    assert len(server.connections) <= 100
