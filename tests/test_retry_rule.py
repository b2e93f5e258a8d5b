"""The retry rule, a pure function: the delay before the next attempt, or None."""

from __future__ import annotations

import inspect
import math
import random

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plastiq_async import errors
from plastiq_async._quota import RetryQuota
from plastiq_async._retry import RetryLoop, is_in_progress, next_wait
from plastiq_async.errors import (
    APIConnectionError,
    APIStatusError,
    ConflictError,
    PlastiqError,
    ServiceUnavailableError,
)
from tests.support.internals import (
    Measurements,
    make_call,
    make_operation,
    make_status_error,
)

TRANSIENT = {408, 429, 500, 502, 503, 504}
# By whether the operation is harmless and whether it has a key: the statuses after
# which it is sent again, and whether also after a lost attempt with unknown outcome.
RETRIED: dict[tuple[bool, bool], tuple[set[int], bool]] = {
    (True, False): (TRANSIENT, True),
    (True, True): (TRANSIENT | {409}, True),
    (False, True): (TRANSIENT | {409}, True),
    (False, False): (set(), False),
}
each_operation = pytest.mark.parametrize(("harmless", "keyed"), RETRIED)

# Every error that is no response with another status.
NO_STATUS = [
    cls
    for _, cls in inspect.getmembers(errors, inspect.isclass)
    if issubclass(cls, PlastiqError) and not issubclass(cls, APIStatusError)
]
# Others that middleware, hooks and transports may raise.
FOREIGN = [TimeoutError, OSError, ValueError, ConnectionError]


def lost(*, outcome_unknown: bool) -> APIConnectionError:
    """Return the error of an attempt without a response."""
    error = APIConnectionError("gone")
    error.outcome_unknown = outcome_unknown
    return error


def answered(status: int, retry_after: float | None = None) -> APIStatusError:
    """Return the error of an attempt whose response had `status`."""
    return APIStatusError("no", status, retry_after=retry_after)


def wait_for(
    error: Exception,
    *,
    harmless: bool = True,
    keyed: bool = False,
    attempt: int = 1,
    polls: int = 0,
    max_retries: int = 2,
    left: float = 1000.0,
    quota: int = 100,
) -> float | None:
    """Ask the rule, with retries left unless told otherwise."""
    return next_wait(
        error,
        operation=make_operation(harmless=harmless, keyed=keyed),
        attempt=attempt,
        polls=polls,
        max_retries=max_retries,
        left=left,
        quota=quota,
    )


def poll(error: APIStatusError | None = None, **state: float) -> float | None:
    """Ask the rule about a 409 to a request with a key, with no retries left."""
    values = {"attempt": 99, "max_retries": 0, "quota": 0, **state}
    error = error or ConflictError("busy", 409)
    return wait_for(error, harmless=False, keyed=True, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(("quota", "again"), [(2, True), (1, True), (0, False)])
def test_quota(quota: int, again: bool) -> None:
    """With an empty quota there is no retry."""
    assert (wait_for(answered(503), quota=quota) is not None) is again


@each_operation
@pytest.mark.parametrize("outcome_unknown", [False, True])
def test_not_transient(harmless: bool, keyed: bool, outcome_unknown: bool) -> None:
    """A connection error that will be the same again is not retried."""
    error = lost(outcome_unknown=outcome_unknown)
    error.transient = False
    assert wait_for(error, harmless=harmless, keyed=keyed) is None


@pytest.fixture
def longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the jitter as long as may be."""
    monkeypatch.setattr(random, "uniform", lambda _, high: high)


@pytest.fixture
def shortest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the jitter as short as may be."""
    monkeypatch.setattr(random, "uniform", lambda low, _: low)


@each_operation
@pytest.mark.parametrize("retry_after", [None, 1.0])
def test_statuses(harmless: bool, keyed: bool, retry_after: float | None) -> None:
    """Transient statuses are retried if the request may arrive twice; no others."""
    retried = {
        status
        for status in range(300, 600)
        if wait_for(answered(status, retry_after), harmless=harmless, keyed=keyed)
        is not None
    }
    assert retried == RETRIED[harmless, keyed][0]


@each_operation
def test_replayed(harmless: bool, keyed: bool) -> None:
    """What the server stored under the key would only come again."""
    for status in range(300, 600):
        error = make_status_error(status, replayed=True)
        assert wait_for(error, harmless=harmless, keyed=keyed) is None


@each_operation
@pytest.mark.parametrize("code", ["PROCESSOR_CHARGE_ERROR", "VALIDATION_ERROR"])
def test_code_does_not_matter(harmless: bool, keyed: bool, code: str) -> None:
    """The status alone decides about a retry."""
    for status in (400, 409, 503):
        error = make_status_error(status, code=code)
        again = wait_for(error, harmless=harmless, keyed=keyed) is not None
        assert again is (status in RETRIED[harmless, keyed][0])


@each_operation
@pytest.mark.parametrize("outcome_unknown", [False, True])
@pytest.mark.parametrize("cls", [*NO_STATUS, *FOREIGN], ids=lambda cls: cls.__name__)
def test_other_errors(
    cls: type[Exception], harmless: bool, keyed: bool, outcome_unknown: bool
) -> None:
    """A lost attempt is retried, but not if it might do twice what must be once."""
    error = cls("no")
    if isinstance(error, PlastiqError):
        error.outcome_unknown = outcome_unknown
    wait = wait_for(error, harmless=harmless, keyed=keyed)
    repeatable = RETRIED[harmless, keyed][1] or not outcome_unknown
    assert (wait is not None) is (cls is APIConnectionError and repeatable)


@each_operation
def test_conflict(harmless: bool, keyed: bool) -> None:
    """A conflict is in progress only where an idempotency key made it."""
    operation = make_operation(harmless=harmless, keyed=keyed)
    assert is_in_progress(ConflictError("busy", 409), operation) is keyed
    assert not is_in_progress(make_status_error(409, replayed=True), operation)
    assert not is_in_progress(answered(503), operation)
    assert not is_in_progress(lost(outcome_unknown=True), operation)


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
    "error",
    [
        lost(outcome_unknown=False),
        *(answered(status) for status in sorted(TRANSIENT - {429})),
        answered(429, 0.0),
    ],
    ids=str,
)
def test_longest_wait(error: Exception) -> None:
    """The bound of the waits doubles from a tenth of a second up to eight seconds."""
    waits = [
        wait_for(error, attempt=attempt, max_retries=9999)
        for attempt in (1, 2, 3, 4, 7, 8, 5000)
    ]
    assert waits == [0.1, 0.2, 0.4, 0.8, 6.4, 8.0, 8.0]


@pytest.mark.usefixtures("longest")
def test_longest_wait_of_a_throttled_request() -> None:
    """The bound doubles from a whole second if a 429 does not say how long to wait."""
    waits = [
        wait_for(answered(429), attempt=attempt, max_retries=9999)
        for attempt in (1, 2, 3, 4, 5, 5000)
    ]
    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


@pytest.mark.usefixtures("shortest")
@pytest.mark.parametrize("status", [429, 500])
@pytest.mark.parametrize("attempt", [1, 5])
def test_shortest_wait(attempt: int, status: int) -> None:
    """The jitter is full: the next attempt may be due at once."""
    assert wait_for(answered(status), attempt=attempt, max_retries=9) == 0


@pytest.mark.usefixtures("longest")
@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [(0.0, 0.1), (0.05, 0.15), (3.0, 3.1), (60.0, 60.1), (60.001, None), (1e9, None)],
)
@pytest.mark.parametrize("status", [429, 503, 500])
def test_retry_after(status: int, retry_after: float, wait: float | None) -> None:
    """The jitter comes on top of what the server asks; beyond a minute, no retry."""
    assert wait_for(answered(status, retry_after)) == pytest.approx(wait)


@pytest.mark.usefixtures("shortest")
def test_least_retry_after() -> None:
    """What the server asks for is the least wait."""
    assert wait_for(answered(429, 3.0)) == 3.0


@pytest.mark.usefixtures("longest")
@pytest.mark.parametrize(
    ("left", "wait"),
    [(0.101, 0.1), (0.1, None), (0.099, None), (0.0, None), (-1.0, None)],
)
def test_deadline(left: float, wait: float | None) -> None:
    """A wait that does not end before the deadline does not begin."""
    assert wait_for(lost(outcome_unknown=True), left=left) == wait


def test_poll_waits() -> None:
    """Polls wait half a second, then twice as long each time, up to four."""
    waits = [poll(polls=polls) for polls in (0, 1, 2, 3, 4, 5, 5000)]
    assert waits == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0, 4.0]


def test_polls_need_no_retries() -> None:
    """Neither `max_retries` nor the quota ends the polling."""
    assert poll(attempt=1, max_retries=0, quota=100) == 0.5
    assert poll(attempt=1, max_retries=9, quota=0) == 0.5
    assert poll(attempt=9, max_retries=9, quota=-1, polls=9) == 4.0


@pytest.mark.parametrize(
    ("polls", "left", "wait"),
    [(0, 0.501, 0.5), (0, 0.5, None), (5, 4.001, 4.0), (5, 4.0, None), (5, -1.0, None)],
)
def test_polls_until_the_deadline(polls: int, left: float, wait: float | None) -> None:
    """The deadline ends the polling."""
    assert poll(polls=polls, left=left) == wait


@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [(0.0, 1.0), (0.5, 1.0), (7.0, 7.0), (60.0, 60.0), (60.001, None)],
)
def test_poll_retry_after(retry_after: float, wait: float | None) -> None:
    """A poll waits at least as long as the server asks."""
    assert poll(answered(409, retry_after), polls=1) == wait


@pytest.mark.usefixtures("longest")
def test_polls_do_not_lengthen_the_back_off() -> None:
    """The back-off after another error depends on the attempts alone."""
    wait = wait_for(answered(503), keyed=True, attempt=1, polls=9, max_retries=1)
    assert wait == 0.1


@pytest.mark.slow
@given(
    status=st.sampled_from([*sorted(TRANSIENT), 409, 400]),
    retry_after=st.none() | st.floats(0, 90),
    harmless=st.booleans(),
    keyed=st.booleans(),
    attempt=st.integers(1, 12),
    polls=st.integers(0, 12),
    max_retries=st.integers(0, 24),
    left=st.floats(0, 120) | st.floats(allow_nan=False),
)
def test_any_wait(
    *,
    status: int,
    retry_after: float | None,
    harmless: bool,
    keyed: bool,
    attempt: int,
    polls: int,
    max_retries: int,
    left: float,
) -> None:
    """A wait is within its bounds, ends before the deadline, and follows a retry."""
    wait = wait_for(
        answered(status, retry_after),
        harmless=harmless,
        keyed=keyed,
        attempt=attempt,
        polls=polls,
        max_retries=max_retries,
        left=left,
    )
    if wait is None:
        return
    asked = retry_after or 0.0
    assert asked <= wait <= asked + 8
    assert asked <= 60
    assert wait < left
    assert status in RETRIED[harmless, keyed][0]
    if status == 409:
        assert wait == max(min(4.0, 0.5 * 2**polls), asked)
    else:
        first = 1.0 if status == 429 and retry_after is None else 0.1
        assert wait <= asked + first * 2.0 ** (attempt - 1)
        assert attempt <= max_retries


class Decider:
    """A retry loop, and a call of an operation with a key.

    Args:
        left: Seconds until the call's deadline.
    """

    def __init__(self, left: float = 30.0) -> None:
        self.quota = RetryQuota(100)
        self.call = make_call(make_operation(harmless=False, keyed=True))
        self.call.deadline = anyio.current_time() + left
        self._loop = RetryLoop(self.quota)

    def decide(self, error: Exception) -> float | bool:
        """Return the decision after another attempt that ended in `error`."""
        self.call.attempts += 1
        return self._loop._decide(self.call, error)


@pytest.mark.usefixtures("longest")
@pytest.mark.parametrize(
    ("error", "attempts", "left", "decision"),
    [
        (answered(503), 1, 30.0, 0.1),
        (answered(503, 2.0), 2, 30.0, 2.2),
        (answered(503), 3, 30.0, False),
        (answered(400), 1, 30.0, False),
        (answered(503), 1, 0.05, False),
        (answered(503), 1, math.inf, 0.1),
        (ServiceUnavailableError("down", 503, retry_after=40.0), 1, 30.0, False),
        (ConflictError("busy", 409), 3, 30.0, 0.5),
        (ConflictError("busy", 409), 1, 0.1, False),
    ],
)
async def test_decision(
    error: Exception, attempts: int, left: float, decision: float | bool
) -> None:
    """The decision follows the state of the call and the event loop's clock."""
    decider = Decider(left)
    decider.call.attempts = attempts - 1
    decided = decider.decide(error)
    assert decided == decision
    assert type(decided) is type(decision)


@pytest.mark.usefixtures("shortest")
async def test_no_wait_is_no_refusal() -> None:
    """A wait of nothing is a number, so that nobody takes it for False."""
    decided = Decider().decide(answered(503))
    assert type(decided) in {int, float}
    assert decided == 0


@pytest.mark.usefixtures("longest")
async def test_polls_spend_nothing() -> None:
    """Polls leave quota and retries to other errors, before and after them."""
    decider = Decider()
    busy, down = ConflictError("busy", 409), answered(503)
    steps: list[tuple[Exception, float | bool, int, int]] = [
        (busy, 0.5, 1, 100),
        (busy, 1.0, 2, 100),
        (down, 0.1, 2, 99),
        (busy, 2.0, 3, 99),
        (down, 0.2, 3, 98),
        (busy, 4.0, 4, 98),
        (down, False, 4, 98),
    ]
    for error, decision, polls, left in steps:
        assert decider.decide(error) == decision
        assert (decider.call.polls, decider.quota.left) == (polls, left)


@pytest.mark.parametrize(
    ("error", "left", "exhausted"),
    [
        (answered(503), 0, True),
        (answered(503), 1, False),
        (answered(400), 0, False),
        (ConflictError("busy", 409), 0, False),
    ],
)
async def test_exhausted_quota(error: Exception, left: int, exhausted: bool) -> None:
    """A call that is observed learns that only the lack of quota prevented a retry."""
    decider = Decider()
    measured = decider.call.measured = Measurements(began=0.0)
    while decider.quota.left > left:
        decider.quota.spend()
    decider.decide(error)
    assert measured.quota_exhausted is exhausted


async def test_refusal_spends_nothing() -> None:
    """Where the rule gives up, neither quota nor polls change."""
    decider = Decider(left=0.1)
    for error in (answered(400), ConflictError("busy", 409), ValueError("no")):
        assert decider.decide(error) is False
    assert (decider.call.polls, decider.quota.left) == (0, 100)


async def test_error_of_the_token_provider() -> None:
    """What the token provider raised is not retried, even if it is one of ours."""
    decider = Decider()
    error = decider.call.hook_error = lost(outcome_unknown=False)
    assert decider.decide(error) is False
    assert decider.decide(lost(outcome_unknown=False)) is not False
