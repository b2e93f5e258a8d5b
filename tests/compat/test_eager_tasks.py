"""`asyncio.eager_task_factory`: tasks that start before they are scheduled."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest

from plastiq_async import APITimeoutError, PlastiqSession
from tests.support.cancellers import cancellers
from tests.support.sessions import PAYER, session_for
from tests.support.socket_server import Server
from tests.support.steps import answer, drop, ignore

if sys.version_info < (3, 12):
    pytest.skip("eager tasks are new in Python 3.12", allow_module_level=True)

pytestmark = pytest.mark.parametrize("transport", ["httpx", "aiohttp"])


def make_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop whose tasks are eager."""
    loop = asyncio.new_event_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    return loop


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `main` with eager tasks."""
    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(main())


def test_calls(transport: Any) -> None:
    """Calls succeed in eager tasks, many at once and again on kept connections."""

    async def main() -> None:
        async with session_for(server, transport=transport) as session:
            for _ in range(2):
                calls = [session.client_secrets.create(PAYER) for _ in range(20)]
                await asyncio.gather(*calls)
                async with asyncio.TaskGroup() as tasks:
                    for _ in range(20):
                        tasks.create_task(session.client_secrets.create(PAYER))
                async with anyio.create_task_group() as group:
                    for _ in range(20):
                        group.start_soon(session.client_secrets.create, PAYER)

    with Server(drop, answer()) as server:
        run(main)
    assert len(server.requests) == 121
    assert len(server.connections) <= 21


def test_deadline_and_cancellation(transport: Any) -> None:
    """Calls without a response end at their deadline or when cancelled."""

    async def main() -> None:
        async with session_for(server, transport=transport) as session:

            async def create() -> None:
                await session.client_secrets.create(PAYER)

            with pytest.raises(APITimeoutError):
                await asyncio.create_task(expire(session))
            for cancel in cancellers("asyncio"):
                for steps in (0, 1, 5, 50):
                    await cancel(create, steps)
            server.play(answer())
            await create()

    async def expire(session: PlastiqSession) -> None:
        await session.client_secrets.create(PAYER, timeout=0.2)

    with Server(ignore) as server:
        run(main)
