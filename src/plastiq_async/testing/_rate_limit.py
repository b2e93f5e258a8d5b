"""Limits of events in a time: `count_event`, and `RateLimit` for requests."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from plastiq_async.testing._errors import ApiError

__all__ = ["RateLimit", "count_event"]

MINUTE = timedelta(seconds=60)


def count_event(
    times: deque[datetime], now: datetime, window: timedelta, *details: str
) -> None:
    """Count an event, of which there may be `times.maxlen` in any `window`.

    Args:
        times: The times of the last events, oldest first. `now` is appended.
        now: The current time.
        window: The time in which the events are limited.
        *details: What the error says.

    Raises:
        ApiError: There were too many. It says when to retry, and nothing was counted.
    """
    if len(times) == times.maxlen:
        wait = (times[0] + window - now).total_seconds()
        if wait > 0:
            headers = {"Retry-After": str(math.ceil(wait))}
            raise ApiError(429, *details, headers=headers)
    times.append(now)


class RateLimit:
    """A limit of the requests in any 60 seconds, off at first.

    Args:
        now: Returns the current time, timezone-aware.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        # The times of the last requests, oldest first; None if there is no limit.
        self._times: deque[datetime] | None = None

    def set(self, per_minute: int | None) -> None:
        """Set the limit, and forget the requests so far.

        Args:
            per_minute: Number of requests, at least 1; None for no limit.

        Raises:
            ValueError: `per_minute` is less than 1.
        """
        if per_minute is not None and not per_minute >= 1:
            msg = f"per_minute must be at least 1, not {per_minute}"
            raise ValueError(msg)
        self._times = None if per_minute is None else deque(maxlen=per_minute)

    def count(self) -> None:
        """Count a request.

        Raises:
            ApiError: There were too many in the last 60 seconds.
        """
        if self._times is not None:
            count_event(self._times, self._now(), MINUTE)
