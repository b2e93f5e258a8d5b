"""The state of a call, and what an error takes from it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from plastiq_async._call import Call, Operation, RetryRule
from plastiq_async.errors import APIConnectionError

SENT = UUID("0b4e3c1a-5f0e-4c1d-9d56-0d4d1e6f7a80")
RETURNED = UUID("fe278caa-e01d-4910-b975-5c19c21a6d8e")


def make_call(**state: Any) -> Call:
    """Return a call with `state`."""
    operation = Operation[object](
        method="GET",
        path="/things",
        headers=((b"User-Agent", b"x"),),
        body=b"s3cr3t",
        trace_id=None,
        retry=RetryRule.ALWAYS,
        result=lambda body, _: body,
    )
    return Call(operation=operation, max_retries=2, started=1.0, deadline=2.0, **state)


def test_starts_fresh() -> None:
    """A new call has made no attempt, and the clock of its first is set."""
    call = make_call()
    assert (call.trace_id, call.attempts) == (None, 0)
    assert not call.in_flight
    assert not call.outcome_unknown
    assert call.sent_at.tzinfo is UTC
    assert abs(datetime.now(UTC) - call.sent_at) < timedelta(minutes=1)


def test_describe() -> None:
    """An error takes over which call it ended."""
    error = APIConnectionError("gone")
    make_call(trace_id=SENT, attempts=3).describe(error)
    assert (error.method, error.path) == ("GET", "/things")
    assert (error.trace_id, error.attempts) == (SENT, 3)


def test_describe_keeps_returned_trace_id() -> None:
    """The trace ID that the server answered with comes before the one sent."""
    error = APIConnectionError("gone")
    error.trace_id = RETURNED
    make_call(trace_id=SENT).describe(error)
    assert error.trace_id == RETURNED


@pytest.mark.parametrize("in_flight", [False, True])
@pytest.mark.parametrize("outcome_unknown", [False, True])
def test_describe_outcome(in_flight: bool, outcome_unknown: bool) -> None:
    """The outcome is unknown after any such attempt, and while one is under way."""
    error = APIConnectionError("gone")
    make_call(in_flight=in_flight, outcome_unknown=outcome_unknown).describe(error)
    assert error.outcome_unknown is (in_flight or outcome_unknown)


def test_repr_hides_body() -> None:
    """The body is in no repr on the way."""
    assert "s3cr3t" not in repr(make_call())


def test_calls_are_told_apart() -> None:
    """Two calls in the same state are two calls."""
    now = datetime.now(UTC)
    assert make_call(sent_at=now) != make_call(sent_at=now)
