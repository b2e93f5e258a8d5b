"""The errors of calls, and what they show."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Iterator
from typing import Any

import pytest

from plastiq_async import PlastiqError


async def error_of(call: Awaitable[Any]) -> PlastiqError:
    """Return the error that a call ends in."""
    with pytest.raises(PlastiqError) as info:
        await call
    return info.value


def frames_of(error: BaseException) -> Iterator[str]:
    """Yield the text of a traceback with the local variables of its frames.

    The first frames, of tests, are left out. Causes and contexts are included, also
    contexts that `raise ... from None` hides.
    """
    first = error.__traceback__
    while first and "/tests/" in first.tb_frame.f_code.co_filename:
        first = first.tb_next
    reported = traceback.TracebackException(
        type(error), error, first, capture_locals=True
    )
    yield from reported.format()
    for one in (error.__cause__, error.__context__):
        if one:
            yield from frames_of(one)
