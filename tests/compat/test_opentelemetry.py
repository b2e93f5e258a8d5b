"""OpenTelemetry: our span of each call around the vendor's span of each attempt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from plastiq_async import PermissionDeniedError, PlastiqSession
from plastiq_async.integrations.opentelemetry import OpenTelemetryObserver
from plastiq_async.testing import FakePlastiq
from tests.support.private_texts import END_USER
from tests.support.wirings import WIRINGS

pytestmark = [
    pytest.mark.parametrize(
        ("anyio_backend", "transport"), WIRINGS, indirect=["anyio_backend"]
    ),
    pytest.mark.usefixtures("quick_retries"),
]


@pytest.fixture
def provider() -> Iterator[TracerProvider]:
    """Turn on both of the vendor's instrumentations."""
    provider = TracerProvider(shutdown_on_exit=False)
    vendors = (HTTPXClientInstrumentor(), AioHttpClientInstrumentor())
    for vendor in vendors:
        vendor.instrument(tracer_provider=provider)
    yield provider
    for vendor in vendors:
        vendor.uninstrument()


@pytest.fixture
def spans(provider: TracerProvider) -> InMemorySpanExporter:
    """Return what collects the spans."""
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return exporter


@pytest.fixture
def session(
    base_url: str, transport: Any, fake_plastiq: FakePlastiq, provider: TracerProvider
) -> PlastiqSession:
    """Return a session with our observer."""
    return PlastiqSession(
        fake_plastiq.access_token,
        base_url=base_url,
        transport=transport,
        observer=OpenTelemetryObserver(provider),
    )


def tree(exporter: InMemorySpanExporter) -> tuple[ReadableSpan, list[ReadableSpan]]:
    """Return the span of the only call, and the spans of its attempts."""
    *attempts, call = exporter.get_finished_spans()
    context = call.get_span_context()
    assert context is not None
    assert call.parent is None
    assert call.kind is SpanKind.INTERNAL
    for attempt in attempts:
        assert attempt.kind is SpanKind.CLIENT
        assert attempt.parent is not None
        assert attempt.parent.span_id == context.span_id
    return call, attempts


async def test_retried_call(
    session: PlastiqSession, fake_plastiq: FakePlastiq, spans: InMemorySpanExporter
) -> None:
    """Each attempt has one client span, and sends its trace context."""
    fake_plastiq.fail_next(503)
    fake_plastiq.fail_next(503)
    async with session:
        secret = await session.client_secrets.create(
            fake_plastiq.payer_id, end_user=END_USER
        )
    call, attempts = tree(spans)
    assert call.name == "client_secrets.create"
    assert (call.attributes or {})["plastiq.attempts"] == 3
    parents = [request.headers["traceparent"] for request in fake_plastiq.requests]
    assert len(parents) == len(attempts) == 3
    for parent, attempt in zip(parents, attempts, strict=True):
        context = attempt.get_span_context()
        assert context is not None
        assert parent.startswith(f"00-{context.trace_id:032x}-{context.span_id:016x}-")
    check_untold(spans, fake_plastiq.access_token, secret.client_secret)


async def test_failed_call(
    session: PlastiqSession, fake_plastiq: FakePlastiq, spans: InMemorySpanExporter
) -> None:
    """An error is recorded on both spans, without secrets."""
    fake_plastiq.fail_next(403)
    async with session:
        with pytest.raises(PermissionDeniedError):
            await session.client_secrets.create(
                fake_plastiq.payer_id, end_user=END_USER
            )
    call, (attempt,) = tree(spans)
    assert call.status.status_code is StatusCode.ERROR
    assert attempt.status.status_code is StatusCode.ERROR
    check_untold(spans, fake_plastiq.access_token)


def check_untold(exporter: InMemorySpanExporter, *private: str) -> None:
    """Check that no span has one of these values, or one of the end user's."""
    for span in exporter.get_finished_spans():
        told = span.to_json()
        for value in (*private, "Bearer", str(END_USER.ip), str(END_USER.device_id)):
            assert value not in told
