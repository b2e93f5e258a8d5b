"""The state of a call: its options, its outcome, and how to find it."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast
from uuid import UUID

import attrs
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plastiq_async import (
    EndUser,
    HookError,
    InvalidArgumentError,
    trace_context,
)
from plastiq_async._call import (
    CALL_EXTENSION,
    Call,
    CallDefaults,
    call_of,
    start_call,
)
from tests.support.internals import make_call, make_operation
from tests.support.strategies import many

TRACE_ID = UUID("0b4e3c1a-5f0e-4c1d-9d56-0d4d1e6f7a80")
OTHER = UUID("fe278caa-e01d-4910-b975-5c19c21a6d8e")
ADA = EndUser(user_agent="Ada's")
BOB = EndUser(user_agent="Bob's")
DEFAULTS = CallDefaults(timeout=30.0, max_retries=2, end_user=ADA)

OPERATIONS: dict[str, dict[str, Any]] = {
    "harmless": {"harmless": True},
    "keyed": {"harmless": False, "keyed": True},
    "harmless and keyed": {"harmless": True, "keyed": True},
    "unsafe": {"harmless": False},
    "delete": {"harmless": True, "method": "DELETE"},
}
INCONCLUSIVE = (401, 403, 408, 409, 429)
AMBIGUOUS = (408, 409)

# An attempt: "lost" was sent and got no response, "unsent" was not sent after all,
# "failed" ended before it was sent, "unreadable" got a 200 whose body is unreadable,
# and a number is the status code of a complete response.
Attempt = int | Literal["lost", "unsent", "failed", "unreadable"]


def start(options: dict[str, Any], defaults: CallDefaults = DEFAULTS) -> Call:
    """Return the call of an operation with `options`."""
    return start_call(make_operation(), cast("Any", options), defaults)


def make_attempt(call: Call, attempt: Attempt) -> None:
    """Record an attempt on `call`, as the pipeline and the transports do."""
    call.begin_attempt()
    if attempt == "failed":
        return
    call.sending()
    if attempt == "unsent":
        call.not_sent()
    elif attempt == "unreadable":
        call.answered(200, readable=False)
    elif attempt != "lost":
        call.answered(attempt)


def call_after(kind: str, *attempts: Attempt) -> Call:
    """Return a call of the operation `kind` after `attempts`."""
    call = make_call(make_operation(**OPERATIONS[kind]))
    for attempt in attempts:
        make_attempt(call, attempt)
    return call


def test_starts_fresh() -> None:
    """A new call has made no attempt, and has default options and the current time."""
    call = start({})
    assert call.defaults is DEFAULTS
    assert (call.timeout, call.end_user, call.deadline) == (30.0, ADA, math.inf)
    assert (call.attempts, call.polls) == (0, 0)
    assert (call.token, call.hook_error) == ("", None)
    assert not call.outcome_unknown
    assert call.sent_at.tzinfo is UTC
    assert abs(datetime.now(UTC) - call.sent_at) < timedelta(minutes=1)


def test_own_options() -> None:
    """An option of the call takes precedence over the session's and the context's."""
    with trace_context(OTHER):
        call = start({"timeout": 5, "trace_id": str(TRACE_ID), "end_user": BOB})
    assert (call.timeout, call.trace_id, call.end_user) == (5, TRACE_ID, BOB)


def test_none_is_absence() -> None:
    """Passing None for an option is the same as omitting it."""
    with trace_context(OTHER):
        call = start({"timeout": None, "trace_id": None, "end_user": None})
    assert (call.timeout, call.trace_id, call.end_user) == (30.0, OTHER, ADA)


def test_no_end_user() -> None:
    """The end user is optional."""
    assert start({}, CallDefaults(timeout=1, max_retries=0)).end_user is None


def test_new_trace_id() -> None:
    """Without an option and a context, each call gets a new version 4 trace ID."""
    first, second = start({}).trace_id, start({}).trace_id
    assert first != second
    assert first.version == second.version == 4


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"deadlines": 5}, "deadlines"),
        ({"deadlines": None}, "deadlines"),
        ({"timeout": 5, "zeta": 1, "alpha": 2}, "alpha"),
        ({"TIMEOUT": 5}, "TIMEOUT"),
        ({"": 5}, ""),
    ],
)
def test_unknown_option(options: dict[str, Any], named: str) -> None:
    """An unknown option raises a TypeError with the method and the option name."""
    with pytest.raises(TypeError) as info:
        start(options)
    assert str(info.value) == (
        f"things.make() got an unexpected keyword argument {named!r}"
    )


@pytest.mark.parametrize(
    ("options", "named"),
    [
        *(({"timeout": value}, "timeout") for value in (0, -1, math.nan, "5", True)),
        *(({"end_user": value}, "end_user") for value in ("Ada", 5, False)),
        ({"trace_id": "s3cr3t"}, "trace_id"),
        ({"trace_id": "5b0c7a3e-93d4-11ee-b9d1-0242ac120002"}, "trace_id"),
        ({"trace_id": UUID(int=0)}, "trace_id"),
        ({"trace_id": ""}, "trace_id"),
    ],
    ids=repr,
)
def test_invalid_option(options: dict[str, Any], named: str) -> None:
    """An invalid option is rejected by name; the error does not repeat its value."""
    with pytest.raises(InvalidArgumentError, match=rf"^{named} must be ") as info:
        start(options)
    assert "s3cr3t" not in str(info.value)


@pytest.mark.parametrize("value", [0, "", False])
def test_false_is_no_absence(value: object) -> None:
    """Only None means absent; other false values are validated."""
    for name in ("timeout", "trace_id", "end_user"):
        with pytest.raises(InvalidArgumentError):
            start({name: value})


# For each sequence of attempts: the operations whose outcome is then unknown.
ALL = frozenset(OPERATIONS)
NONE: frozenset[str] = frozenset()
# Operations for which a status code other than success may hide a success.
DOUBTFUL = ALL - {"harmless", "harmless and keyed"}
OUTCOMES: list[tuple[tuple[Attempt, ...], frozenset[str]]] = [
    ((), NONE),
    (("failed",), NONE),
    (("unsent",), NONE),
    (("unsent", "unsent", "failed"), NONE),
    (("lost",), ALL),
    (("unreadable",), DOUBTFUL),
    *(((status,), NONE) for status in (200, 201, 204, 299)),
    *(((status,), NONE) for status in (301, 302, 304, 307, 399)),
    *(((status,), NONE) for status in (400, 401, 403, 404, 418, 422, 429, 499)),
    *(((status,), DOUBTFUL) for status in AMBIGUOUS),
    *(((status,), DOUBTFUL) for status in (500, 501, 502, 503, 504, 599)),
    # A lost attempt leaves the outcome unknown ...
    *((("lost", attempt), ALL) for attempt in ("lost", "unsent", "failed")),
    (("lost", "unreadable"), ALL),
    *((("lost", status), ALL) for status in (302, 500, 503, *INCONCLUSIVE)),
    (("lost", 503, 429, 401), ALL),
    # ... until there is a definite result.
    *((("lost", status), NONE) for status in (200, 204, 400, 418, 422)),
    (("lost", 503, 400), NONE),
    (("lost", 200, "lost"), ALL),
    (("lost", 400, "unsent"), NONE),
    (("lost", 400, 503), DOUBTFUL),
    # The same applies to a status code that may hide a success.
    *(((503, status), DOUBTFUL) for status in (302, 500, *INCONCLUSIVE)),
    *((("unreadable", status), DOUBTFUL) for status in INCONCLUSIVE),
    *(((503, attempt), DOUBTFUL) for attempt in ("unsent", "failed", "unreadable")),
    *(((503, status), NONE) for status in (200, 204, 400, 422)),
    *(((409, status), NONE) for status in (200, 400)),
    (("unreadable", 400), NONE),
    ((401, "lost"), ALL),
    ((429, 200), NONE),
]


@pytest.mark.parametrize(
    ("attempts", "unknown"), OUTCOMES, ids=[repr(attempts) for attempts, _ in OUTCOMES]
)
def test_outcome(attempts: tuple[Attempt, ...], unknown: frozenset[str]) -> None:
    """The outcome is unknown after an ambiguous attempt, until a definite result."""
    found = {kind for kind in ALL if call_after(kind, *attempts).outcome_unknown}
    assert found == unknown
    assert call_after("unsafe", *attempts).attempts == len(attempts)


@pytest.mark.parametrize("kind", OPERATIONS)
def test_unsettled(kind: str) -> None:
    """A refusal that tells nothing of an earlier attempt leaves its outcome unknown."""
    doubtful: tuple[Attempt, ...] = ("lost", 503)
    for earlier in doubtful:
        call = call_after(kind, earlier)
        before = call.outcome_unknown
        make_attempt(call, 400)
        assert not call.outcome_unknown
        call.unsettled()
        assert call.outcome_unknown is before
    definite: tuple[Attempt, ...] = (400, 429, "unsent")
    for earlier in definite:
        call = call_after(kind, earlier, 400)
        call.unsettled()
        assert not call.outcome_unknown


@pytest.mark.parametrize("kind", OPERATIONS)
def test_every_status(kind: str) -> None:
    """Whether a single response is ambiguous depends on its status code alone."""
    doubted = {
        status
        for status in range(200, 1000)
        if call_after(kind, status).outcome_unknown
    }
    doubtful = {408, 409, *range(500, 1000)}
    assert doubted == (doubtful if kind in DOUBTFUL else set())


@pytest.mark.parametrize("kind", OPERATIONS)
def test_every_status_after_a_lost_attempt(kind: str) -> None:
    """After a lost attempt, only a definite status code makes the outcome known."""
    cleared = {
        status
        for status in range(200, 1000)
        if not call_after(kind, "lost", status).outcome_unknown
    }
    definite = {*range(200, 300), *range(400, 500)} - set(INCONCLUSIVE)
    # This status code shows that the lost attempt succeeded; see `already_deleted`.
    assert cleared == (definite - {404} if kind == "delete" else definite)


@pytest.mark.parametrize("kind", OPERATIONS)
@pytest.mark.parametrize(
    ("attempts", "deleted"),
    [
        ((), False),
        ((404,), False),
        ((200,), False),
        ((429,), False),
        (("unsent",), False),
        (("lost", 200), False),
        (("lost", 400), False),
        (("lost", "failed"), True),
        (("lost", 404), True),
        (("lost", "lost", 404), True),
        (("lost", 429, 404), True),
        ((503,), True),
        ((503, 404), True),
        (("unreadable",), True),
    ],
    ids=repr,
)
def test_already_deleted(
    kind: str, attempts: tuple[Attempt, ...], deleted: bool
) -> None:
    """A 404 counts as deleted if an earlier DELETE of the call may have worked."""
    call = call_after(kind, *attempts)
    assert call.already_deleted(404) is (deleted and kind == "delete")
    assert not any(call.already_deleted(status) for status in (200, 400, 403, 410))


def test_second_request_of_an_attempt() -> None:
    """After a 401, the same attempt is sent again with another token."""
    call = call_after("unsafe", 401)
    call.sending()
    assert call.outcome_unknown
    call.answered(204)
    assert not call.outcome_unknown
    assert call.attempts == 1


def test_in_flight() -> None:
    """While an attempt is in flight, the outcome is unknown."""
    call = call_after("harmless", "failed")
    assert not call.outcome_unknown
    call.sending()
    assert call.outcome_unknown
    call.not_sent()
    assert not call.outcome_unknown


@pytest.mark.parametrize("kind", OPERATIONS)
@pytest.mark.parametrize("earlier", [(), ("lost",), ("lost", 400), (503,)], ids=repr)
def test_unreadable_after_all(kind: str, earlier: tuple[Attempt, ...]) -> None:
    """A response that the pipeline cannot read does not make the outcome known."""
    call = call_after(kind, *earlier, 201)
    assert not call.outcome_unknown
    call.answered(201, readable=False)
    unreadable_at_once = call_after(kind, *earlier, "unreadable")
    assert call.outcome_unknown == unreadable_at_once.outcome_unknown
    make_attempt(call, 200)
    make_attempt(call, 503)
    assert call.outcome_unknown == (kind in DOUBTFUL)


@pytest.mark.parametrize("status", [400, 404, 422])
def test_refusal_need_not_be_readable(status: int) -> None:
    """The status code of a refusal is definite even if its body is unreadable."""
    call = call_after("unsafe", "lost", "failed")
    call.sending()
    call.answered(status, readable=False)
    assert not call.outcome_unknown


attempt_lists = st.lists(
    st.sampled_from(["lost", "unsent", "failed", "unreadable", *INCONCLUSIVE, 404])
    | st.integers(200, 599),
    max_size=8,
)


@pytest.mark.slow
@many
@given(kind=st.sampled_from(sorted(OPERATIONS)), attempts=attempt_lists)
def test_any_attempts(kind: str, attempts: list[Attempt]) -> None:
    """The outcome is unknown if an ambiguous attempt followed the last definite one."""
    call = call_after(kind)
    since: list[Attempt] = []
    for attempt in attempts:
        doubt = any(leaves_doubt(kind, earlier) for earlier in since)
        if attempt == 404 and kind == "delete" and doubt:
            call.begin_attempt()
            assert call.already_deleted(404)
            return
        make_attempt(call, attempt)
        since = [] if is_definite(attempt) else [*since, attempt]
        assert call.outcome_unknown == any(
            leaves_doubt(kind, earlier) for earlier in since
        )
        assert call.already_deleted(404) <= (kind == "delete")


def is_definite(attempt: Attempt) -> bool:
    """Tell whether an attempt makes the outcome of the call known."""
    if isinstance(attempt, str):
        return False
    return attempt // 100 in {2, 4} and attempt not in INCONCLUSIVE


def leaves_doubt(kind: str, attempt: Attempt) -> bool:
    """Tell whether the server may have acted on an attempt without confirming it."""
    if isinstance(attempt, str):
        return attempt == "lost" or (attempt == "unreadable" and kind in DOUBTFUL)
    return kind in DOUBTFUL and (attempt in AMBIGUOUS or attempt >= 500)


def test_begin_attempt() -> None:
    """Each attempt is counted and has its own start time."""
    call = call_after("harmless")
    call.sent_at = before = datetime(2026, 1, 1, tzinfo=UTC)
    call.begin_attempt()
    call.begin_attempt()
    assert (call.attempts, call.polls) == (2, 0)
    assert call.sent_at > before


@pytest.mark.parametrize("kind", OPERATIONS)
def test_needs_own_response(kind: str) -> None:
    """A response must belong to the call if there is a key or repeating is unsafe."""
    needed = kind not in {"harmless", "delete"}
    assert call_after(kind).needs_own_response is needed


def test_secrets() -> None:
    """The secrets to mask are those of the body, and long values of extra headers."""
    assert call_after("unsafe").secrets == frozenset()
    operation = make_operation(body=b'{"pan": "4111"}')
    assert operation.body is not None
    body = attrs.evolve(operation.body, secrets=frozenset({"4111"}))
    call = make_call(attrs.evolve(operation, body=body))
    assert call.secrets == {"4111"}
    call.extra_headers = (
        (b"API-Key", b"k3y4cafe"),
        (b"X-Short", b"7letter"),
        (b"X-Expedited", b"true"),
        (b"X-Version", b"61"),
    )
    assert call.secrets == {"4111", "k3y4cafe"}
    assert "k3y4cafe" not in repr(call)


def test_call_of() -> None:
    """A call is found by its request."""
    call = call_after("harmless")
    request = httpx.Request(
        "GET", "http://127.0.0.1", extensions={CALL_EXTENSION: call}
    )
    assert call_of(request) is call


@pytest.mark.parametrize("extensions", [{}, {CALL_EXTENSION: None}, {"call": 1}])
def test_call_of_another_request(extensions: dict[str, Any]) -> None:
    """A request that middleware built itself belongs to no call."""
    request = httpx.Request("GET", "http://127.0.0.1", extensions=extensions)
    with pytest.raises(HookError, match="no session built"):
        call_of(request)


def test_repr_hides_data() -> None:
    """A repr shows no body, token, ID or end user."""
    operation = make_operation(
        body=b"s3cr3t",
        path="/things/{id}",
        path_params={"id": "s3cr3t"},
        query={"name": "s3cr3t"},
    )
    call = make_call(
        operation, token="s3cr3t", end_user=EndUser(user_agent="s3cr3t", ip="127.0.0.1")
    )
    assert "/things/{id}" in repr(call)
    assert "s3cr3t" not in f"{call!r} {operation!r} {operation.body!r}"
    assert "127.0.0.1" not in repr(call)


def test_calls_are_told_apart() -> None:
    """Two calls in the same state are not equal."""
    now = datetime.now(UTC)
    first, second = (
        make_call(make_operation(), sent_at=now, started=1.0) for _ in range(2)
    )
    assert first != second


def test_operation_is_frozen() -> None:
    """An operation is immutable."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        make_operation().body = None  # type: ignore[misc]
