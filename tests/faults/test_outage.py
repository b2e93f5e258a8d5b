"""Fault 20: outages, and how many retries they cause."""

from __future__ import annotations

import anyio
import pytest

from plastiq_async import ServiceUnavailableError
from tests.support.sessions import PAYER
from tests.support.socket_server import Server
from tests.support.steps import answer
from tests.support.wirings import Connect

CALLERS = 50
# The number of calls of 50 callers in 30 seconds with real back-offs.
CALLS = 3000
CAPACITY = 100


@pytest.mark.slow
@pytest.mark.usefixtures("quick_retries")
async def test_outage(connect: Connect) -> None:
    """Fault 20: during an outage retries stop, and they resume after it."""
    attempts: list[int] = []

    async def caller() -> None:
        while len(attempts) < CALLS:
            with pytest.raises(ServiceUnavailableError) as info:
                await session.client_secrets.create(PAYER)
            attempts.append(info.value.attempts)

    with Server(answer(503)) as server:
        async with connect(server) as session:
            async with anyio.create_task_group() as group:
                for _ in range(CALLERS):
                    group.start_soon(caller)
            assert len(server.requests) == sum(attempts) == len(attempts) + CAPACITY
            assert set(attempts[-CALLS // 2 :]) == {1}
            server.requests.clear()

            server.play(answer())
            for _ in range(10):
                await session.client_secrets.create(PAYER)
            server.play(answer(503), answer())
            secret = await session.client_secrets.create(PAYER)
            assert secret.response.attempts == 2
