"""A worker process that makes calls under the limit of `RedisRateLimiter`.

::

    python -m tests.support.limited_caller URL REDIS-URL WHEN CLOCK-ERROR

It prints a line once a call has succeeded. When its stdin ends, it prints how many
calls ended in each error, as JSON. Its limit is `LIMIT` requests in `WINDOW` seconds,
so that a test need not last for minutes.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from typing import Any

import anyio
import anyio.to_thread
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from plastiq_async import PlastiqError, PlastiqSession, _rate_limit
from plastiq_async.integrations.limits import RedisRateLimiter
from tests.support.sessions import PAYER, TOKEN

# 1,200 requests a minute.
LIMIT = 400
WINDOW = 20.0
CALLERS = 8


async def main(url: str, redis_url: str, when: Any) -> Counter[str]:
    """Make calls until stdin ends; return how many ended in each error."""
    errors: Counter[str] = Counter()
    # A refused connection is noticed at once, and a busy machine is no refusal.
    async with Redis.from_url(redis_url, retry=Retry(NoBackoff(), 1)) as redis:
        limiter = RedisRateLimiter(
            redis,
            name="tests",
            max_requests_per_minute=LIMIT,
            when_unavailable=when,
            timeout=10,
        )

        async def make_calls() -> None:
            while True:
                try:
                    await session.client_secrets.create(PAYER)
                except PlastiqError as error:
                    errors[type(error).__name__] += 1
                await anyio.sleep(0.05)  # also without a limit

        async with (
            PlastiqSession(TOKEN, base_url=url, rate_limiter=limiter) as session,
            anyio.create_task_group() as group,
        ):
            # The first call of a process takes longer than others.
            await session.client_secrets.create(PAYER)
            print(flush=True)  # noqa: T201 -- a program
            for _ in range(CALLERS):
                group.start_soon(make_calls)
            await anyio.to_thread.run_sync(sys.stdin.read)
            group.cancel_scope.cancel()
    return errors


if __name__ == "__main__":
    api, store, choice, clock_error = sys.argv[1:]
    real_time = time.time
    time.time = lambda: real_time() + float(clock_error)
    _rate_limit._WINDOW += WINDOW - 60
    print(json.dumps(anyio.run(main, api, store, choice)))  # noqa: T201 -- a program
