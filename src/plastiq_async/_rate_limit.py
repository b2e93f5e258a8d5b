"""`RateLimiter`, the protocol of rate limits, and `RequestRate`, the built-in one."""

import math
from typing import Protocol

import anyio

# A minute, and how much longer one request may take to the server than another, such as
# for a new connection.
_WINDOW = 60.0 + 1.0
# Requests that may be sent at once after a quiet time.
_LARGEST_BURST = 10
_BURST_SHARE = 20
_LONGEST_HOLD = 10.0


class RateLimiter(Protocol):
    """A rate limit that a session consults before each attempt.

    Retries are attempts, and so is a request that is sent again with a new token.
    Several sessions may share a limiter, also in several processes, because the API
    limits the requests of a key.

    What its methods raise ends the call and reaches the caller unchanged, except that a
    `PlastiqError` gets the attributes of the call. What they return wrongly is a
    `HookError`.
    """

    async def reserve(self) -> float:
        """Take the next free slot for one request.

        It runs within the deadline of the call. At the deadline, or if its task is
        cancelled, it is cancelled. The first attempt of a call in `bulk` or
        `create_many` has no deadline yet, so limit the time that you wait for a server.

        A call whose deadline is too near for the wait fails at once, and one that is
        cancelled while it waits is never sent. The slot is lost in either case. Where
        more calls are made than the limit allows, return no wait of many seconds
        therefore: wait in here until a slot is free, then take it and return 0.

        Returns:
            The seconds from now until the slot. If it is 0 or less, it is now.
        """
        ...

    def throttled(self, retry_after: float | None) -> None:
        """Handle a 429.

        It is called in the event loop, so it must not block. The session itself begins
        no attempts until `retry_after` is over, at most 10 seconds.

        Args:
            retry_after: The seconds to wait, as the API asks. None if it did not ask.
        """
        ...


def hold_after(retry_after: float | None) -> float:
    """Return for how many seconds a 429 holds all attempts of a session."""
    # Imported already by the retry loop. Its test mode removes waits.
    from stamina import is_testing  # noqa: PLC0415

    return 0.0 if is_testing() else min(retry_after or 0.0, _LONGEST_HOLD)


def spread(per_minute: int) -> tuple[float, float]:
    """Return the time between slots, and how much earlier the first of a burst may be.

    Any window then has at most `per_minute` slots: the burst, and one for each interval
    that fits into the window.
    """
    burst = max(1, min(_LARGEST_BURST, per_minute // _BURST_SHARE))
    interval = _WINDOW / (per_minute - burst + 1)
    return interval, (burst - 1) * interval


class TokenBucket:
    """Token bucket: slots for requests, at most `per_minute` in any 61 seconds.

    A burst of a twentieth of the limit, at most 10, is available at once. The rest of
    the limit is spread evenly over the minute.

    Args:
        per_minute: The limit.

    Attributes:
        interval: The seconds between two slots once the burst is used up.
    """

    def __init__(self, per_minute: int) -> None:
        self.interval, self._early = spread(per_minute)
        self._next = -math.inf

    def next_slot(self, now: float) -> float:
        """Return the time of the next slot; it is free if this is not after `now`."""
        return max(self._next, now - self._early)

    def take(self, now: float) -> None:
        """Take the next slot, which must be free."""
        self._next = self.next_slot(now) + self.interval

    def hold(self, until: float) -> None:
        """Offer no slot before `until`, and no burst then."""
        self._next = max(self._next, until)


class RequestRate(RateLimiter):
    """Rate limit for the requests of one session, first come, first served.

    A slot is taken at the moment at which it is used. So none is lost with a call that
    is cancelled while it waits, and those behind it move up.
    """

    def __init__(self, per_minute: int) -> None:
        self._bucket = TokenBucket(per_minute)
        self._queue = anyio.Lock(fast_acquire=True)
        self._waiting = 0

    def expected_wait(self) -> float:
        """Return the seconds that `reserve` would take now, unless others give up."""
        now = anyio.current_time()
        queue = self._waiting * self._bucket.interval
        return max(0.0, self._bucket.next_slot(now) + queue - now)

    async def reserve(self) -> float:
        """Wait for a free slot, take it, and return 0."""
        self._waiting += 1
        try:
            async with self._queue:
                now = anyio.current_time()
                # The clock decides, and a 429 may put the slot off in the meantime.
                while (slot := self._bucket.next_slot(now)) > now:
                    await anyio.sleep_until(slot)
                    now = anyio.current_time()
                self._bucket.take(now)
        finally:
            self._waiting -= 1
        return 0.0

    def throttled(self, retry_after: float | None) -> None:
        """Offer no slot for as long as asked, and no burst, as others use the key."""
        self._bucket.hold(anyio.current_time() + hold_after(retry_after))
