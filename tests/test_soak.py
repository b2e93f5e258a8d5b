"""The ledger and the report of the soak test."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from plastiq_async import (
    APIConnectionError,
    APITimeoutError,
    ClientSecret,
    InvalidArgumentError,
)
from plastiq_async.models import ResponseInfo
from tests.soak.report import MOST_GROWTH, Report, Vitals
from tests.support.ledger import Entry, Ledger

OWN = UUID("0b4e3c1a-0d8e-4d1c-9a53-0d3a3f0c1c11")
OTHER = UUID("fe278caa-e01d-4910-b975-5c19c21a6d8e")


class Clock:
    """A clock that stands still until it is set."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Make the clock of the ledger."""
    return Clock()


@pytest.fixture
def ledger(clock: Clock) -> Ledger:
    """Make a ledger."""
    return Ledger(most_attempts=3, clock=clock)


@pytest.fixture
def entry(ledger: Ledger) -> Entry:
    """Enter a call with a timeout of one second."""
    return ledger.enter(OWN, timeout=1, patience=math.inf)


def secret(of: UUID = OWN, trace_id: UUID = OWN, attempts: int = 1) -> ClientSecret:
    """Return the result of a call."""
    now = datetime.now(UTC)
    response = ResponseInfo(
        status=200,
        headers={},
        trace_id=trace_id,
        attempts=attempts,
        sent_at=now,
        elapsed=timedelta(0),
    )
    return ClientSecret(
        client_secret=f"secret-of-{of}",
        trace_id=trace_id,
        issued_at=now,
        response=response,
    )


def test_accounted_for(ledger: Ledger, entry: Entry) -> None:
    """A call with exactly one outcome causes no complaint."""
    ledger.succeed(entry, secret(attempts=2))
    ledger.cancel(ledger.enter(OTHER, timeout=1, patience=1))
    ledger.close()
    assert ledger.outcomes == {("succeeded", 2): 1, ("cancelled", 0): 1}
    assert not ledger.complaints


def test_lost(ledger: Ledger, entry: Entry) -> None:
    """A call without an outcome causes one complaint."""
    ledger.close()
    ledger.close()
    assert ledger.complaints == {"a call has no outcome": 1}


Settle = Callable[[Ledger, Entry], None]


@pytest.mark.parametrize(
    "settle",
    [
        lambda ledger, entry: ledger.succeed(entry, secret()),
        lambda ledger, entry: ledger.fail(entry, APIConnectionError("no")),
        lambda ledger, entry: ledger.cancel(entry),
    ],
    ids=["succeeded", "failed", "cancelled"],
)
def test_counted_twice(ledger: Ledger, entry: Entry, settle: Settle) -> None:
    """A call with two outcomes causes a complaint and counts with the first one."""
    ledger.cancel(entry)
    settle(ledger, entry)
    (complaint,) = ledger.complaints
    assert complaint.startswith("a call had two outcomes: cancelled and ")
    assert ledger.outcomes.total() == 1


def timed_out(ledger: Ledger, entry: Entry) -> None:
    """Record a timeout although no time has passed."""
    ledger.fail(entry, APITimeoutError("so soon"))


@pytest.mark.parametrize(
    ("settle", "complaint"),
    [
        (
            lambda ledger, entry: ledger.succeed(entry, secret(of=OTHER)),
            "A CALL WAS GIVEN ANOTHER CALL'S SECRET",
        ),
        (
            lambda ledger, entry: ledger.succeed(entry, secret(trace_id=OTHER)),
            "a result names another call's trace ID",
        ),
        (
            lambda ledger, entry: ledger.succeed(entry, secret(attempts=4)),
            "a call made 4 attempts",
        ),
        (timed_out, "a call timed out before its time"),
        (
            lambda ledger, entry: ledger.fail(entry, APIConnectionError("token-1")),
            "the text of a APIConnectionError holds a secret",
        ),
        (
            lambda ledger, entry: ledger.fail(entry, InvalidArgumentError("no")),
            "a good call was refused: InvalidArgumentError('no')",
        ),
    ],
)
def test_complaints(
    ledger: Ledger, entry: Entry, settle: Settle, complaint: str
) -> None:
    """An outcome that must not occur causes a complaint."""
    settle(ledger, entry)
    assert ledger.complaints == {complaint: 1}


@pytest.mark.parametrize(
    ("patience", "now", "late"),
    [(math.inf, 2.9, False), (math.inf, 3.1, True), (0.1, 2.2, True)],
)
def test_overdue(
    ledger: Ledger, clock: Clock, patience: float, now: float, *, late: bool
) -> None:
    """A call may exceed its deadline, or its caller's timeout, by the grace period."""
    entry = ledger.enter(OWN, timeout=1, patience=patience)
    clock.now = now
    ledger.cancel(entry)
    assert bool(ledger.complaints) is late


def test_many_complaints(ledger: Ledger) -> None:
    """Many complaints neither displace the first ones nor hide the total number."""
    for number in range(30):
        ledger.complain(f"number {number}")
    ledger.complain("number 3")
    ledger.complain("object at 0x7f00")
    assert ledger.complaints["number 3"] == 2
    assert ledger.complaints["and other things"] == 11
    assert ledger.complaints.total() == 32


@pytest.mark.parametrize("what", MOST_GROWTH)
@pytest.mark.parametrize(("growth", "failures"), [(0.9, 0), (1.1, 1)])
def test_memory(what: str, growth: float, failures: int) -> None:
    """Growth between rests is reported; memory before and after the soak is ignored."""
    most = MOST_GROWTH[what]

    def take(grown: float) -> Vitals:
        usual = {"rss_kb": 60_000, "blocks": 240_000, "descriptors": 18, "tasks": 1}
        usual[what] += int(grown)
        return Vitals(**usual, connections=0)

    # From the middle of the first quarter to that of the last is three quarters.
    resting = [take(most * growth * number / 15) for number in range(21)]
    report = Report(
        wiring="trio-httpx",
        seconds=600,
        outcomes=Counter({("succeeded", 1): 1}),
        complaints=Counter(),
        samples=[take(-most * 20), *resting, take(most * 20)],
        seen=Counter(),
    )
    assert len(report.failures) == failures
    assert ("FAILED" in str(report)) == bool(failures)
