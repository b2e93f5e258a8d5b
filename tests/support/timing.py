"""Helpers that wait for a condition and check when a call ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

PATIENCE = 0.3


async def eventually(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds, at most ten seconds."""
    with anyio.fail_after(10):
        while not condition():  # noqa: ASYNC110 -- threads cannot set an anyio event
            await anyio.sleep(0.005)


@asynccontextmanager
async def in_time(margin: float = 0.1) -> AsyncIterator[None]:
    """Check that the block takes `PATIENCE` seconds, within a margin.

    Timers are late on a busy machine, so the margin grows by the measured lateness.
    """
    due = anyio.current_time() + PATIENCE
    late = 0.0

    async def watch() -> None:
        nonlocal late
        await anyio.sleep_until(due)
        late = anyio.current_time() - due

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        yield
        ended = anyio.current_time()
    assert due <= ended < due + late + margin
