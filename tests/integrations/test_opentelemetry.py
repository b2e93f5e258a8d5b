"""The OpenTelemetry span of each call: attributes, status and duration."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import anyio
import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import (
    INVALID_SPAN,
    SpanContext,
    SpanKind,
    StatusCode,
    get_current_span,
)

from plastiq_async import PlastiqError, PlastiqSession
from plastiq_async.integrations.opentelemetry import OpenTelemetryMiddleware
from plastiq_async.middleware import Handler, Middleware
from plastiq_async.testing import FakePlastiq
from tests.support.sessions import PAYER, session_for
from tests.support.socket_server import Server, Step
from tests.support.steps import answer, drop, ignore

TRACE_ID = UUID("0b4e3c1a-5d3e-4f0a-9c55-3f9f8a4f1f11")


class Spans(InMemorySpanExporter):
    """A recorder of the spans of calls through its `middleware`."""

    def __init__(self) -> None:
        super().__init__()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self))
        self.middleware = OpenTelemetryMiddleware(provider)

    def only(self) -> tuple[ReadableSpan, dict[str, Any]]:
        """Return the only span and its attributes."""
        (span,) = self.get_finished_spans()
        return span, dict(span.attributes or {})


@pytest.fixture
def spans() -> Spans:
    """Set up OpenTelemetry's SDK."""
    return Spans()


def fake_session(fake: FakePlastiq, *middleware: Middleware) -> PlastiqSession:
    """Return a session with the fake; it needs no closing."""
    return PlastiqSession(
        fake.access_token,
        base_url=fake.base_url,
        transport=fake.transport,
        middleware=middleware,
    )


async def test_success(spans: Spans, fake_plastiq: FakePlastiq) -> None:
    """A call creates a span with its trace ID, which is the parent of inner spans."""
    inside: list[SpanContext] = []

    async def watch(request: httpx.Request, call_next: Handler) -> httpx.Response:
        inside.append(get_current_span().get_span_context())
        return await call_next(request)

    session = fake_session(fake_plastiq, spans.middleware, watch)
    await session.client_secrets.create(PAYER, trace_id=TRACE_ID)
    span, attributes = spans.only()
    assert inside == [span.get_span_context()]
    assert span.name == "POST /client-secrets"
    assert span.kind is SpanKind.INTERNAL
    assert span.status.status_code is StatusCode.UNSET
    assert span.events == ()
    assert attributes == {
        "plastiq.trace_id": str(TRACE_ID),
        "plastiq.attempts": 1,
        "http.response.status_code": 200,
    }
    scope = span.instrumentation_scope
    assert scope is not None
    assert (scope.name, bool(scope.version)) == ("plastiq_async", True)
    assert get_current_span() is INVALID_SPAN


@pytest.mark.usefixtures("quick_retries")
async def test_retried(spans: Spans, fake_plastiq: FakePlastiq) -> None:
    """A call that succeeds after retries creates one span without an error."""
    fake_plastiq.fail_next(503)
    fake_plastiq.drop_next()
    session = fake_session(fake_plastiq, spans.middleware)
    await session.client_secrets.create(PAYER, trace_id=TRACE_ID)
    span, attributes = spans.only()
    assert span.status.status_code is StatusCode.UNSET
    assert attributes == {
        "plastiq.trace_id": str(TRACE_ID),
        "plastiq.attempts": 3,
        "http.response.status_code": 200,
    }


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize(
    ("step", "name", "attempts", "status"),
    [
        (answer(403, b""), "PermissionDeniedError", 1, 403),
        (answer(503, b""), "ServiceUnavailableError", 3, 503),
        (answer(headers=[("Content-Encoding", "br")]), "APIResponseError", 1, 200),
        (drop, "APIConnectionError", 3, None),
    ],
)
async def test_failure(
    step: Step, name: str, attempts: int, status: int | None, spans: Spans
) -> None:
    """The span of a failed call has the error's type, text and stack trace."""
    with Server(step) as server:
        async with session_for(server, middleware=[spans.middleware]) as session:
            with pytest.raises(PlastiqError) as info:
                await session.client_secrets.create(PAYER, trace_id=TRACE_ID)
    span, attributes = spans.only()
    expected = {
        "plastiq.trace_id": str(TRACE_ID),
        "plastiq.attempts": attempts,
        "error.type": name,
        "http.response.status_code": status,
    }
    assert attributes == {key: value for key, value in expected.items() if value}
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == f"{name}: {info.value}"
    (event,) = span.events
    assert (event.attributes or {})["exception.type"] == f"plastiq_async.errors.{name}"


async def test_failure_of_others(spans: Spans) -> None:
    """The same holds for errors of a token provider or another middleware."""

    async def provide() -> str:
        raise ZeroDivisionError

    async with PlastiqSession(provide, middleware=[spans.middleware]) as session:
        with pytest.raises(ZeroDivisionError):
            await session.client_secrets.create(PAYER)
    span, attributes = spans.only()
    assert attributes["error.type"] == "ZeroDivisionError"
    assert span.status.status_code is StatusCode.ERROR
    assert len(span.events) == 1


async def test_trace_id_of_the_server(spans: Spans) -> None:
    """The span has the trace ID of the response, also if that is an error response."""
    theirs = str(uuid4())
    options = {"middleware": [spans.middleware], "verify_trace_id": False}
    with Server(answer(trace_id=theirs), answer(400, trace_id=theirs)) as server:
        async with session_for(server, **options) as session:
            await session.client_secrets.create(PAYER)
            with pytest.raises(PlastiqError):
                await session.client_secrets.create(PAYER)
    good, bad = spans.get_finished_spans()
    for attributes in (good.attributes, bad.attributes):
        assert (attributes or {})["plastiq.trace_id"] == theirs


async def test_answer_without_a_trace_id(spans: Spans) -> None:
    """If the response has no trace ID, the span has the one that was sent."""
    with Server(answer(trace_id=None)) as server:
        async with session_for(server, middleware=[spans.middleware]) as session:
            await session.client_secrets.create(PAYER, trace_id=TRACE_ID)
    _, attributes = spans.only()
    assert attributes["plastiq.trace_id"] == str(TRACE_ID)


async def test_deadline(spans: Spans) -> None:
    """A call that misses its deadline has a timeout error on its span."""
    with Server(ignore) as server:
        async with session_for(server, middleware=[spans.middleware]) as session:
            with pytest.raises(TimeoutError):
                await session.client_secrets.create(PAYER, timeout=0.1)
    span, attributes = spans.only()
    assert attributes["error.type"] == "APITimeoutError"
    assert attributes["plastiq.attempts"] == 1
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "APITimeoutError"


async def test_cancellation(spans: Spans) -> None:
    """A cancelled call has the cancellation as the error on its span."""
    with Server(ignore) as server:
        async with session_for(server, middleware=[spans.middleware]) as session:
            with anyio.move_on_after(0.1):
                await session.client_secrets.create(PAYER)
    name = anyio.get_cancelled_exc_class().__name__
    span, attributes = spans.only()
    assert attributes["error.type"] == name
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == name


async def test_many_at_once(spans: Spans, fake_plastiq: FakePlastiq) -> None:
    """Each call has its own span, whose parent is that of the calling task."""
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("tests")
    session = fake_session(fake_plastiq, spans.middleware)

    async def create(parents: dict[str, int]) -> None:
        with tracer.start_as_current_span("task") as parent:
            secret = await session.client_secrets.create(PAYER)
            parents[str(secret.trace_id)] = parent.get_span_context().span_id

    expected: dict[str, int] = {}
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(create, expected)
    found = {
        str((span.attributes or {})["plastiq.trace_id"]): span.parent.span_id
        for span in spans.get_finished_spans()
        if span.parent
    }
    assert found == expected
    assert len(found) == 20


async def test_without_an_sdk(fake_plastiq: FakePlastiq) -> None:
    """Without an SDK, calls work and nothing is recorded."""
    inside: list[bool] = []

    async def watch(request: httpx.Request, call_next: Handler) -> httpx.Response:
        inside.append(get_current_span().is_recording())
        return await call_next(request)

    session = fake_session(fake_plastiq, OpenTelemetryMiddleware(), watch)
    secret = await session.client_secrets.create(PAYER, trace_id=TRACE_ID)
    assert secret.trace_id == TRACE_ID
    assert inside == [False]
