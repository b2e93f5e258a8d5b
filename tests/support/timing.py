"""Helpers that wait for a condition and check when a call ends."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

PATIENCE = 0.3
_TICK = 0.01


async def eventually(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds, at most ten seconds."""
    with anyio.fail_after(10):
        while not condition():  # noqa: ASYNC110 -- threads cannot set an anyio event
            await anyio.sleep(0.005)


@asynccontextmanager
async def in_time(
    patience: float = PATIENCE, *, margin: float = 0.1
) -> AsyncIterator[None]:
    """Check that the block takes `patience` seconds, within a margin.

    The event loop is late on a busy machine, for the block's own timer and for each
    step after it. So the margin grows by the lateness of other timers from then on.
    """
    due = anyio.current_time() + patience
    late = 0.0
    ended = math.inf

    async def watch() -> None:
        nonlocal late
        tick = due
        while tick < ended:
            await anyio.sleep_until(tick)
            now = anyio.current_time()
            late += now - tick
            tick = now + _TICK

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        yield
        ended = anyio.current_time()
    assert due <= ended < due + late + margin
