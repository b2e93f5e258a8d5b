"""Trace calls with OpenTelemetry, and count them for Prometheus.

Run it with the local fake::

    pip install opentelemetry-instrumentation-httpx opentelemetry-exporter-prometheus
    python -m plastiq_async.sandbox python examples/observability.py
"""

from __future__ import annotations

import os

import anyio
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.metrics import set_meter_provider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import set_tracer_provider
from prometheus_client import generate_latest

from plastiq_async import PlastiqError, PlastiqSession
from plastiq_async.integrations.opentelemetry import OpenTelemetryObserver

UNKNOWN_PAYER_ID = "00000000-0000-4000-8000-000000000000"
UNREACHABLE_URL = "http://127.0.0.1:9/api"


async def main() -> None:
    """Make a call that succeeds, one that fails, and one that is retried."""
    spans = InMemorySpanExporter()  # use your own exporter here
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    set_tracer_provider(provider)
    set_meter_provider(MeterProvider([PrometheusMetricReader()]))
    HTTPXClientInstrumentor().instrument()  # a span per attempt
    observer = OpenTelemetryObserver()  # a span and metrics per call

    payer_id = os.environ["PLASTIQ_PAYER_ID"]
    async with PlastiqSession(observer=observer) as plastiq:
        await create(plastiq, payer_id)
        await create(plastiq, UNKNOWN_PAYER_ID)
    async with PlastiqSession(
        base_url=UNREACHABLE_URL, max_retries=1, observer=observer
    ) as plastiq:
        await create(plastiq, payer_id)

    print_tree(spans.get_finished_spans())
    for line in generate_latest().decode().splitlines():
        if line.startswith("plastiq_client_call_") and "_bucket{" not in line:
            print(line)


async def create(plastiq: PlastiqSession, payer_id: str) -> None:
    """Create a client secret, and print the result or the error."""
    try:
        print(await plastiq.client_secrets.create(payer_id))
    except PlastiqError as error:
        print(error)


def print_tree(spans: tuple[ReadableSpan, ...]) -> None:
    """Print the span of each call, followed by the spans of its attempts."""
    for span in sorted(spans, key=lambda span: span.start_time or 0):
        indent = "    " if span.parent else ""
        status = span.status.status_code.name
        print(f"{indent}{span.name}: {status} {dict(span.attributes or {})}")


if __name__ == "__main__":
    anyio.run(main)
