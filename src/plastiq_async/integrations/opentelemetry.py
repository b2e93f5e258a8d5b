"""A span around each call, for OpenTelemetry.

::

    HTTPXClientInstrumentor().instrument()  # opentelemetry-instrumentation-httpx
    PlastiqSession(middleware=[OpenTelemetryMiddleware()])

The span stands for the whole call, retries and their waits included. The official
instrumentation of httpx adds one for each attempt, as its child, and sends its context
along (``traceparent``); it works for sessions made before and after it. It does not see
``transport="aiohttp"``: that takes opentelemetry-instrumentation-aiohttp-client, before
the session's first call.

Needs opentelemetry-api; without an SDK that is set up it does nothing.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

import anyio

from plastiq_async._call import call_of
from plastiq_async._protocol import parse_trace_id
from plastiq_async.errors import (
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    PlastiqError,
)
from plastiq_async.integrations._missing import explain_missing

try:
    from opentelemetry.trace import StatusCode, TracerProvider, get_tracer
except ModuleNotFoundError as _error:
    raise explain_missing(
        _error, "opentelemetry.trace", "opentelemetry-api", __name__
    ) from None

if TYPE_CHECKING:
    import httpx

    from plastiq_async._call import Call
    from plastiq_async.middleware import Handler

__all__ = ["OpenTelemetryMiddleware"]


class OpenTelemetryMiddleware:
    """Opens a span such as ``POST /client-secrets`` around each call.

    Put it first in the session's list, so that your other middleware is inside. The
    span begins once the call has its permit of ``max_connections``. Its attributes:

    - ``plastiq.trace_id``: the trace ID to name to support.
    - ``plastiq.attempts``: how many attempts there were.
    - ``http.response.status_code``: the status of the answer that ended the call.
    - ``error.type``: the exception's name, where one ended the call. It is recorded
      with its stack trace, too; this library's own hold no secret.

    One error comes too late for any middleware: an answer with a 2xx status whose body
    is not what the contract says.

    Args:
        tracer_provider: Where the spans go; by default the global one.
    """

    def __init__(self, tracer_provider: TracerProvider | None = None) -> None:
        self._tracer = get_tracer(
            "plastiq_async", version("plastiq-async"), tracer_provider
        )

    async def __call__(
        self, request: httpx.Request, call_next: Handler, /
    ) -> httpx.Response:
        """Make the call within a span, and write down how it ended."""
        call = call_of(request)
        # Of the internal kind, by default: the attempts' own are the client's.
        with self._tracer.start_as_current_span(
            f"{call.operation.method} {call.operation.path}",
            attributes={"plastiq.trace_id": str(call.trace_id)},
        ) as span:
            end: dict[str, str | int] = {}
            try:
                response = await call_next(request)
                end = _success(response)
            except Exception as error:
                # On its way out of the span it is recorded, and its text the status.
                end = _failure(error)
                raise
            except BaseException as error:
                name = _name_cancellation(call, error)
                end = {"error.type": name}
                span.set_status(StatusCode.ERROR, name)
                raise
            finally:
                span.set_attributes({"plastiq.attempts": call.attempts, **end})
            return response


def _success(response: httpx.Response) -> dict[str, str | int]:
    end: dict[str, str | int] = {"http.response.status_code": response.status_code}
    if used := parse_trace_id(response.headers.raw):
        end["plastiq.trace_id"] = str(used)
    return end


def _failure(error: Exception) -> dict[str, str | int]:
    end: dict[str, str | int] = {"error.type": type(error).__qualname__}
    if isinstance(error, PlastiqError) and error.trace_id:
        end["plastiq.trace_id"] = str(error.trace_id)
    if isinstance(error, (APIStatusError, APIResponseError)) and error.status_code:
        end["http.response.status_code"] = error.status_code
    return end


def _name_cancellation(call: Call, error: BaseException) -> str:
    # The deadline cancels what is inside of it, and becomes an error only outside.
    over = anyio.current_time() >= call.deadline
    return (APITimeoutError if over else type(error)).__qualname__
