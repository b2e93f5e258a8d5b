"""The OpenTelemetry span and metrics of each call."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import anyio
import httpx
import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    HistogramDataPoint,
    InMemoryMetricReader,
    NumberDataPoint,
)
from opentelemetry.sdk.trace import (
    ReadableSpan,
    Span,
    SpanProcessor,
    TracerProvider,
)
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import (
    INVALID_SPAN,
    SpanContext,
    SpanKind,
    StatusCode,
    get_current_span,
)

from plastiq_async import CallRecord, PlastiqError, PlastiqSession, SessionStateError
from plastiq_async.integrations.opentelemetry import OpenTelemetryObserver
from plastiq_async.middleware import Handler
from plastiq_async.testing import FakePlastiq
from tests.support.internals import KEY, add_intent
from tests.support.sessions import PAYER, fake_session, session_for
from tests.support.socket_server import Server, Step
from tests.support.steps import answer, drop, ignore
from tests.support.timing import eventually

TRACE_ID = UUID("0b4e3c1a-5d3e-4f0a-9c55-3f9f8a4f1f11")
TARGET = {"http.request.method": "POST", "url.template": "/client-secrets"}


class Spans(InMemorySpanExporter):
    """A recorder of the spans and metrics of calls with its `observer`."""

    def __init__(
        self, observer: type[OpenTelemetryObserver] = OpenTelemetryObserver
    ) -> None:
        super().__init__()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self))
        self._reader = InMemoryMetricReader()
        meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.observer = observer(provider, meters)

    def only(self) -> tuple[ReadableSpan, dict[str, Any]]:
        """Return the only span and its attributes."""
        (span,) = self.get_finished_spans()
        return span, dict(span.attributes or {})

    def metrics(self) -> dict[str, list[NumberDataPoint | HistogramDataPoint]]:
        """Return the data points of each metric, by its name and unit."""
        data = self._reader.get_metrics_data()
        assert data
        (resource,) = data.resource_metrics
        (scope,) = resource.scope_metrics
        return {
            f"{metric.name} {metric.unit}": list(metric.data.data_points)  # type: ignore[arg-type]  # none is exponential
            for metric in scope.metrics
        }


@pytest.fixture
def spans() -> Spans:
    """Set up OpenTelemetry's SDK."""
    return Spans()


async def test_success(spans: Spans, fake_plastiq: FakePlastiq) -> None:
    """A call creates a span with its trace ID, which is the parent of inner spans."""
    inside: list[SpanContext] = []

    async def watch(request: httpx.Request, call_next: Handler) -> httpx.Response:
        inside.append(get_current_span().get_span_context())
        return await call_next(request)

    session = fake_session(fake_plastiq, observer=spans.observer, middleware=[watch])
    await session.client_secrets.create(PAYER, trace_id=TRACE_ID)
    span, attributes = spans.only()
    assert inside == [span.get_span_context()]
    assert span.name == "client_secrets.create"
    assert span.kind is SpanKind.INTERNAL
    assert span.status.status_code is StatusCode.UNSET
    assert span.events == ()
    assert attributes == {
        **TARGET,
        "server.address": "127.0.0.1",
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
    session = fake_session(fake_plastiq, observer=spans.observer)
    await session.client_secrets.create(PAYER, trace_id=TRACE_ID)
    span, attributes = spans.only()
    assert span.status.status_code is StatusCode.UNSET
    assert attributes == {
        **TARGET,
        "server.address": "127.0.0.1",
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
    """The span of a failed call has the error's type and the status code."""
    with Server(step) as server:
        async with session_for(server, observer=spans.observer) as session:
            with pytest.raises(PlastiqError):
                await session.client_secrets.create(PAYER, trace_id=TRACE_ID)
    span, attributes = spans.only()
    expected = {
        **TARGET,
        "server.address": "127.0.0.1",
        "plastiq.outcome_unknown": name == "APIConnectionError",
        "plastiq.trace_id": str(TRACE_ID),
        "plastiq.attempts": attempts,
        "error.type": name,
        "http.response.status_code": status,
    }
    assert attributes == {key: value for key, value in expected.items() if value}
    assert span.status.status_code is StatusCode.ERROR
    described = name in {"PermissionDeniedError", "ServiceUnavailableError"}
    assert span.status.description == (f"{name}: {status}" if described else name)
    assert span.events == ()


async def test_no_text_of_the_server(spans: Spans) -> None:
    """Whatever the server writes, its error code is all of it that is in a span."""
    body = json.dumps({"code": "NO_PAYER", "message": f"no payer {PAYER}"}).encode()
    with Server(answer(400, body)) as server:
        async with session_for(server, observer=spans.observer) as session:
            with pytest.raises(PlastiqError, match=PAYER):
                await session.client_secrets.create(PAYER)
    span, _ = spans.only()
    assert span.status.description == "BadRequestError: 400 NO_PAYER"
    assert PAYER not in span.to_json()


async def test_failure_of_others(spans: Spans) -> None:
    """The same holds for errors of a token provider or another middleware."""

    async def provide() -> str:
        raise ZeroDivisionError(PAYER)

    async with PlastiqSession(provide, observer=spans.observer) as session:
        with pytest.raises(ZeroDivisionError):
            await session.client_secrets.create(PAYER)
    span, attributes = spans.only()
    assert attributes["error.type"] == "ZeroDivisionError"
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "ZeroDivisionError"
    assert PAYER not in span.to_json()


class Raising(OpenTelemetryObserver):
    """An observer whose own part raises."""

    def __call__(self, record: CallRecord, /) -> None:
        """Record the metrics, and raise."""
        super().__call__(record)
        raise ZeroDivisionError


async def test_raising_subclass(fake_plastiq: FakePlastiq) -> None:
    """What a subclass raises does not hide the failure of a call."""
    spans = Spans(Raising)
    fake_plastiq.fail_next(403)
    session = fake_session(fake_plastiq, observer=spans.observer)
    with pytest.raises(PlastiqError):
        await session.client_secrets.create(PAYER)
    span, attributes = spans.only()
    assert span.status.status_code is StatusCode.ERROR
    assert attributes["error.type"] == "PermissionDeniedError"
    assert attributes["http.response.status_code"] == 403
    assert get_current_span() is INVALID_SPAN


async def test_attributes_for_samplers(fake_plastiq: FakePlastiq) -> None:
    """What is known of a call before it begins is there when its span starts."""
    started: list[dict[str, Any]] = []

    class Sampling(SpanProcessor):
        def on_start(self, span: Span, parent_context: Context | None = None) -> None:
            started.append(dict(span.attributes or {}))

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Sampling())
    session = fake_session(fake_plastiq, observer=OpenTelemetryObserver(provider))
    await session.client_secrets.create(PAYER)
    assert started == [{**TARGET, "server.address": "127.0.0.1"}]


async def test_trace_id_of_the_server(spans: Spans) -> None:
    """The span has the trace ID of the response, also if that is an error response."""
    theirs = str(uuid4())
    options = {"observer": spans.observer, "verify_trace_id": False}
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
        async with session_for(server, observer=spans.observer) as session:
            await session.client_secrets.create(PAYER, trace_id=TRACE_ID)
    _, attributes = spans.only()
    assert attributes["plastiq.trace_id"] == str(TRACE_ID)


async def test_deadline(spans: Spans) -> None:
    """A call that misses its deadline has a timeout error on its span."""
    with Server(ignore) as server:
        async with session_for(server, observer=spans.observer) as session:
            with pytest.raises(TimeoutError):
                await session.client_secrets.create(PAYER, timeout=0.1)
    span, attributes = spans.only()
    assert attributes["error.type"] == "APITimeoutError"
    assert attributes["plastiq.attempts"] == 1
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "APITimeoutError"


async def test_cancellation(spans: Spans) -> None:
    """A cancellation by the caller is no error, but the span says that it was one."""
    with Server(ignore) as server:
        async with session_for(server, observer=spans.observer) as session:
            with anyio.move_on_after(0.1):
                await session.client_secrets.create(PAYER)
    span, attributes = spans.only()
    assert span.status.status_code is StatusCode.UNSET
    assert span.events == ()
    assert attributes["plastiq.cancelled"] is True
    assert attributes["plastiq.outcome_unknown"] is True
    assert "error.type" not in attributes
    (point,) = spans.metrics()["plastiq.client.call.duration s"]
    assert (point.attributes or {})["plastiq.cancelled"] is True


async def test_closed_session(spans: Spans) -> None:
    """A call that the session ends by closing is an error."""
    with Server(ignore) as server:
        session = session_for(server, observer=spans.observer)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(create_until_closed, session)
            await eventually(lambda: server.requests)
            await session.aclose()
    span, attributes = spans.only()
    assert span.status.status_code is StatusCode.ERROR
    assert attributes["error.type"] == "SessionStateError"


async def create_until_closed(session: PlastiqSession) -> None:
    """Make a call that the closing of its session ends."""
    with pytest.raises(SessionStateError):
        await session.client_secrets.create(PAYER)


async def test_wait_for_a_permit(spans: Spans, fake_plastiq: FakePlastiq) -> None:
    """The span of a call that never got its permit covers its wait."""
    fake_plastiq.delay_next(60)
    session = fake_session(fake_plastiq, observer=spans.observer, max_connections=1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(session.client_secrets.create, PAYER)
        await eventually(lambda: session.stats.in_use)
        with pytest.raises(TimeoutError):
            await session.client_secrets.create(PAYER, timeout=0.05)
        tasks.cancel_scope.cancel()
    waiting = spans.get_finished_spans()[0]
    assert (waiting.attributes or {})["plastiq.attempts"] == 0
    assert (waiting.end_time or 0) - (waiting.start_time or 0) >= 0.04e9


async def test_unreadable_response(spans: Spans) -> None:
    """The span has the error of a response that cannot be decoded."""
    with Server(answer(body=b"[]")) as server:
        async with session_for(server, observer=spans.observer) as session:
            with pytest.raises(PlastiqError):
                await session.client_secrets.create(PAYER)
    span, attributes = spans.only()
    assert attributes["error.type"] == "APIResponseError"
    assert attributes["http.response.status_code"] == 200
    assert span.status.status_code is StatusCode.ERROR


async def test_upload(spans: Spans, fake_plastiq: FakePlastiq) -> None:
    """The span and the metrics of an upload do not say where the document went."""
    session = fake_session(fake_plastiq, observer=spans.observer)
    place = await session.documents.create(
        fake_plastiq.payer_id,
        filename="a.pdf",
        payment_intent_id=add_intent(fake_plastiq),
    )
    await session.documents.upload(place, b"%PDF")
    upload = spans.get_finished_spans()[-1]
    assert upload.name == "documents.upload"
    attributes = dict(upload.attributes or {})
    assert attributes.pop("plastiq.trace_id")
    assert attributes == {
        "http.request.method": "POST",
        "http.response.status_code": 201,
        "plastiq.attempts": 1,
    }


async def test_replay(spans: Spans, fake_plastiq: FakePlastiq) -> None:
    """The span of a payment says whether the response was a replay."""
    session = fake_session(fake_plastiq, observer=spans.observer)
    intent = add_intent(fake_plastiq)
    for _ in range(2):
        await session.payments.create(
            intent, fake_plastiq.payer_id, idempotency_key=KEY
        )
    first, second = spans.get_finished_spans()
    assert "plastiq.replayed" not in (first.attributes or {})
    assert (second.attributes or {})["plastiq.replayed"] is True


@pytest.mark.usefixtures("quick_retries")
async def test_metrics(spans: Spans, fake_plastiq: FakePlastiq) -> None:
    """Durations, attempts and retries are counted by operation, and by their errors."""
    fake_plastiq.fail_next(503)
    fake_plastiq.drop_next()
    session = fake_session(fake_plastiq, observer=spans.observer)
    await session.client_secrets.create(PAYER)
    fake_plastiq.fail_next(403)
    with pytest.raises(PlastiqError):
        await session.client_secrets.create(PAYER)
    labels = {
        "plastiq.operation": "client_secrets.create",
        **TARGET,
        "server.address": "127.0.0.1",
    }
    found = {
        name: [(dict(point.attributes or {}), count_of(point)) for point in points]
        for name, points in spans.metrics().items()
    }
    status = "http.response.status_code"
    assert found == {
        "plastiq.client.call.duration s": [
            ({**labels, status: 200}, 1),
            ({**labels, status: 403, "error.type": "PermissionDeniedError"}, 1),
        ],
        "plastiq.client.call.attempts {attempt}": [(labels, 4)],
        "plastiq.client.call.retries {retry}": [
            ({**labels, "error.type": "ServiceUnavailableError"}, 1),
            ({**labels, "error.type": "APIConnectionError"}, 1),
        ],
    }


def count_of(point: NumberDataPoint | HistogramDataPoint) -> float:
    """Return the number that a counter counted, or that of a histogram's values."""
    return point.count if isinstance(point, HistogramDataPoint) else point.value


async def test_buckets(spans: Spans, fake_plastiq: FakePlastiq) -> None:
    """The buckets of the durations are those of the semantic conventions."""
    await fake_session(fake_plastiq, observer=spans.observer).categories.list()
    (point,) = spans.metrics()["plastiq.client.call.duration s"]
    assert isinstance(point, HistogramDataPoint)
    assert point.explicit_bounds == (
        *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25),
        *(0.5, 0.75, 1, 2.5, 5, 7.5, 10),
    )
    assert 0 < point.sum < 10


@pytest.mark.usefixtures("quick_retries")
async def test_exhausted_quota(spans: Spans, fake_plastiq: FakePlastiq) -> None:
    """Calls that are not retried for lack of quota are counted."""
    fake_plastiq.fail_next(503, times=200)
    session = fake_session(fake_plastiq, observer=spans.observer, max_retries=60)
    for _ in range(3):
        with pytest.raises(PlastiqError):
            await session.client_secrets.create(PAYER)
    points = spans.metrics()["plastiq.client.call.quota_exhausted {call}"]
    assert [count_of(point) for point in points] == [2]
    assert session.stats.retry_quota_left == 0


async def test_failing_exporter(fake_plastiq: FakePlastiq) -> None:
    """A span processor that raises affects neither the call nor the current span."""

    class Broken(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            raise ZeroDivisionError

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Broken())
    session = fake_session(fake_plastiq, observer=OpenTelemetryObserver(provider))
    secret = await session.client_secrets.create(PAYER, trace_id=TRACE_ID)
    assert secret.trace_id == TRACE_ID
    assert get_current_span() is INVALID_SPAN


async def test_many_at_once(spans: Spans, fake_plastiq: FakePlastiq) -> None:
    """Each call has its own span, whose parent is that of the calling task."""
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("tests")
    session = fake_session(fake_plastiq, observer=spans.observer)

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

    session = fake_session(
        fake_plastiq, observer=OpenTelemetryObserver(), middleware=[watch]
    )
    secret = await session.client_secrets.create(PAYER, trace_id=TRACE_ID)
    assert secret.trace_id == TRACE_ID
    assert inside == [False]
