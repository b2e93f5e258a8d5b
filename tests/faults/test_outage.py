"""Fault 20: an outage is not made worse by retries."""

from __future__ import annotations

import anyio
import pytest

from plastiq_async import ServiceUnavailableError
from tests.faults.conftest import Connect
from tests.helpers import PAYER
from tests.servers import Server
from tests.steps import answer

CALLERS = 50
# What 50 callers with real back-offs make in 30 seconds; without waits it takes less.
CALLS = 3000
CAPACITY = 100


@pytest.mark.usefixtures("quick_retries")
async def test_outage(connect: Connect) -> None:
    """Fault 20: of nothing but 503, each call soon sees one; then all is well again."""
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
