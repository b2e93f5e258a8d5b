"""How many retries a session's calls have between them."""

from __future__ import annotations

import logging
import random

import pytest

from plastiq_async._quota import RetryQuota


def spend_all(quota: RetryQuota) -> int:
    """Spend what there is, and return how many retries that was."""
    spent = 0
    while quota.left >= 1:
        quota.spend()
        spent += 1
    return spent


@pytest.mark.parametrize(
    ("max_connections", "size"), [(1, 100), (100, 100), (700, 700)]
)
def test_size(max_connections: int, size: int) -> None:
    """There is a retry for each connection, and there are a hundred at least."""
    assert spend_all(RetryQuota(max_connections)) == size


def test_never_over_full() -> None:
    """Success without retries saves nothing up."""
    quota = RetryQuota(1)
    for _ in range(1000):
        quota.earn(retried=False)
        quota.earn(retried=True)
    assert spend_all(quota) == 100


def test_earned() -> None:
    """A success puts a tenth of a retry back, and a whole one if it took one."""
    quota = RetryQuota(1)
    spend_all(quota)
    for _ in range(55):
        quota.earn(retried=False)
    assert spend_all(quota) == 5
    for _ in range(5):
        quota.earn(retried=True)
    assert spend_all(quota) == 5


def test_part_of_a_retry() -> None:
    """Nine successes leave no retry, and the tenth leaves one."""
    quota = RetryQuota(1)
    spend_all(quota)
    left = []
    for _ in range(11):
        quota.earn(retried=False)
        left.append(quota.left)
    assert left == [0] * 9 + [1, 1]


@pytest.mark.parametrize("failing", [1.0, 0.99, 0.9])
def test_requests_in_an_outage(failing: float) -> None:
    """Where nearly nothing succeeds, the requests are few more than the calls."""
    dice = random.Random(20)  # noqa: S311  # not for cryptography
    quota = RetryQuota(100)
    spend_all(quota)
    calls, requests = 10_000, 0
    for _ in range(calls):
        for attempt in (1, 2, 3):
            requests += 1
            if dice.random() >= failing:
                quota.earn(retried=attempt > 1)
                break
            if attempt == 3 or quota.left < 1:
                break
            quota.spend()
    assert requests <= 1.1 * calls


def test_give_back() -> None:
    """A retry that was not made costs nothing, and adds nothing."""
    quota = RetryQuota(1)
    quota.give_back()
    full = quota.left
    quota.spend()
    assert quota.left == full - 1
    quota.give_back()
    assert quota.left == full


def test_said_when_used_up(caplog: pytest.LogCaptureFixture) -> None:
    """That calls are no longer retried is worth a warning, once."""
    caplog.set_level(logging.WARNING, "plastiq_async")
    quota = RetryQuota(1)
    spend_all(quota)
    assert caplog.messages == [
        "the retry quota is used up: failed calls are not retried"
    ]
