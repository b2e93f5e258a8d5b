"""The official instrumentation of httpx, aiohttp and stamina with our sessions.

Our own span is tested in `tests/integrations/test_opentelemetry.py`.
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
from plastiq_async.integrations.opentelemetry import OpenTelemetryObserver
from tests.support.sessions import PAYER, TOKEN, session_for
from tests.support.socket_server import Connection, Request, Server, Step
from tests.support.steps import answer, drop, response
from tests.support.wirings import WIRINGS

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
    """Run each test on each event loop, with each transport that supports it."""
    loop, transport = request.param
    return loop, transport


@pytest.fixture
def anyio_backend(wiring: tuple[str, str]) -> str:
    """Return the event loop of the test."""
    return wiring[0]


@pytest.fixture
def transport(wiring: tuple[str, str]) -> str:
    """Return the transport of the test."""
    return wiring[1]


class Telemetry:
    """OpenTelemetry with its SDK, for sessions with our observer."""

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
        """The spans that the official instrumentation created."""
        return [span for span in self.spans if span.kind is SpanKind.CLIENT]

    def instrument(self, library: str) -> None:
        """Instrument `library` to create a span for each request."""
        INSTRUMENTORS[library].instrument(tracer_provider=self._provider)

    def session_for(self, server: Server, transport: str) -> PlastiqSession:
        """Return a session with `server` that creates a span for each call."""
        observer = OpenTelemetryObserver(self._provider)
        return session_for(server, transport=transport, observer=observer)


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    """Set up OpenTelemetry, and uninstrument everything afterwards."""
    yield Telemetry()
    for instrumentor in INSTRUMENTORS.values():
        if instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.uninstrument()


@pytest.mark.usefixtures("quick_retries")
async def test_attempts(telemetry: Telemetry, transport: str) -> None:
    """Each attempt is a child span of its call, and its own context is sent."""
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
    """Instrumentation works at any time on httpx, on aiohttp before the first call."""
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
    """The httpx instrumentation does not see calls with the aiohttp transport."""
    telemetry.instrument("httpx")
    with Server(answer()) as server:
        async with telemetry.session_for(server, transport) as session:
            await session.client_secrets.create(PAYER)
    assert bool(telemetry.attempts) == (transport == "httpx")


async def test_trace_id_of_attempts(
    telemetry: Telemetry, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The documented variable adds the trace ID to the spans of the attempts."""
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
    """Send a secret in bytes that are not HTTP."""
    connection.send(BODY + b"\r\n\r\n")


def chatter(connection: Connection, request: Request) -> None:
    """Send a secret twice, although Content-Length covers it once."""
    connection.send(response(request, body=BODY) + BODY + b"\r\n\r\n")


def stop_short(connection: Connection, request: Request) -> None:
    """Send less than Content-Length announced."""
    headers = [("Content-Length", "99")]
    connection.send(response(request, body=BODY, headers=headers))
    connection.close()


@pytest.mark.slow
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
    """No span, not even an attempt's, holds the token or a client secret."""
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
    """Collect the details that stamina reports of each retry; keep its own hooks."""
    seen: list[RetryDetails] = []

    def collect(details: RetryDetails) -> None:
        seen.append(details)

    set_on_retry_hooks([collect, PrometheusOnRetryHook, LoggingOnRetryHook])
    yield seen
    set_on_retry_hooks(None)


RETRY_LOGGER = "plastiq_async.retries"


def count_retries(error: str, number: int) -> float:
    """Return the number of retries after an error that Prometheus has counted."""
    labels = {
        "callable": "plastiq_async.client_secrets.create",
        "error_type": f"plastiq_async.errors.{error}",
        "retry_num": str(number),
    }
    return REGISTRY.get_sample_value("stamina_retries_total", labels) or 0


@pytest.mark.usefixtures("quick_retries")
async def test_retries(
    retries: list[RetryDetails], transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each retry is counted by stamina, and logged once, without any secret."""
    caplog.set_level(logging.WARNING)
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
    logged = [r for r in caplog.records if r.name in {"stamina", RETRY_LOGGER}]
    assert [record.name for record in logged] == [RETRY_LOGGER] * 2

    shown = [generate_latest().decode(), *(repr(vars(record)) for record in logged)]
    for retry in retries:
        shown += [repr(retry), *traceback.format_exception(retry.caused_by)]
    for text in shown:
        assert TOKEN not in text
        assert SECRET not in text
