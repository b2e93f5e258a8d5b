"""The rule for retries, as a pure function: to wait how long, or to give up."""

from __future__ import annotations

import math
import random

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plastiq_async._call import Call, Operation, RetryRule
from plastiq_async._quota import RetryQuota
from plastiq_async._retry import Retry, next_wait
from plastiq_async.errors import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    ConfigurationError,
    ConflictError,
    InvalidArgumentError,
    PlastiqError,
    ServiceUnavailableError,
    SessionStateError,
)

ALWAYS = RetryRule.ALWAYS
WITH_KEY = RetryRule.WITH_IDEMPOTENCY_KEY
ONLY_IF_UNSENT = RetryRule.ONLY_IF_UNSENT


def lost(*, outcome_unknown: bool) -> APIConnectionError:
    """Return the error of an attempt without an answer."""
    error = APIConnectionError("gone")
    error.outcome_unknown = outcome_unknown
    return error


def answered(status: int, retry_after: float | None = None) -> APIStatusError:
    """Return the error of an attempt that was answered with `status`."""
    return APIStatusError("no", status, retry_after=retry_after)


def wait_for(
    error: Exception,
    *,
    rule: RetryRule = ALWAYS,
    attempt: int = 1,
    max_retries: int = 2,
    left: float = 1000.0,
    quota: int = 100,
) -> float | None:
    """Ask the rule, with room for retries unless told otherwise."""
    return next_wait(
        error,
        rule=rule,
        attempt=attempt,
        max_retries=max_retries,
        left=left,
        quota=quota,
    )


@pytest.mark.parametrize(("quota", "again"), [(2, True), (1, True), (0, False)])
def test_quota(quota: int, again: bool) -> None:
    """With an empty quota there is no retry."""
    assert (wait_for(answered(503), quota=quota) is not None) is again


@pytest.fixture
def longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the dice always show the most."""
    monkeypatch.setattr(random, "uniform", lambda _, high: high)


@pytest.fixture
def shortest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the dice always show the least."""
    monkeypatch.setattr(random, "uniform", lambda low, _: low)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
@pytest.mark.parametrize(
    ("rule", "again"), [(ALWAYS, True), (WITH_KEY, True), (ONLY_IF_UNSENT, False)]
)
def test_passing_status(status: int, rule: RetryRule, again: bool) -> None:
    """Statuses that may pass are retried, unless the request must not arrive twice."""
    assert (wait_for(answered(status), rule=rule) is not None) is again


@pytest.mark.parametrize("rule", RetryRule)
@pytest.mark.parametrize(
    "status", [302, 307, 400, 401, 403, 404, 418, 422, 425, 501, 505, 599]
)
def test_lasting_status(status: int, rule: RetryRule) -> None:
    """No other status is retried, even where the server names a time."""
    assert wait_for(answered(status, retry_after=1.0), rule=rule) is None


@pytest.mark.parametrize(
    ("rule", "again"), [(ALWAYS, False), (WITH_KEY, True), (ONLY_IF_UNSENT, False)]
)
def test_conflict(rule: RetryRule, again: bool) -> None:
    """A conflict passes only where an idempotency key made it."""
    assert (wait_for(ConflictError("busy", 409), rule=rule) is not None) is again


@pytest.mark.parametrize("rule", RetryRule)
@pytest.mark.parametrize("outcome_unknown", [False, True])
def test_connection(rule: RetryRule, outcome_unknown: bool) -> None:
    """A lost attempt is repeated, but not if it might do twice what must be once."""
    wait = wait_for(lost(outcome_unknown=outcome_unknown), rule=rule)
    assert (wait is None) is (rule is ONLY_IF_UNSENT and outcome_unknown)


@pytest.mark.parametrize("rule", RetryRule)
@pytest.mark.parametrize(
    "error",
    [
        APITimeoutError("late"),
        APIResponseError("garbage"),
        ConfigurationError("bad token"),
        InvalidArgumentError("bad"),
        SessionStateError("closed"),
        PlastiqError("any"),
        TimeoutError("somebody else's"),
        OSError("somebody else's"),
        ValueError("a middleware's"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_lasting_error(error: Exception, rule: RetryRule) -> None:
    """No other error is retried."""
    assert wait_for(error, rule=rule) is None


@pytest.mark.parametrize(
    ("attempt", "max_retries", "again"),
    [(1, 0, False), (1, 1, True), (2, 1, False), (2, 2, True), (3, 2, False)],
)
def test_attempts(attempt: int, max_retries: int, again: bool) -> None:
    """As many attempts follow the first as are allowed."""
    wait = wait_for(answered(500), attempt=attempt, max_retries=max_retries)
    assert (wait is not None) is again


@pytest.mark.usefixtures("longest")
@pytest.mark.parametrize(
    ("attempt", "bound"),
    [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 8.0), (6, 8.0), (5000, 8.0)],
)
def test_longest_wait(attempt: int, bound: float) -> None:
    """The bound of the waits doubles from half a second up to eight."""
    assert wait_for(answered(500), attempt=attempt, max_retries=9999) == bound


@pytest.mark.usefixtures("shortest")
@pytest.mark.parametrize("attempt", [1, 5])
def test_shortest_wait(attempt: int) -> None:
    """The jitter is full: the next attempt may be due at once."""
    assert wait_for(answered(500), attempt=attempt, max_retries=9) == 0


@pytest.mark.usefixtures("longest")
@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [(0.0, 0.5), (0.25, 0.5), (3.0, 3.0), (60.0, 60.0), (60.001, None), (1e9, None)],
)
@pytest.mark.parametrize("status", [429, 503, 500])
def test_retry_after(status: int, retry_after: float, wait: float | None) -> None:
    """What the server asks for is the least wait; beyond a minute, no retry."""
    assert wait_for(answered(status, retry_after)) == wait


@pytest.mark.usefixtures("longest")
@pytest.mark.parametrize(
    ("left", "wait"),
    [(0.501, 0.5), (0.5, None), (0.499, None), (0.0, None), (-1.0, None)],
)
def test_deadline(left: float, wait: float | None) -> None:
    """A wait that does not end before the deadline does not begin."""
    assert wait_for(lost(outcome_unknown=True), left=left) == wait


@given(
    status=st.sampled_from([408, 409, 429, 500, 502, 503, 504, 400]),
    retry_after=st.none() | st.floats(0, 90),
    rule=st.sampled_from(RetryRule),
    attempt=st.integers(1, 12),
    max_retries=st.integers(0, 24),
    left=st.floats(0, 120) | st.floats(allow_nan=False),
)
def test_any_wait(
    *,
    status: int,
    retry_after: float | None,
    rule: RetryRule,
    attempt: int,
    max_retries: int,
    left: float,
) -> None:
    """A wait is within its bounds, ends before the deadline, and follows a retry."""
    wait = wait_for(
        answered(status, retry_after),
        rule=rule,
        attempt=attempt,
        max_retries=max_retries,
        left=left,
    )
    if wait is None:
        return
    asked = retry_after or 0.0
    assert asked <= wait <= max(8.0, asked)
    assert wait <= max(0.5 * 2.0 ** (attempt - 1), asked)
    assert asked <= 60
    assert wait < left
    assert attempt <= max_retries
    assert rule is not ONLY_IF_UNSENT
    assert status != 400


async def decide(error: Exception, *, attempts: int, left: float) -> float | bool:
    """Return the decision about a call with `left` seconds to its deadline."""
    operation = Operation[object](
        method="POST",
        path="/things",
        headers=(),
        body=b"",
        trace_id=None,
        retry=ALWAYS,
        result=lambda body, _: body,
    )
    started = anyio.current_time()
    call = Call(
        operation=operation,
        max_retries=2,
        started=started,
        deadline=started + left,
        attempts=attempts,
    )
    return Retry(RetryQuota(100))._decide(call, error)


@pytest.mark.usefixtures("longest")
@pytest.mark.parametrize(
    ("error", "attempts", "left", "decision"),
    [
        (answered(503), 1, 30.0, 0.5),
        (answered(503, 2.0), 2, 30.0, 2.0),
        (answered(503), 3, 30.0, False),
        (answered(400), 1, 30.0, False),
        (answered(503), 1, 0.1, False),
        (answered(503), 1, math.inf, 0.5),
        (ServiceUnavailableError("down", 503, retry_after=40.0), 1, 30.0, False),
    ],
)
async def test_decision(
    error: Exception, attempts: int, left: float, decision: float | bool
) -> None:
    """The decision follows the state of the call and the event loop's clock."""
    decided = await decide(error, attempts=attempts, left=left)
    assert decided == decision
    assert type(decided) is type(decision)


@pytest.mark.usefixtures("shortest")
async def test_no_wait_is_no_refusal() -> None:
    """A wait of nothing is a number, so that nobody takes it for False."""
    decided = await decide(answered(503), attempts=1, left=30.0)
    assert type(decided) in {int, float}
    assert decided == 0
