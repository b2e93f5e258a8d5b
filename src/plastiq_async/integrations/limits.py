"""Rate limiter on Redis: one limit for all processes that use the same API key.

::

    async with Redis.from_url(os.environ["REDIS_URL"]) as redis:
        limiter = RedisRateLimiter(redis, name="live", max_requests_per_minute=200)
        async with PlastiqSession(rate_limiter=limiter) as plastiq:
            ...

Requires the extra ``plastiq-async[redis]`` and Redis 5 or later, or Valkey. It runs on
asyncio only, because redis-py does.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any, Literal

import anyio

from plastiq_async._config import check_count, check_timeout
from plastiq_async._logging import logger
from plastiq_async._missing import explain_missing
from plastiq_async._rate_limit import RateLimiter, hold_after, spread
from plastiq_async._secrets import hide
from plastiq_async.errors import APIConnectionError, ConfigurationError
from plastiq_async.integrations._trace_ids import check_name

try:
    from redis.asyncio import Redis
    from redis.exceptions import RedisError
except ModuleNotFoundError as _error:
    raise explain_missing(
        _error, "redis.asyncio", "'plastiq-async[redis]'", __name__
    ) from None

__all__ = ["RedisRateLimiter"]

# How long a 429 without `Retry-After` holds requests, in seconds.
_DEFAULT_HOLD = 1.0
# Commands in flight. More would need a connection each.
_COMMANDS = 8
# How long Redis is left alone after a failure, so that few calls wait for it.
_PAUSE = 1.0
# In place of an infinite wait, in seconds.
_FOREVER = 1e9

# The generic cell rate algorithm (GCRA). The key holds the time at which a whole burst
# is possible again. All times are in microseconds, by the clock of Redis.
_SCRIPT = """
local interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local hold, longest_wait = tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
if hold > 0 then
    full = math.max(full, now + hold + tolerance)
end
local wait = math.max(0, full - tolerance - now)
if wait <= longest_wait then
    full = full + interval
end
if full > now then
    local lifetime = math.ceil((full - now) / 1000)
    redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', lifetime)
end
return math.ceil(wait)
"""


class RedisRateLimiter(RateLimiter):
    """One limit of requests per minute, shared by all processes through Redis.

    Pass it to ``PlastiqSession(rate_limiter=)`` in each process. In no minute do the
    processes together send more requests than the limit, and under load they use more
    than 90 % of it, if it is 20 or more. The clock is that of Redis, so those of the
    machines may differ. A request costs one command of Redis, in one small key.

    A call whose turn would come after its deadline takes no slot, so that calls that
    fail do not delay others. It waits until its deadline, which may be extended. A call
    that is cancelled while it waits for its slot leaves it unused.

    After a 429, no process takes a slot for the time in ``Retry-After``, at most 10
    seconds. Calls of other processes that wait for their slot already are not held.

    Args:
        redis: The client, which stays yours to close. It needs the commands ``EVAL``,
            ``TIME``, ``GET`` and ``SET``, and belongs to the event loop of the session.
        name: Name of the limit, such as ``"live"``, without blanks. All processes
            that use the same API key must use the same name and the same limit. It is
            part of the key in Redis, ``plastiq-async:rate-limit:{name}``, and must not
            contain the access token.
        max_requests_per_minute: The limit, 1 or more. The API's default is 200.
        when_unavailable: What happens to a request while Redis cannot be used:
            ``"proceed"`` sends it without a limit ("fail open"), except that a 429
            holds the requests of its process; ``"raise"`` raises an
            `APIConnectionError` ("fail closed").
        timeout: Longest time in seconds that a request waits for Redis. After a
            failure, requests do not ask Redis for one second.

    Raises:
        ConfigurationError: A setting is not usable; the error names it.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        name: str,
        max_requests_per_minute: int,
        when_unavailable: Literal["proceed", "raise"] = "proceed",
        timeout: float = 1.0,
    ) -> None:
        redis = hide(redis)  # it may be a URL by mistake
        if not isinstance(redis, Redis):
            raise ConfigurationError("redis must be a redis.asyncio.Redis")
        check_name("name", name)
        limit = check_count("max_requests_per_minute", max_requests_per_minute, least=1)
        if when_unavailable not in ("proceed", "raise"):
            msg = 'when_unavailable must be "proceed" or "raise"'
            raise ConfigurationError(msg)
        self._redis = redis
        self._key = f"plastiq-async:rate-limit:{name}"
        self._interval, self._tolerance = spread(limit)
        self._raises = when_unavailable == "raise"
        self._timeout = check_timeout(timeout)
        self._commands = anyio.Semaphore(_COMMANDS, fast_acquire=True)
        self._available = True
        # Times of the event loop's clock.
        self._paused_until = 0.0
        self._held_until = 0.0
        self._last_slot = 0.0
        self._tasks: set[asyncio.Task[float | None]] = set()

    async def reserve(self) -> float:
        """Take the next slot, and return the seconds until it.

        While the slot is after the deadline of the enclosing cancel scopes, wait
        without taking it.

        Raises:
            APIConnectionError: Redis cannot be used, and `when_unavailable` is
                ``"raise"``.
        """
        deadline = anyio.current_effective_deadline()
        while (wait := await self._ask(deadline)) == math.inf:
            await anyio.sleep_until(deadline)
            deadline = anyio.current_effective_deadline()  # it has been extended
        if wait is not None:
            return wait
        if self._raises:
            raise APIConnectionError("the Redis of the rate limiter is not available")
        return max(0.0, self._held_until - anyio.current_time())

    def throttled(self, retry_after: float | None) -> None:
        """Hold the requests of all processes after a 429.

        This process is held at once, the others as soon as Redis has been told, in a
        task of its own.

        Args:
            retry_after: Seconds to hold, at most 10. None, for a 429 without
                ``Retry-After``, is one second.
        """
        hold = hold_after(_DEFAULT_HOLD if retry_after is None else retry_after)
        self._held_until = max(self._held_until, anyio.current_time() + hold)
        task = asyncio.get_running_loop().create_task(self._ask(-math.inf))
        self._tasks.add(task)  # or it could be collected as garbage
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, deadline: float) -> float | None:
        """Take the next slot if it is before `deadline`.

        Returns:
            The seconds until the slot. Infinity if it was not taken, and None if Redis
            cannot be used.
        """
        async with self._commands:
            now = anyio.current_time()
            if now < self._paused_until:
                return None
            # Not before the own slots, since Redis may have lost its data.
            hold = max(self._held_until, self._last_slot) - now
            longest_wait = max(-1.0, min(deadline - now, _FOREVER))
            seconds = (self._interval, self._tolerance, hold, longest_wait)
            try:
                async with asyncio.timeout(self._timeout):
                    command: Any = self._redis.eval(
                        _SCRIPT, 1, self._key, *(str(one * 1e6) for one in seconds)
                    )
                    wait = int(await command) / 1e6
            except (RedisError, OSError) as error:  # a TimeoutError is an OSError
                self._note_failure(error)
                return None
        self._note_recovery()
        if wait > longest_wait:
            return math.inf
        self._last_slot = max(self._last_slot, now + wait)
        return wait

    def _note_failure(self, error: Exception) -> None:
        self._paused_until = anyio.current_time() + _PAUSE
        if self._available:
            self._available = False
            logger.warning(
                "the Redis of the rate limiter is not available (%s): %s",
                type(error).__name__,  # not its text, which may quote the password
                "calls fail" if self._raises else "requests are not limited",
            )

    def _note_recovery(self) -> None:
        if not self._available:
            self._available = True
            logger.warning("the Redis of the rate limiter is available again")
