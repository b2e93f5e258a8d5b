"""The rate limiter on Redis: what it asks, and what it does without an answer.

`test_limits_with_redis.py` tests the limit itself.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest
import redis as redis_py
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from plastiq_async import APIConnectionError, ConfigurationError, RateLimiter
from plastiq_async.integrations import limits
from plastiq_async.integrations.limits import RedisRateLimiter
from plastiq_async.testing import FakePlastiq
from tests.support.errors import error_of, frames_of
from tests.support.internals import add_intent
from tests.support.redis_stub import RedisStub, Reply, hang, hang_up, integer, text
from tests.support.sessions import fake_session

KEY = "plastiq-async:rate-limit:tests"
MakeLimiter = Callable[..., RedisRateLimiter]


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio only, because redis-py requires it."""
    return "asyncio"


@pytest.fixture
async def stub() -> AsyncIterator[RedisStub]:
    """Serve a stub of Redis."""
    async with RedisStub().serving() as stub:
        yield stub


@pytest.fixture
async def redis(stub: RedisStub) -> AsyncIterator[Redis]:
    """Return a client of the stub that tries a command once."""
    once = Retry(NoBackoff(), 0)
    async with Redis.from_url(stub.url, protocol=2, retry=once) as client:
        yield client


@pytest.fixture
def make_limiter(redis: Redis) -> MakeLimiter:
    """Make limiters of 200 requests a minute that use the stub."""
    settings: dict[str, Any] = {
        "name": "tests",
        "max_requests_per_minute": 200,
        "timeout": 30,  # a busy machine is no failure
    }

    def make(**options: Any) -> RedisRateLimiter:
        return RedisRateLimiter(redis, **settings | options)

    return make


@pytest.fixture
def _long_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave Redis alone for long after a failure, since the machine may be busy."""
    monkeypatch.setattr(limits, "_PAUSE", 1000.0)


def seconds(script: list[str]) -> list[float]:
    """Return the arguments of a script after its key, in seconds."""
    key, *arguments = script
    assert key == KEY
    return [float(argument) / 1e6 for argument in arguments]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("redis", redis_py.Redis()),
        ("redis", "redis://:s3cr3t@127.0.0.1"),
        ("name", ""),
        ("name", "of production"),
        ("name", 7),
        ("max_requests_per_minute", 0),
        ("max_requests_per_minute", 1.5),
        ("max_requests_per_minute", None),
        ("when_unavailable", "open"),
        ("when_unavailable", ["raise"]),
        ("timeout", 0),
        ("timeout", float("inf")),
    ],
)
async def test_settings(name: str, value: object, redis: Redis) -> None:
    """A setting that is not usable is refused, without its value."""
    settings: dict[str, Any] = {
        "redis": redis,
        "name": "tests",
        "max_requests_per_minute": 200,
        name: value,
    }
    with pytest.raises(ConfigurationError, match=f"^{name} must be ") as info:
        RedisRateLimiter(**settings)
    shown = " ".join([str(info.value), *frames_of(info.value)])
    assert "s3cr3t" not in shown


async def test_slot(make_limiter: MakeLimiter, stub: RedisStub) -> None:
    """One command takes a slot, and its reply says when it is."""
    stub.reply = integer(1_250_000)
    limiter: RateLimiter = make_limiter()
    assert await limiter.reserve() == 1.25
    (script,) = stub.scripts
    interval, tolerance, hold, longest_wait = seconds(script)
    assert interval == pytest.approx(61 / 191)
    assert tolerance == pytest.approx(9 * interval)
    assert hold <= 0
    assert longest_wait > 1e6


async def test_deadline(make_limiter: MakeLimiter, stub: RedisStub) -> None:
    """A slot is taken only if it is within the deadline of the caller."""
    stub.reply = integer(50_000_000)
    limiter = make_limiter()
    with anyio.move_on_after(2) as scope:
        await limiter.reserve()
    assert scope.cancelled_caught
    assert await limiter.reserve() == 50
    (_, _, _, longest_wait), (_, _, hold, _) = map(seconds, stub.scripts)
    assert 0 < longest_wait <= 2
    assert hold <= 0  # for it has no slot


async def test_extended_deadline(make_limiter: MakeLimiter, stub: RedisStub) -> None:
    """If the deadline is put off, the limiter asks again, and only then has a slot."""
    stub.reply = integer(50_000_000)
    limiter = make_limiter()
    waits: list[float] = []

    async def reserve() -> None:
        waits.append(await limiter.reserve())

    with anyio.move_on_after(2) as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(reserve)
            await stub.asked.wait()
            scope.deadline += 90
    assert waits == [50]
    first, second = (seconds(script)[3] for script in stub.scripts)
    assert first <= 2
    assert second > 50


async def test_own_slots_are_kept(make_limiter: MakeLimiter, stub: RedisStub) -> None:
    """No slot is before those of the process, even if Redis has lost its data."""
    stub.reply = integer(50_000_000)
    limiter = make_limiter()
    await limiter.reserve()
    stub.reply = integer(0)
    await limiter.reserve()
    await limiter.reserve()
    holds = [seconds(script)[2] for script in stub.scripts]
    assert holds[0] <= 0
    assert 40 < holds[2] <= holds[1] <= 50


@pytest.mark.parametrize(
    ("retry_after", "expected"), [(3.0, 3), (None, 1), (60.0, 10), (0.0, 0)]
)
async def test_throttled(
    retry_after: float | None,
    expected: float,
    make_limiter: MakeLimiter,
    stub: RedisStub,
) -> None:
    """A 429 holds all processes, at most for 10 seconds, without a slot."""
    limiter = make_limiter()
    started = anyio.current_time()
    limiter.throttled(retry_after)
    await stub.asked.wait()
    elapsed = anyio.current_time() - started
    _, _, hold, longest_wait = seconds(stub.scripts[0])
    assert expected - elapsed <= hold <= expected + 1e-6
    assert longest_wait < 0


async def test_shorter_hold(make_limiter: MakeLimiter, stub: RedisStub) -> None:
    """A 429 does not shorten the hold of an earlier one."""
    limiter = make_limiter()
    limiter.throttled(10.0)
    limiter.throttled(0.0)
    await limiter.reserve()
    assert all(seconds(script)[2] > 5 for script in stub.scripts)
    assert len(stub.scripts) == 3


# The replies, the timeouts of the limiter, and what the log says.
FAILURES: dict[str, tuple[Reply, float, str]] = {
    "hang": (hang, 0.1, "TimeoutError"),
    "hang-up": (hang_up, 30, "ConnectionError"),
    "error": (text(b"-LOADING Redis is loading\r\n"), 30, "BusyLoadingError"),
    "no-permission": (text(b"-NOPERM s3cr3t\r\n"), 30, "NoPermissionError"),
    "no-protocol": (text(b"s3cr3t\r\n"), 30, "InvalidResponse"),
}


@pytest.mark.usefixtures("_long_pause")
@pytest.mark.parametrize("failure", FAILURES)
async def test_proceed(
    failure: str,
    make_limiter: MakeLimiter,
    stub: RedisStub,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without Redis, requests proceed if the user chose so, with one line of log."""
    stub.reply, timeout, name = FAILURES[failure]
    limiter = make_limiter(timeout=timeout)
    assert [await limiter.reserve() for _ in range(5)] == [0] * 5
    assert len(stub.scripts) == 1  # it is left alone for a while
    (line,) = caplog.messages
    assert line == (
        f"the Redis of the rate limiter is not available ({name}): "
        "requests are not limited"
    )


@pytest.mark.usefixtures("_long_pause")
@pytest.mark.parametrize("failure", FAILURES)
async def test_raise(
    failure: str,
    make_limiter: MakeLimiter,
    stub: RedisStub,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without Redis, calls fail if the user chose so, with one line of log."""
    stub.reply, timeout, name = FAILURES[failure]
    limiter = make_limiter(timeout=timeout, when_unavailable="raise")
    for _ in range(5):
        with pytest.raises(APIConnectionError) as info:
            await limiter.reserve()
        assert str(info.value) == "the Redis of the rate limiter is not available"
        assert info.value.transient
    assert len(stub.scripts) == 1
    (line,) = caplog.messages
    assert line == (
        f"the Redis of the rate limiter is not available ({name}): calls fail"
    )


async def test_throttled_without_redis(
    make_limiter: MakeLimiter, stub: RedisStub
) -> None:
    """Without Redis, a 429 still holds the requests of its process."""
    stub.reply = hang_up
    limiter = make_limiter()
    limiter.throttled(8.0)
    assert 5 < await limiter.reserve() <= 8


async def test_session(
    make_limiter: MakeLimiter, stub: RedisStub, fake_plastiq: FakePlastiq
) -> None:
    """A session asks before each attempt, and tells the limiter of a 429."""
    fake_plastiq.fail_next(429, retry_after=1)
    session = fake_session(fake_plastiq, rate_limiter=make_limiter())
    await session.client_secrets.create(fake_plastiq.payer_id)
    first, throttled, again = map(seconds, stub.scripts)
    assert 20 < first[3] <= 30
    assert throttled[2] > 0 > throttled[3]
    assert 0 < again[3] < first[3]


@pytest.mark.parametrize("attempts", [0, 1])
async def test_payment_without_redis(
    attempts: int,
    make_limiter: MakeLimiter,
    stub: RedisStub,
    fake_plastiq: FakePlastiq,
) -> None:
    """The error of a payment says whether it was sent before Redis failed."""

    async def reply(command: list[str]) -> bytes | None:
        return b":0\r\n" if len(stub.scripts) <= attempts else None

    stub.reply = reply
    intent = add_intent(fake_plastiq)
    fake_plastiq.fail_next(503, on="payments.create", after_processing=True)
    limiter = make_limiter(when_unavailable="raise")
    session = fake_session(fake_plastiq, rate_limiter=limiter)
    call = session.payments.create(intent, fake_plastiq.payer_id)
    error = await error_of(call)
    assert isinstance(error, APIConnectionError)
    assert error.attempts == attempts == fake_plastiq.charges
    assert error.outcome_unknown is bool(attempts)
    assert error.idempotency_key is not None
    assert error.next_step == "same_key"
    assert len(stub.scripts) == attempts + 1


@pytest.mark.usefixtures("_long_pause")
async def test_many_callers(make_limiter: MakeLimiter, stub: RedisStub) -> None:
    """Callers share few connections, and few ask a dead Redis."""
    limiter = make_limiter()
    async with anyio.create_task_group() as group:
        for _ in range(300):
            group.start_soon(limiter.reserve)
    assert len(stub.scripts) == 300
    assert stub.connections <= 8
    stub.reply = hang
    limiter = make_limiter(timeout=0.2)
    async with anyio.create_task_group() as group:
        for _ in range(300):
            group.start_soon(limiter.reserve)
    assert len(stub.scripts) <= 300 + 8


async def test_recovery(
    make_limiter: MakeLimiter,
    stub: RedisStub,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once Redis is back, requests are limited again, with one line of log."""
    monkeypatch.setattr(limits, "_PAUSE", 0.0)
    stub.reply = hang_up
    limiter = make_limiter()
    for _ in range(3):
        assert await limiter.reserve() == 0
    stub.reply = integer(2_000_000)
    for _ in range(3):
        assert await limiter.reserve() == 2
    assert [line.partition("available")[2] for line in caplog.messages] == [
        " (ConnectionError): requests are not limited",
        " again",
    ]
    assert len(stub.scripts) == 6


async def test_cancelled(make_limiter: MakeLimiter, stub: RedisStub) -> None:
    """A cancelled caller does not leave its reply to the next one."""
    gate = anyio.Event()

    async def reply(command: list[str]) -> bytes:
        number = len(stub.scripts)
        if number == 1:
            await gate.wait()
        return b":%d\r\n" % (number * 1_000_000)

    stub.reply = reply
    limiter = make_limiter()
    async with anyio.create_task_group() as group:
        group.start_soon(limiter.reserve)
        await stub.asked.wait()
        group.cancel_scope.cancel()
    gate.set()
    assert await limiter.reserve() == 2


@pytest.mark.parametrize("when", ["proceed", "raise"])
async def test_password(
    when: str,
    make_limiter: MakeLimiter,
    stub: RedisStub,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The password of Redis is in no error, traceback, log or repr."""
    caplog.set_level(logging.DEBUG, logger="plastiq_async")

    async def quote(command: list[str]) -> bytes:
        return f"-ERR unknown command, with args {command}\r\n".encode()

    stub.to_auth = quote
    limiter = make_limiter(when_unavailable=when)
    shown = [repr(limiter), str(vars(limiter))]
    try:
        assert await limiter.reserve() == 0
    except APIConnectionError as error:
        shown += frames_of(error)
    shown += caplog.messages
    assert len(caplog.messages) == 1
    assert stub.password not in " ".join(shown)
    assert stub.scripts == []
