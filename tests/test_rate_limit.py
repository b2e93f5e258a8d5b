"""The built-in rate limit: no minute exceeds it, first come, first served."""

from __future__ import annotations

import math
from itertools import pairwise

import anyio
import anyio.lowlevel
import pytest
import stamina
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from plastiq_async._rate_limit import RequestRate, TokenBucket, hold_after, spread

WINDOW = 61.0  # a minute, and a second for what takes longer to arrive


def take_all(bucket: TokenBucket, now: float) -> int:
    """Take all slots that are free at once, and return their number."""
    taken = 0
    while bucket.next_slot(now) <= now:
        bucket.take(now)
        taken += 1
    return taken


def take_greedily(bucket: TokenBucket, number: int) -> list[float]:
    """Take slots as soon as they are free, and return the times."""
    times = [0.0]
    for _ in range(number):
        times.append(max(times[-1], bucket.next_slot(times[-1])))
        bucket.take(times[-1])
    return times[1:]


@pytest.mark.parametrize(
    ("per_minute", "burst"),
    [(2, 1), (19, 1), (39, 1), (40, 2), (60, 3), (100, 5), (200, 10), (12_000, 10)],
)
def test_burst(per_minute: int, burst: int) -> None:
    """A twentieth of the limit is free at once, at least one slot, at most ten."""
    bucket = TokenBucket(per_minute)
    times = take_greedily(bucket, burst + 1)
    assert times[:burst] == pytest.approx([0] * burst)
    assert times[burst] == pytest.approx(bucket.interval)
    # What was not used does not add up, and rounding errors err on the safe side.
    assert take_all(bucket, 5000.0) in {burst, burst - 1}


LIMITS = [2, 3, 7, 19, 20, 39, 40, 100, 199, 200, 1200, 12_000]


@pytest.mark.parametrize("per_minute", LIMITS)
def test_rate(per_minute: int) -> None:
    """Under load, over 90 % of a limit of 20 or more is used, and never all of it."""
    interval, early = spread(per_minute)
    assert early <= 9 * interval
    assert 60 / interval < per_minute
    assert per_minute < 20 or 60 / interval > 0.9 * per_minute


@pytest.mark.parametrize("per_minute", LIMITS)
def test_fullest_window(per_minute: int) -> None:
    """The first 61 seconds have as many slots as the limit."""
    times = take_greedily(TokenBucket(per_minute), per_minute + 1)
    assert times[-1] - times[0] == pytest.approx(WINDOW)
    assert times[-2] - times[0] < WINDOW - 1e-6


@given(
    per_minute=st.integers(2, 40),
    steps=st.lists(
        # The time that passes before a request, or a hold, and its duration.
        st.tuples(st.booleans(), st.floats(0, 0.5) | st.floats(0, 90)),
        min_size=50,
        max_size=200,
    ),
    start=st.floats(-1e6, 1e6),
)
def test_no_minute_exceeds_the_limit(
    per_minute: int, steps: list[tuple[bool, float]], start: float
) -> None:
    """Whenever requests come, no 61 seconds have more slots than the limit."""
    bucket, now, held_until = TokenBucket(per_minute), start, -math.inf
    times: list[float] = []
    for is_request, seconds in steps:
        if is_request:
            now = max(now + seconds, bucket.next_slot(now + seconds))
            bucket.take(now)
            assert now >= held_until
            times.append(now)
        else:
            held_until = max(held_until, now + seconds)
            bucket.hold(now + seconds)
    for first, beyond in zip(times, times[per_minute:], strict=False):
        assert beyond - first > WINDOW - 1e-6


def test_hold() -> None:
    """A hold puts the next slot off, ends the burst, and never shortens a wait."""
    bucket = TokenBucket(200)
    bucket.hold(1007.0)
    assert bucket.next_slot(1000.0) == 1007.0
    assert take_all(bucket, 1007.0) == 1
    after = bucket.next_slot(1007.0)
    bucket.hold(1001.0)
    assert bucket.next_slot(1007.0) == after > 1007.0


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [(None, 0.0), (0.0, 0.0), (0.5, 0.5), (10.0, 10.0), (10.1, 10.0), (3600.0, 10.0)],
)
def test_hold_after(retry_after: float | None, seconds: float) -> None:
    """A 429 holds for as long as it asks, at most ten seconds."""
    assert hold_after(retry_after) == seconds
    with stamina.set_testing(True):
        assert hold_after(retry_after) == 0


async def test_first_come_first_served() -> None:
    """Slots are given in the order of the requests, each at its time."""
    rate = RequestRate(3000)
    order: list[int] = []
    times: list[float] = []

    async def reserve(number: int) -> None:
        assert await rate.reserve() == 0
        order.append(number)
        times.append(anyio.current_time())

    async with anyio.create_task_group() as group:
        for number in range(30):
            group.start_soon(reserve, number)
            await anyio.lowlevel.checkpoint()
    assert sorted(order[:10]) == list(range(10))
    assert order[10:] == list(range(10, 30))
    assert all(earlier <= later for earlier, later in pairwise(times))
    # The burst, then one in 61 / 2991 seconds.
    assert times[-1] - times[0] > 20 * WINDOW / 2991 - 0.01


# A clock that jumps to the next timer as soon as all tasks wait.
WITHOUT_TIME = pytest.mark.parametrize(
    "anyio_backend",
    [("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)})],
)


@WITHOUT_TIME
async def test_cancelled_waiters_lose_nothing() -> None:
    """Who gives up leaves the queue, wherever in it, so that the others move up."""
    rate = RequestRate(10)  # a burst of one, then one in 6.1 seconds
    assert rate.expected_wait() == 0
    await rate.reserve()
    assert rate.expected_wait() == pytest.approx(6.1)
    scopes: list[anyio.CancelScope] = []

    async def reserve() -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await rate.reserve()

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(reserve)
        await anyio.wait_all_tasks_blocked()
        assert rate.expected_wait() == pytest.approx(36.6)
        for scope, left in zip(scopes, (5, 4, 3, 2, 1), strict=True):
            scope.cancel()
            await anyio.wait_all_tasks_blocked()
            assert rate.expected_wait() == pytest.approx(6.1 * left)


@WITHOUT_TIME
async def test_throttled() -> None:
    """After a 429 there is no burst, and no slot for as long as it asks."""
    rate = RequestRate(10)
    rate.throttled(7.0)
    assert rate.expected_wait() == pytest.approx(7)
    rate = RequestRate(200)
    rate.throttled(None)
    assert rate.expected_wait() == 0
    await rate.reserve()
    assert rate.expected_wait() > 0
