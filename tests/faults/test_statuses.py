"""Faults 11, 12, 13 and 15: responses with a status code other than 2xx."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import anyio
import pytest
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from plastiq_async import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    PlastiqSession,
    ServiceUnavailableError,
    UnprocessableEntityError,
)
from tests.support.sessions import PAYER
from tests.support.socket_server import Server
from tests.support.steps import answer
from tests.support.wirings import Connect

HTML = b"<html><body><h1>Bad Gateway</h1>nginx of 10.0.0.1</body></html>"
HTML_HEADERS = [("Content-Type", "text/html"), ("Server", "nginx")]
TRACE_ID = "fe278caa-e01d-4910-b975-5c19c21a6d8e"


async def failure(session: PlastiqSession, **options: Any) -> APIStatusError:
    """Return the error of a call that must fail."""
    with pytest.raises(APIStatusError) as info, anyio.fail_after(10):
        await session.client_secrets.create(PAYER, **options)
    return info.value


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("trace_id", [None, ""], ids=["stripped", "returned"])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (502, InternalServerError),
        (503, ServiceUnavailableError),
        (504, InternalServerError),
    ],
)
async def test_gateway(
    connect: Connect, status: int, kind: type[APIStatusError], trace_id: str | None
) -> None:
    """Fault 11: an HTML error page is retried, and then raised with a trace ID."""
    page = answer(status, HTML, HTML_HEADERS, trace_id=trace_id)
    with Server(page, page, answer(), page) as server:
        async with connect(server) as session:
            secret = await session.client_secrets.create(PAYER)
            error = await failure(session)
    assert secret.client_secret == f"secret-of-{secret.trace_id}"
    assert secret.response.attempts == 3
    assert type(error) is kind
    assert (error.status_code, error.code, error.attempts) == (status, None, 3)
    assert "nginx" not in str(error)
    traces = [request.header("Trace-Id") for request in server.requests]
    assert traces == [str(secret.trace_id)] * 3 + [str(error.trace_id)] * 3


async def first_wait(
    connect: Connect, status: int, values: list[str], *dates: str
) -> float:
    """Return the back-off before the second attempt, in seconds."""
    waits: list[float] = []
    headers = [("Retry-After", value) for value in values]
    headers += [("Date", value) for value in dates]
    refusal = answer(status, b"", headers)
    with Server(refusal) as server, anyio.CancelScope() as scope:

        def note(details: RetryDetails) -> None:
            waits.append(details.wait_for)
            scope.cancel()

        set_on_retry_hooks([note])
        try:
            async with connect(server, timeout=300) as session:
                await session.client_secrets.create(PAYER)
        finally:
            set_on_retry_hooks(None)
    assert len(server.requests) == 1
    return waits[0]


def date_in(seconds: float) -> str:
    """Return the HTTP date that is `seconds` from now."""
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return format_datetime(moment, usegmt=True)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("seconds", [5, 60])
async def test_retry_after(connect: Connect, status: int, seconds: int) -> None:
    """Fault 12: a Retry-After of up to a minute is respected, with some jitter."""
    wait = await first_wait(connect, status, [str(seconds)])
    assert seconds <= wait <= seconds + 0.1


async def test_retry_after_date(connect: Connect) -> None:
    """Fault 12: Retry-After may be a date."""
    assert 40 < await first_wait(connect, 503, [date_in(58)]) <= 58.1


@pytest.mark.parametrize("late", [-600, 0, 600])
async def test_retry_after_date_by_the_clock_of_the_server(
    connect: Connect, late: int
) -> None:
    """Fault 12: such a date is relative to the Date of the response."""
    now = datetime.now(UTC)
    dates = [
        format_datetime(now + timedelta(seconds=late + wait), usegmt=True)
        for wait in (0, 7)
    ]
    assert 7 <= await first_wait(connect, 503, dates[1:], dates[0]) <= 7.1


@pytest.mark.parametrize(
    "values",
    [
        ["-5"],
        ["nan"],
        ["inf"],
        ["1e35"],
        ["soon"],
        [""],
        ["20", "20"],
        ["20", "30"],
        ["20, 20"],
        ["Mon, 01 Jan 2024 00:00:30 GMT"],
        ["Thu, 41 Jan 2026 00:00:30 GMT"],
    ],
    ids=str,
)
async def test_retry_after_of_no_use(connect: Connect, values: list[str]) -> None:
    """Fault 12: an invalid Retry-After is ignored, and the usual back-off used."""
    assert 0 <= await first_wait(connect, 503, values) <= 0.1


@pytest.mark.slow
async def test_waits(connect: Connect) -> None:
    """Fault 12: the call really waits before it is retried."""
    with Server(answer(429, b"", [("Retry-After", "1")]), answer()) as server:
        async with connect(server) as session:
            secret = await session.client_secrets.create(PAYER)
    assert secret.response.attempts == 2
    assert 1 <= secret.response.elapsed.total_seconds() < 10


@pytest.mark.parametrize(
    ("seconds", "timeout"), [(61, 300), (86_400, 300), (20, 19), (60, 30)]
)
@pytest.mark.parametrize("as_date", [False, True])
async def test_retry_after_too_long(
    connect: Connect, seconds: int, timeout: float, *, as_date: bool
) -> None:
    """Fault 12: a Retry-After over a minute or the deadline prevents a retry."""
    # A date has no fractions, and some time passes before it is read.
    value = date_in(seconds + 9) if as_date else str(seconds)
    refusal = answer(503, b"", [("Retry-After", value)])
    with Server(refusal) as server:
        async with connect(server, timeout=timeout) as session:
            error = await failure(session)
    assert error.retry_after is not None
    assert seconds <= error.retry_after <= seconds + 9 * as_date
    assert type(error) is ServiceUnavailableError
    assert error.attempts == len(server.requests) == 1


STATUSES = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
}
GENERIC = {"code": "SOME_ERROR", "message": "Some error", "traceId": TRACE_ID}
ITEMS = [{"details": "payer.id must be a UUID"}, {"details": "type must be CARD"}]
DETAILS = ("payer.id must be a UUID", "type must be CARD")


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("shape", ["errors", "details"])
@pytest.mark.parametrize("status", STATUSES)
async def test_api_error(connect: Connect, status: int, shape: str) -> None:
    """Fault 13: an API error keeps its code, message and details; it is not retried."""
    body = GENERIC | {shape: ITEMS, "statusCode": status}
    with Server(answer(status, json.dumps(body).encode())) as server:
        async with connect(server) as session:
            error = await failure(session)
    assert type(error) is STATUSES[status]
    assert error.status_code == status
    assert (error.code, error.message) == ("SOME_ERROR", "Some error")
    assert error.details == DETAILS
    assert error.attempts == len(server.requests) == 1
    assert str(error.trace_id) == server.requests[0].header("Trace-Id")
    assert not error.outcome_unknown


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", (None, "Forbidden", ())),
        (HTML, (None, "Forbidden", ())),
        (b'{"code": "SOME_', (None, "Forbidden", ())),
        ({}, (None, "Forbidden", ())),
        (None, (None, "Forbidden", ())),
        ([GENERIC], (None, "Forbidden", ())),
        ("SOME_ERROR", (None, "Forbidden", ())),
        ({"code": "SOME_ERROR"}, ("SOME_ERROR", "Forbidden", ())),
        ({"message": "Some error"}, (None, "Some error", ())),
        ({"errors": ITEMS}, (None, "Forbidden", DETAILS)),
        ({"details": ITEMS}, (None, "Forbidden", DETAILS)),
        ({"errors": None, "details": ITEMS}, (None, "Forbidden", DETAILS)),
        ({"code": 5, "message": ["Some error"]}, (None, "Forbidden", ())),
        (GENERIC | {"errors": "all"}, ("SOME_ERROR", "Some error", ())),
        (GENERIC | {"errors": {"details": "x"}}, ("SOME_ERROR", "Some error", ())),
        (
            GENERIC | {"errors": [None, 5, {}, {"details": None}, ITEMS[0]]},
            ("SOME_ERROR", "Some error", DETAILS[:1]),
        ),
    ],
    ids=lambda value: "" if isinstance(value, tuple) else repr(value)[:40],
)
async def test_api_error_with_less(
    connect: Connect, body: object, told: tuple[object, ...]
) -> None:
    """Fault 13: missing or invalid members of an error body are ignored."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with Server(answer(403, content)) as server:
        async with connect(server) as session:
            error = await failure(session)
    assert type(error) is PermissionDeniedError
    assert (error.code, error.message, error.details) == told
    assert error.attempts == len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "known"), [(GENERIC, True), ({}, False), ({"traceId": 5}, False)]
)
async def test_api_error_without_a_header(
    connect: Connect, body: object, *, known: bool
) -> None:
    """Fault 13: without a header, the trace ID is that of the body or the request."""
    content = json.dumps(body).encode()
    with Server(answer(400, content, trace_id=None)) as server:
        async with connect(server) as session:
            error = await failure(session)
    sent = server.requests[0].header("Trace-Id")
    assert str(error.trace_id) == (TRACE_ID if known else sent)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("status", range(300, 309))
@pytest.mark.parametrize(
    "location",
    [
        "{other}/api/client-secrets",
        "//{host}/",
        "/elsewhere",
        "javascript:alert(1)",
        "http://xn--/",
        "http://[::1",
        "\u00e9 \u00e9",
        "",
        None,
    ],
)
async def test_redirect(connect: Connect, status: int, location: str | None) -> None:
    """Fault 15: a redirect is an error and is not followed."""
    with Server(answer()) as other:
        headers = []
        if location is not None:
            host = other.url.removeprefix("http://")
            value = location.format(other=other.url, host=host)
            headers.append(("Location", value))
        with Server(answer(status, b"", headers)) as server:
            async with connect(server) as session:
                error = await failure(session)
    assert type(error) is APIStatusError
    assert error.status_code == status
    assert error.attempts == len(server.requests) == 1
    assert not other.connections
