"""Helpers that cancel a call after a given number of event loop steps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress

import anyio
from anyio.lowlevel import checkpoint

Canceller = Callable[[Callable[[], Coroutine[None, None, None]], int], Awaitable[None]]


async def cancel_with_anyio(
    function: Callable[[], Coroutine[None, None, None]], steps: int
) -> None:
    """Cancel `function` through its cancel scope after `steps` event loop steps."""
    async with anyio.create_task_group() as group:
        group.start_soon(function)
        for _ in range(steps):
            await checkpoint()
        group.cancel_scope.cancel()


async def cancel_natively(
    function: Callable[[], Coroutine[None, None, None]], steps: int
) -> None:
    """Cancel `function` twice as an asyncio task after `steps` event loop steps."""
    task = asyncio.ensure_future(function())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def cancellers(backend: str) -> list[Canceller]:
    """Return the cancellation helpers that work on the `backend`."""
    natively = [cancel_natively] if backend == "asyncio" else []
    return [cancel_with_anyio, *natively]
