"""`RateLimit`, the limit of requests in a minute."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from plastiq_async.testing._errors import ApiError

__all__ = ["RateLimit"]

MINUTE = timedelta(seconds=60)


class RateLimit:
    """A limit of the requests in any 60 seconds, off at first.

    Args:
        now: Returns the current time, timezone-aware.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._per_minute: int | None = None
        # The times of the last requests, oldest first.
        self._times: deque[datetime] = deque()

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
        self._per_minute = per_minute
        self._times = deque(maxlen=per_minute)

    def count(self) -> None:
        """Count a request.

        Raises:
            ApiError: There were too many in the last 60 seconds.
        """
        if self._per_minute is None:
            return
        now = self._now()
        if len(self._times) == self._per_minute:
            wait = (self._times[0] + MINUTE - now).total_seconds()
            if wait > 0:
                raise ApiError(429, headers={"Retry-After": str(math.ceil(wait))})
        self._times.append(now)
