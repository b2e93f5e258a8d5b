"""The official instrumentation of httpx and of aiohttp, and stamina's, on our sessions.

What our own span says is tested with `plastiq_async.integrations.opentelemetry`.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import suppress
from uuid import uuid4

import pytest
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, format_span_id, format_trace_id
from prometheus_client import REGISTRY, generate_latest
from stamina.instrumentation import (
    LoggingOnRetryHook,
    PrometheusOnRetryHook,
    RetryDetails,
    set_on_retry_hooks,
)

from plastiq_async import PlastiqError, PlastiqSession
from plastiq_async.integrations.opentelemetry import OpenTelemetryMiddleware
from tests.faults.conftest import WIRINGS
from tests.helpers import PAYER, TOKEN, session_for
from tests.servers import Connection, Request, Server, Step
from tests.steps import answer, drop, response

SECRET = "XYZCLIENTSECRET123"
BODY = b'{"clientSecret": "%s"}' % SECRET.encode()
INSTRUMENTORS: dict[str, HTTPXClientInstrumentor | AioHttpClientInstrumentor] = {
    "httpx": HTTPXClientInstrumentor(),
    "aiohttp": AioHttpClientInstrumentor(),
}


@pytest.fixture(
    params=WIRINGS,
    ids="-".join,
)
def wiring(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Run a test on each event loop with each transport that works on it."""
    loop, transport = request.param
    return loop, transport


@pytest.fixture
def anyio_backend(wiring: tuple[str, str]) -> str:
    """Run the test on this event loop."""
    return wiring[0]


@pytest.fixture
def transport(wiring: tuple[str, str]) -> str:
    """Use this transport in the test."""
    return wiring[1]


class Telemetry:
    """OpenTelemetry with its SDK, for sessions with our middleware."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._provider = TracerProvider(shutdown_on_exit=False)
        self._provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """All spans that have ended."""
        return self._exporter.get_finished_spans()

    @property
    def attempts(self) -> list[ReadableSpan]:
        """The spans that the official instrumentation made."""
        return [span for span in self.spans if span.kind is SpanKind.CLIENT]

    def instrument(self, library: str) -> None:
        """Let `library` make a span of each request."""
        INSTRUMENTORS[library].instrument(tracer_provider=self._provider)

    def session_for(self, server: Server, transport: str) -> PlastiqSession:
        """Return a session with `server` that makes a span of each call."""
        middleware = [OpenTelemetryMiddleware(self._provider)]
        return session_for(server, transport=transport, middleware=middleware)


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    """Set OpenTelemetry up, and leave nothing instrumented."""
    yield Telemetry()
    for instrumentor in INSTRUMENTORS.values():
        if instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.uninstrument()


@pytest.mark.usefixtures("quick_retries")
async def test_attempts(telemetry: Telemetry, transport: str) -> None:
    """Each attempt is a span below its call's, and sends its own context along."""
    telemetry.instrument(transport)
    with Server(answer(503), drop, answer()) as server:
        async with telemetry.session_for(server, transport) as session:
            secret = await session.client_secrets.create(PAYER)
    attempts = telemetry.attempts
    (call,) = (span for span in telemetry.spans if span not in attempts)
    assert call.parent is None
    assert call.attributes
    assert call.attributes["plastiq.attempts"] == 3
    assert [span.name for span in attempts] == ["POST"] * 3
    assert [span.parent for span in attempts] == [call.get_span_context()] * 3
    assert [span.status.is_ok for span in attempts] == [False, False, True]
    for request, span in zip(server.requests, attempts, strict=True):
        assert request.header("Trace-Id") == str(secret.trace_id)
        context = span.get_span_context()
        assert context
        ids = f"{format_trace_id(context.trace_id)}-{format_span_id(context.span_id)}"
        assert request.header("traceparent").startswith(f"00-{ids}-")


async def test_instrumented_late(telemetry: Telemetry, transport: str) -> None:
    """It is early enough any time for httpx, before the first call for aiohttp."""
    with Server(answer()) as server:
        async with telemetry.session_for(server, transport) as session:
            await session.client_secrets.create(PAYER)
            telemetry.instrument(transport)
            await session.client_secrets.create(PAYER)
    first, second = server.requests
    assert not first.header("traceparent")
    assert bool(second.header("traceparent")) == (transport == "httpx")
    assert len(telemetry.attempts) == (transport == "httpx")


async def test_instrumented_httpx(telemetry: Telemetry, transport: str) -> None:
    """The instrumentation of httpx does not see calls that aiohttp transports."""
    telemetry.instrument("httpx")
    with Server(answer()) as server:
        async with telemetry.session_for(server, transport) as session:
            await session.client_secrets.create(PAYER)
    assert bool(telemetry.attempts) == (transport == "httpx")


async def test_trace_id_of_attempts(
    telemetry: Telemetry, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that is documented puts the trace ID on the attempts' spans, too."""
    variable = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST"
    monkeypatch.setenv(variable, "Trace-Id")
    telemetry.instrument(transport)
    with Server(answer()) as server:
        async with telemetry.session_for(server, transport) as session:
            secret = await session.client_secrets.create(PAYER)
    (attempt,) = telemetry.attempts
    assert attempt.attributes
    name = "http.request.header.trace_id"
    assert attempt.attributes[name] == (str(secret.trace_id),)


def babble(connection: Connection, _: Request) -> None:
    """Answer with something that is no HTTP, and is secret."""
    connection.send(BODY + b"\r\n\r\n")


def chatter(connection: Connection, request: Request) -> None:
    """Send a secret twice, though the answer has room for it once."""
    connection.send(response(request, body=BODY) + BODY + b"\r\n\r\n")


def stop_short(connection: Connection, request: Request) -> None:
    """Send less than was announced."""
    headers = [("Content-Length", "99")]
    connection.send(response(request, body=BODY, headers=headers))
    connection.close()


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([answer(body=BODY)], id="good"),
        pytest.param([answer(503, BODY), drop, answer(body=BODY)], id="retried"),
        pytest.param([answer(401, BODY)], id="401"),
        pytest.param([answer(body=BODY, trace_id=str(uuid4()))], id="foreign"),
        pytest.param([answer(body=BODY[:-1])], id="malformed"),
        pytest.param([stop_short], id="short"),
        pytest.param([babble], id="no-http"),
        pytest.param([chatter], id="surplus"),
    ],
)
async def test_no_secret_in_spans(
    steps: list[Step], telemetry: Telemetry, transport: str
) -> None:
    """Neither token nor client secret is in any span, attempts' included."""
    telemetry.instrument(transport)
    with Server(*steps) as server:
        async with telemetry.session_for(server, transport) as session:
            for _ in range(2):
                with suppress(PlastiqError):
                    await session.client_secrets.create(PAYER)
    assert telemetry.attempts
    for span in telemetry.spans:
        text = span.to_json()
        assert TOKEN not in text
        assert SECRET not in text


@pytest.fixture
def retries() -> Iterator[list[RetryDetails]]:
    """Collect what stamina tells of each retry; its own hooks are told, too."""
    seen: list[RetryDetails] = []

    def collect(details: RetryDetails) -> None:
        seen.append(details)

    set_on_retry_hooks([collect, PrometheusOnRetryHook, LoggingOnRetryHook])
    yield seen
    set_on_retry_hooks(None)


def count_retries(error: str, number: int) -> float:
    """Return how many retries with a number Prometheus has counted after an error."""
    labels = {
        "callable": "<context block>",
        "error_type": f"plastiq_async.errors.{error}",
        "retry_num": str(number),
    }
    return REGISTRY.get_sample_value("stamina_retries_total", labels) or 0


@pytest.mark.usefixtures("quick_retries")
async def test_retries(
    retries: list[RetryDetails], transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each retry is counted and logged by stamina, which sees no secret."""
    caplog.set_level(logging.WARNING, "stamina")
    expected = ["ServiceUnavailableError", "APIConnectionError"]
    numbered = [(name, number) for number, name in enumerate(expected, 1)]
    before = [count_retries(*labels) for labels in numbered]
    with Server(answer(503, BODY), babble, answer(body=BODY)) as server:
        async with session_for(server, transport=transport) as session:
            await session.client_secrets.create(PAYER)

    assert [type(retry.caused_by).__name__ for retry in retries] == expected
    assert [(retry.args, retry.kwargs) for retry in retries] == [((), {})] * 2
    after = [count_retries(*labels) for labels in numbered]
    assert after == [count + 1 for count in before]
    logged = [record for record in caplog.records if record.name == "stamina"]
    assert [record.getMessage() for record in logged] == ["stamina.retry_scheduled"] * 2

    shown = [generate_latest().decode(), *(repr(vars(record)) for record in logged)]
    for retry in retries:
        shown += [repr(retry), *traceback.format_exception(retry.caused_by)]
    for text in shown:
        assert TOKEN not in text
        assert SECRET not in text
