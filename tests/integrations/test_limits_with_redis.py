"""The rate limiter with a real Redis: the limit itself, also of four processes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import anyio
import pytest
from redis.asyncio import Redis
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plastiq_async.integrations.limits import RedisRateLimiter
from plastiq_async.testing import FakePlastiq
from tests.support.limited_caller import LIMIT, WINDOW
from tests.support.programs import Program, running
from tests.support.redis_program import redis_program, url_of
from tests.support.sessions import TOKEN
from tests.support.uvicorn_server import in_uvicorn

if shutil.which("redis-server") is None:
    pytest.skip("the program redis-server is missing", allow_module_level=True)

pytestmark = pytest.mark.slow

KEY = "plastiq-async:rate-limit:tests"
INTERVAL = 61 / 191  # of 200 requests a minute, of which 10 are a burst
SLOTS_A_SECOND = LIMIT / WINDOW


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio only, because redis-py requires it."""
    return "asyncio"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Program]:
    """Run a Redis server."""
    with running(redis_program(tmp_path)) as server:
        yield server


@pytest.fixture
async def redis(server: Program) -> AsyncIterator[Redis]:
    """Return a client of the server."""
    async with Redis.from_url(url_of(server)) as client:
        yield client


def limiter_on(redis: Redis, *, name: str = "tests") -> RedisRateLimiter:
    """Return a limiter of 200 requests a minute."""
    return RedisRateLimiter(redis, name=name, max_requests_per_minute=200, timeout=30)


async def test_slots(redis: Redis) -> None:
    """After a burst, slots are an interval apart, whichever process takes them."""
    started = anyio.current_time()
    limiters = [limiter_on(redis), limiter_on(redis)]
    waits = [await limiters[index % 2].reserve() for index in range(20)]
    elapsed = anyio.current_time() - started
    assert waits[:10] == [0] * 10
    for index, wait in enumerate(waits[10:], 1):
        assert index * INTERVAL - elapsed <= wait <= index * INTERVAL + 1e-3


async def test_names(redis: Redis) -> None:
    """Limits of different names are apart."""
    waits = [await limiter_on(redis).reserve() for _ in range(20)]
    assert waits[-1] > 0
    assert await limiter_on(redis, name="others").reserve() == 0


async def test_key(redis: Redis) -> None:
    """Redis holds one small key, which expires once the whole burst is available."""
    for _ in range(12):
        await limiter_on(redis).reserve()
    assert await redis.keys() == [KEY.encode()]
    assert await redis.strlen(KEY) == 16
    assert 11 * INTERVAL - 3 < await redis.pttl(KEY) / 1000 <= 12 * INTERVAL + 0.01


async def test_no_slot_after_the_deadline(redis: Redis) -> None:
    """Calls that cannot wait for their turn do not delay those that can."""
    limiter = limiter_on(redis)
    for _ in range(60):
        await limiter.reserve()
    before = await redis.get(KEY)
    with anyio.move_on_after(2):
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(limiter.reserve)
    assert await redis.get(KEY) == before
    assert await limiter.reserve() < 51 * INTERVAL + 0.01


async def test_throttled(redis: Redis) -> None:
    """A 429 holds the other processes, too, and there is no burst after it."""
    limiter, other = limiter_on(redis), limiter_on(redis)
    assert await other.reserve() == 0
    limiter.throttled(8.0)
    with anyio.fail_after(30):
        while await redis.pttl(KEY) < 7000:  # noqa: ASYNC110 -- Redis has no event
            await anyio.sleep(0.01)
    wait = await other.reserve()
    assert 5 < wait <= 8
    later = await limiter.reserve()
    assert wait < later <= wait + INTERVAL + 0.01


async def test_lost_data(redis: Redis) -> None:
    """A process does not get its own slots again if Redis loses its data."""
    limiter = limiter_on(redis)
    waits = [await limiter.reserve() for _ in range(40)]
    await redis.flushall()
    assert await limiter.reserve() > waits[-1] - 5 > 0


async def test_any_encoding(server: Program) -> None:
    """A client that decodes responses can be used, too."""
    async with Redis.from_url(url_of(server), decode_responses=True) as client:
        limiter = limiter_on(client)
        waits = [await limiter.reserve() for _ in range(11)]
    assert waits[-1] > 0


class Arrivals:
    """ASGI middleware that records the requests.

    Attributes:
        times: When each request arrived, in order.
        statuses: How many had each status code.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.times: list[float] = []
        self.statuses: Counter[int] = Counter()
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        self.times.append(time.monotonic())

        async def record(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.statuses[message["status"]] += 1
            await send(message)

        await self._app(scope, receive, record)

    def since(self, start: float) -> int:
        """Return how many requests have arrived since then."""
        return len(self.times) - bisect_left(self.times, start)

    def in_last_second(self) -> int:
        """Return how many requests arrived in the last second."""
        return self.since(time.monotonic() - 1)

    def most(self, window: float) -> int:
        """Return the most requests in any time of this length."""
        return max(self.since(one) - self.since(one + window) for one in self.times)


class Callers:
    """Worker processes that make calls; their clocks differ.

    Args:
        redis: The Redis server of their limiters.
        when: What they do without Redis.
        count: How many there are.
        limited: Whether the fake has a limit of its own.
    """

    def __init__(
        self, redis: Program, when: str, *, count: int = 2, limited: bool = True
    ) -> None:
        # Its minute is as short as that of the limiters.
        start, speed = time.monotonic(), 60 / WINDOW
        fake = FakePlastiq(
            access_tokens=[TOKEN],
            clock=lambda: 1.8e9 + (time.monotonic() - start) * speed,
        )
        fake.limit_requests(LIMIT if limited else None)
        self.arrivals = Arrivals(fake.app)
        self.errors: Counter[str] = Counter()
        self._arguments = [url_of(redis), when]
        self._clock_errors = [0, -3600, 7, 86400][:count]

    @contextmanager
    def calling(self) -> Iterator[Arrivals]:
        """Make calls during the block; afterwards, `errors` are complete."""
        with in_uvicorn(self.arrivals, lifespan="off") as url, ExitStack() as stack:
            command = [sys.executable, "-m", "tests.support.limited_caller"]
            command += [f"{url}/api", *self._arguments]
            processes = [
                stack.enter_context(
                    subprocess.Popen(
                        [*command, str(clock_error)],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        text=True,
                    )
                )
                for clock_error in self._clock_errors
            ]
            try:
                for process in processes:
                    assert process.stdout is not None
                    assert process.stdout.readline() == "\n"
                yield self.arrivals
                for process in processes:
                    output, _ = process.communicate(timeout=60)
                    assert process.returncode == 0
                    self.errors.update(json.loads(output))
            finally:
                for process in processes:
                    process.kill()


def until(condition: Callable[[], bool]) -> None:
    """Wait for other processes."""
    end = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_four_processes(server: Program) -> None:
    """Four processes never exceed the limit together, and use 90 % of it."""
    callers = Callers(server, "raise", count=4)
    with callers.calling() as arrivals:
        started = time.monotonic()
        time.sleep(1.25 * WINDOW)
        used = arrivals.since(started) / LIMIT * WINDOW / (time.monotonic() - started)
    assert used >= 0.9
    assert arrivals.most(WINDOW) <= LIMIT
    assert arrivals.statuses.keys() == {200}
    assert callers.errors == {}


def test_redis_restarts_and_calls_fail(server: Program) -> None:
    """If the user chose so, nothing is sent without Redis, and the limit holds."""
    callers = Callers(server, "raise")
    with callers.calling() as arrivals:
        server.kill()
        until(lambda: not arrivals.in_last_second())
        quiet = time.monotonic()
        time.sleep(1)
        assert arrivals.since(quiet) == 0
        server.start()
        until(lambda: arrivals.since(quiet) > SLOTS_A_SECOND)
    assert arrivals.most(WINDOW) <= LIMIT
    assert arrivals.statuses.keys() == {200}
    assert callers.errors.keys() == {"APIConnectionError"}


def test_redis_restarts_and_calls_proceed(server: Program) -> None:
    """If the user chose so, calls proceed without Redis, and are limited after it."""
    callers = Callers(server, "proceed", limited=False)
    with callers.calling() as arrivals:
        until(lambda: 0 < arrivals.in_last_second() < 1.5 * SLOTS_A_SECOND)
        server.kill()
        until(lambda: arrivals.in_last_second() > 3 * SLOTS_A_SECOND)
        server.start()
        until(lambda: 0 < arrivals.in_last_second() < 1.5 * SLOTS_A_SECOND)
    assert arrivals.statuses.keys() == {200}
    assert callers.errors == {}
