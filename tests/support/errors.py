"""The errors of calls, and what they show."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Iterator

import pytest

from plastiq_async import PlastiqError


async def error_of(call: Awaitable[object]) -> PlastiqError:
    """Return the error that a call ends in."""
    with pytest.raises(PlastiqError) as info:
        await call
    return info.value


def frames_of(error: BaseException) -> Iterator[str]:
    """Yield the traceback with the local variables of all frames but those of tests."""
    for one in (error, error.__cause__, error.__context__):
        frame = one.__traceback__ if one else None
        while frame and "/tests/" in frame.tb_frame.f_code.co_filename:
            frame = frame.tb_next
        if one:
            kind = type(one)
            yield from traceback.TracebackException(
                kind, one, frame, capture_locals=True
            ).format()
