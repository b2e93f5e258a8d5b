"""OpenTelemetry integration: a span for each call.

::

    HTTPXClientInstrumentor().instrument()  # opentelemetry-instrumentation-httpx
    PlastiqSession(middleware=[OpenTelemetryMiddleware()])

The span covers the whole call, including retries and back-off. The official
instrumentation of httpx adds a child span for each attempt, and sends the trace context
(``traceparent``). It works for sessions made before and after it. For
``transport="aiohttp"``, use opentelemetry-instrumentation-aiohttp-client instead, and
enable it before the session's first call.

Requires opentelemetry-api. Without a configured SDK the middleware does nothing.
"""

from __future__ import annotations

import anyio
import httpx

from plastiq_async._missing import explain_missing
from plastiq_async._protocol import parse_trace_id
from plastiq_async._version import __version__
from plastiq_async.errors import (
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    PlastiqError,
)
from plastiq_async.middleware import CallInfo, Handler, call_info

try:
    from opentelemetry.trace import StatusCode, TracerProvider, get_tracer
except ModuleNotFoundError as _error:
    raise explain_missing(
        _error, "opentelemetry.trace", "opentelemetry-api", __name__
    ) from None

__all__ = ["OpenTelemetryMiddleware"]


class OpenTelemetryMiddleware:
    """Middleware that records a span such as ``POST /client-secrets`` for each call.

    Put it first in the session's list of middleware, so that the span includes the
    other middleware. The span begins when the call has its permit, that is, when fewer
    than ``max_connections`` calls are in flight. Attributes of the span:

    - ``plastiq.trace_id``: the trace ID, for support requests.
    - ``plastiq.attempts``: the number of attempts.
    - ``http.response.status_code``: the status code of the last response.
    - ``error.type``: the name of the exception, if the call failed. The exception is
      also recorded with its traceback. Errors of this library contain no secrets.

    One error is not recorded: a 2xx response with an invalid body, because the body is
    decoded after all middleware.

    Args:
        tracer_provider: The tracer provider; the global one by default.
    """

    def __init__(self, tracer_provider: TracerProvider | None = None) -> None:
        self._tracer = get_tracer("plastiq_async", __version__, tracer_provider)

    async def __call__(
        self, request: httpx.Request, call_next: Handler, /
    ) -> httpx.Response:
        """Make the call in a span, and record its result on the span."""
        call = call_info(request)
        # The kind stays INTERNAL, because the spans of the attempts have kind CLIENT.
        with self._tracer.start_as_current_span(
            f"{call.method} {call.path}",
            attributes={"plastiq.trace_id": str(call.trace_id)},
        ) as span:
            attributes: dict[str, str | int] = {}
            try:
                response = await call_next(request)
                attributes = _response_attributes(response)
            except Exception as error:
                # The span itself records the exception and sets its status.
                attributes = _error_attributes(error)
                raise
            except BaseException as error:
                name = _cancellation_type(call, error)
                attributes = {"error.type": name}
                span.set_status(StatusCode.ERROR, name)
                raise
            finally:
                attempts = call_info(request).attempts
                span.set_attributes({"plastiq.attempts": attempts, **attributes})
            return response


def _response_attributes(response: httpx.Response) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "http.response.status_code": response.status_code
    }
    if trace_id := parse_trace_id(response.headers.raw):
        attributes["plastiq.trace_id"] = str(trace_id)
    return attributes


def _error_attributes(error: Exception) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {"error.type": type(error).__qualname__}
    if isinstance(error, PlastiqError) and error.trace_id:
        attributes["plastiq.trace_id"] = str(error.trace_id)
    if isinstance(error, (APIStatusError, APIResponseError)) and error.status_code:
        attributes["http.response.status_code"] = error.status_code
    return attributes


def _cancellation_type(call: CallInfo, error: BaseException) -> str:
    # An expired deadline cancels the middleware, and becomes an error outside of it.
    expired = anyio.current_time() >= call.deadline
    return (APITimeoutError if expired else type(error)).__qualname__
