"""Contracts of hooks: their names in errors, wrong results, stray cancellations."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable

import anyio
import sniffio

from plastiq_async.errors import HookError


def name_hook(role: str, hook: object) -> str:
    """Return the name of a hook for an error, such as ``middleware tenant``."""
    while isinstance(hook, functools.partial):
        hook = hook.func
    name = getattr(hook, "__qualname__", None) or type(hook).__qualname__
    return f"{role} {name}"


def wrong_result(role: str, hook: object, result: object, expected: str) -> HookError:
    """Return the error for a hook that returned something else than `expected`."""
    if inspect.iscoroutine(result):
        result.close()  # or Python would warn that it was never awaited
    found = "None" if result is None else f"a {type(result).__qualname__}"
    return HookError(f"{name_hook(role, hook)} returned {found}, not {expected}")


def stray_cancellation(name: str) -> HookError:
    """Return the error for a stray `CancelledError` of the hook called `name`."""
    return HookError(f"{name} awaited something cancelled, but its task was not")


def is_stray(error: BaseException) -> bool:
    """Return whether `error` is a `CancelledError`, though nobody cancelled the task.

    asyncio raises it if somebody cancelled a future or a task that this task awaited.
    On trio, only a cancelled task gets a ``Cancelled``.
    """
    if sniffio.current_async_library() != "asyncio":
        return False
    from asyncio import current_task  # noqa: PLC0415, TID251 -- anyio cannot tell

    task = current_task()
    return (
        isinstance(error, anyio.get_cancelled_exc_class())
        and task is not None
        and task.cancelling() == 0
        and anyio.current_effective_deadline() > -math.inf
    )


async def call_hook(
    role: str, hook: Callable[..., object], *arguments: object
) -> object:
    """Return the result of an async hook.

    Raises:
        HookError: The hook is not async, or raised a stray `CancelledError`.
    """
    try:
        result = hook(*arguments)
        if inspect.isawaitable(result):
            return await result
    except anyio.get_cancelled_exc_class() as error:
        if is_stray(error):
            raise stray_cancellation(name_hook(role, hook)) from error
        raise
    raise wrong_result(role, hook, result, "an awaitable")
