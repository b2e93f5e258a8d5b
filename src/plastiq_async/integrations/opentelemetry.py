"""OpenTelemetry integration: a span and metrics for each call.

::

    HTTPXClientInstrumentor().instrument()  # opentelemetry-instrumentation-httpx
    PlastiqSession(observer=OpenTelemetryObserver())

The span covers the whole call, with all of its attempts and waits. The official
instrumentation of httpx adds a child span for each attempt, and sends the trace context
(``traceparent``). It works for sessions made before and after it. For
``transport="aiohttp"``, use opentelemetry-instrumentation-aiohttp-client instead, and
enable it before the session's first call.

Requires opentelemetry-api. Without a configured SDK the observer does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Token
from functools import partial

from plastiq_async._call_record import CallRecord
from plastiq_async._missing import explain_missing
from plastiq_async._telemetry import SpanObserver
from plastiq_async._version import __version__
from plastiq_async.errors import APIStatusError
from plastiq_async.middleware import CallInfo

try:
    from opentelemetry.context import Context, attach, detach
    from opentelemetry.metrics import MeterProvider, get_meter
    from opentelemetry.trace import (
        Span,
        StatusCode,
        TracerProvider,
        get_tracer,
        set_span_in_context,
    )
except ModuleNotFoundError as _error:
    raise explain_missing(
        _error, "opentelemetry.context", "opentelemetry-api", __name__
    ) from None

__all__ = ["OpenTelemetryObserver"]

# Those of http.client.request.duration in the semantic conventions, in seconds.
_DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)

_Attributes = dict[str, str | bool | int]


class OpenTelemetryObserver(SpanObserver):
    """Observer that records a span such as ``payments.create``, and metrics.

    The span has kind INTERNAL, because those of the attempts have kind CLIENT. It
    begins before the call waits for a permit. If the call fails, its status is ERROR,
    described by the name of the exception, the status code and the API's error code.
    Texts of exceptions are not recorded, because the API may quote IDs of payers in
    them. If the caller cancels the call, its status stays unset.

    Attributes of the span, by the semantic conventions where they have a name:

    - ``http.request.method``, ``url.template`` and ``server.address``, of which the
      upload of a document has the first only.
    - ``http.response.status_code``: the status code of the response.
    - ``error.type``: the name of the exception, if the call failed.
    - ``plastiq.trace_id``: the trace ID, for support requests.
    - ``plastiq.attempts``: the number of attempts.
    - ``plastiq.cancelled``, ``plastiq.outcome_unknown``, ``plastiq.replayed``: True,
      if it is so.

    Metrics, by ``plastiq.operation`` and the first three attributes above:

    - ``plastiq.client.call.duration``: histogram of the durations of whole calls in
      seconds, also by ``http.response.status_code``, ``error.type`` and
      ``plastiq.cancelled``.
    - ``plastiq.client.call.attempts``: number of attempts.
    - ``plastiq.client.call.retries``: number of retries, also by ``error.type``, the
      error that was the reason.
    - ``plastiq.client.call.quota_exhausted``: number of calls that were not retried,
      because the session's retry quota was used up.

    Args:
        tracer_provider: The tracer provider; the global one by default.
        meter_provider: The meter provider; the global one by default.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._tracer = get_tracer("plastiq_async", __version__, tracer_provider)
        meter = get_meter("plastiq_async", __version__, meter_provider)
        self._duration = meter.create_histogram(
            "plastiq.client.call.duration",
            unit="s",
            description="Duration of calls, all attempts and waits included.",
            explicit_bucket_boundaries_advisory=_DURATIONS,
        )
        self._attempts = meter.create_counter(
            "plastiq.client.call.attempts",
            unit="{attempt}",
            description="Number of attempts.",
        )
        self._retries = meter.create_counter(
            "plastiq.client.call.retries",
            unit="{retry}",
            description="Number of retries, by the error that was the reason.",
        )
        self._exhausted = meter.create_counter(
            "plastiq.client.call.quota_exhausted",
            unit="{call}",
            description="Number of calls not retried for lack of retry quota.",
        )

    def __call__(self, record: CallRecord, /) -> None:
        """Record the metrics of a call, without a span."""
        labels: _Attributes = {"plastiq.operation": record.operation, **_target(record)}
        self._duration.record(record.elapsed, {**labels, **_ending(record)})
        self._attempts.add(record.attempts, labels)
        for reason in record.retries:
            self._retries.add(1, {**labels, "error.type": reason})
        if record.quota_exhausted:
            self._exhausted.add(1, labels)

    def begin(
        self, call: CallInfo
    ) -> Callable[[CallRecord, BaseException | None], object]:
        """Begin the span of `call`, and make it the current one."""
        span = self._tracer.start_span(call.operation, attributes=_target(call))
        token = attach(set_span_in_context(span))
        return partial(self._end, span, token)

    def _end(
        self,
        span: Span,
        token: Token[Context],
        record: CallRecord,
        error: BaseException | None,
    ) -> None:
        """Record the metrics, and end the span."""
        try:
            span.set_attributes(_ending(record) | _details(record))
            if error is not None and not record.cancelled:
                span.set_status(StatusCode.ERROR, _describe(error))
            # Before the span ends, so that the metrics can refer to it. A subclass may
            # raise here.
            self(record)
        finally:
            detach(token)
            span.end()


def _target(call: CallInfo) -> _Attributes:
    """Return what is known of a call before it begins."""
    target: _Attributes = {"http.request.method": call.method}
    if call.path.startswith("/"):
        target["url.template"] = call.path
    if call.host is not None:
        target["server.address"] = call.host
    return target


def _describe(error: BaseException) -> str:
    """Return the type, the status code and the error code of `error`, but no text."""
    name = type(error).__qualname__
    if not isinstance(error, APIStatusError):
        return name
    code = f" {error.code}" if error.code else ""
    return f"{name}: {error.status_code}{code}"


def _ending(record: CallRecord) -> _Attributes:
    """Return how a call ended, of which there are few cases."""
    ending: _Attributes = {}
    if record.status is not None:
        ending["http.response.status_code"] = record.status
    if record.cancelled:
        ending["plastiq.cancelled"] = True
    elif record.error_type is not None:
        ending["error.type"] = record.error_type
    return ending


def _details(record: CallRecord) -> _Attributes:
    """Return the attributes that only the span has at its end."""
    details: _Attributes = {
        "plastiq.trace_id": str(record.trace_id),
        "plastiq.attempts": record.attempts,
    }
    if record.outcome_unknown:
        details["plastiq.outcome_unknown"] = True
    if record.replayed:
        details["plastiq.replayed"] = True
    return details
