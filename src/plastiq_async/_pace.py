"""`Pace`: pacing of attempts by the rate limit and by 429s."""

import math
from contextvars import ContextVar

import anyio

from plastiq_async._config import check_count
from plastiq_async._hooks import call_hook, wrong_result
from plastiq_async._rate_limit import RateLimiter, RequestRate, hold_after
from plastiq_async._validate import is_seconds
from plastiq_async.errors import ConfigurationError

paced_first: ContextVar[bool] = ContextVar("plastiq_paced_first", default=False)
"""Whether the deadline of a call starts when the rate limit lets it begin."""


class Pace:
    """Pacing of the attempts of a session by its rate limit and by 429s.

    Args:
        limiter: The rate limit, if there is one.

    Attributes:
        active: Whether there is a rate limit or a hold.
        held: Whether a 429 holds all attempts. It may be over already.
    """

    def __init__(self, limiter: RateLimiter | None = None) -> None:
        self.active: bool = limiter is not None
        self.held: bool = False
        self._limiter = limiter
        self._held_until = -math.inf
        self._turn = anyio.Lock(fast_acquire=True)

    async def wait(self, deadline: float) -> bool:
        """Wait until another attempt may begin.

        Returns:
            Whether it may. False at once if the wait would reach `deadline`.
        """
        while await self.wait_for_hold(deadline):
            if self._limiter is None:
                return True
            if not await self._wait_for_slot(self._limiter, deadline):
                return False
            # A 429 of another call may have come in the meantime.
            if self._held_until <= anyio.current_time():
                return True
        return False

    async def wait_in_turn(self, deadline: float) -> bool:
        """As `wait`, one caller at a time, so that others need not queue behind all."""
        async with self._turn:
            return await self.wait(deadline)

    async def wait_for_hold(self, deadline: float) -> bool:
        """As `wait`, but only until no 429 holds all attempts any more."""
        while self._held_until > anyio.current_time():
            if self._held_until >= deadline:
                return False
            await anyio.sleep_until(self._held_until)
        self.held = False
        self.active = self._limiter is not None
        return True

    def throttled(self, retry_after: float | None) -> None:
        """Hold all attempts for as long as a 429 asks, and tell the rate limiter."""
        hold = hold_after(retry_after)
        if hold > 0:
            until = anyio.current_time() + hold
            self._held_until = max(self._held_until, until)
            self.active = self.held = True
        if self._limiter is not None:
            hook = self._limiter.throttled
            result: object = hook(retry_after)
            if result is not None:
                raise wrong_result("rate limiter", hook, result, "None")

    async def _wait_for_slot(self, limiter: RateLimiter, deadline: float) -> bool:
        """Take a slot of `limiter`, unless it comes too late, and wait for it."""
        if isinstance(limiter, RequestRate):
            expected = anyio.current_time() + limiter.expected_wait()
            if expected >= deadline:
                return False
        wait = await self._reserve(limiter)
        due = anyio.current_time() + wait
        if due >= deadline:
            return False
        if wait > 0:
            await anyio.sleep_until(due)
        return True

    @staticmethod
    async def _reserve(limiter: RateLimiter) -> float:
        """Return the seconds until the slot that `limiter` has reserved."""
        wait = await call_hook("rate limiter", limiter.reserve)
        if is_seconds(wait):
            return wait
        raise wrong_result("rate limiter", limiter.reserve, wait, "a number of seconds")


def make_pace(per_minute: int | None, limiter: RateLimiter | None) -> Pace:
    """Return the pace of a session with these settings."""
    if per_minute is None:
        if limiter is not None and not _is_limiter(limiter):
            msg = "rate_limiter must have the methods reserve and throttled"
            raise ConfigurationError(msg)
        return Pace(limiter)
    if limiter is not None:
        msg = "max_requests_per_minute and rate_limiter cannot be used together"
        raise ConfigurationError(msg)
    return Pace(
        RequestRate(check_count("max_requests_per_minute", per_minute, least=2))
    )


def _is_limiter(value: object) -> bool:
    return all(
        callable(getattr(value, name, None)) for name in ("reserve", "throttled")
    )
