"""Error bodies of the API and of a gateway, and the responses of faults."""

from __future__ import annotations

from collections.abc import Iterable
from http.client import responses
from typing import Literal

from starlette.responses import HTMLResponse, Response

from plastiq_async.testing._errors import ApiError
from plastiq_async.testing._faults import Fail, Garble
from plastiq_async.testing._json import write_json
from plastiq_async.testing._messages import ApiResponse

__all__ = ["error_body", "error_response", "fault_response", "http_response"]

# Generic code and message of the statuses that have a code.
GENERIC = {
    400: ("VALIDATION_ERROR", "Validation error"),
    401: ("AUTHORIZATION_ERROR", "Authorization error"),
    403: ("FORBIDDEN_ERROR", "Forbidden"),
    404: ("NOT_FOUND_ERROR", "Not found"),
    500: ("INTERNAL_SERVER_ERROR", "Internal server error"),
    503: ("SERVICE_UNAVAILABLE", "Service unavailable"),
}


def error_body(
    status: int,
    *,
    trace_id: str,
    code: str | None = None,
    message: str | None = None,
    details: Iterable[str] = (),
    shape: Literal["errors", "details"] = "errors",
) -> dict[str, object]:
    """Return an error body of the API.

    Args:
        status: Status code.
        trace_id: Trace ID that the body names.
        code: Error code; by default the generic code of `status`, if any.
        message: Error message; by default the usual message of `status`.
        details: Texts of the list of details.
        shape: Which of the API's two error bodies to return.

    Returns:
        The body.
    """
    usual_code, usual_message = GENERIC.get(
        status, (None, responses.get(status, "Error"))
    )
    body: dict[str, object] = {"message": usual_message if message is None else message}
    if (code or usual_code) is not None:
        body["code"] = code or usual_code
    body[shape] = [{"details": text} for text in details]
    if shape == "details":
        body["statusCode"] = status
    body["traceId"] = trace_id
    return body


def error_response(error: ApiError, *, trace_id: str) -> ApiResponse:
    """Return the response of an error that a route or a check raised.

    Args:
        error: The error.
        trace_id: Trace ID that the body names.

    Returns:
        The response.
    """
    body = error_body(
        error.status,
        trace_id=trace_id,
        code=error.code,
        message=error.message,
        details=error.details,
    )
    return ApiResponse(body, status=error.status, headers=error.headers)


def http_response(response: ApiResponse, *, trace_id: str) -> Response:
    """Return the HTTP response of a route's response.

    Args:
        response: Response of a route.
        trace_id: Trace ID of the `Trace-Id` header.

    Returns:
        The HTTP response.
    """
    if response.body is None:
        http = Response(status_code=response.status, headers=response.headers)
    else:
        http = Response(write_json(response.body), response.status, response.headers)
        http.headers["Content-Type"] = "application/json"
    http.headers.setdefault("Trace-Id", trace_id)
    return http


def fault_response(fault: Fail | Garble, *, trace_id: str) -> Response:
    """Return the HTTP response that a fault asks for.

    Args:
        fault: The fault.
        trace_id: Trace ID of the body and of the `Trace-Id` header, unless a
            gateway responds.

    Returns:
        The HTTP response.
    """
    if isinstance(fault, Garble):
        http = Response(fault.body, fault.status, {"Trace-Id": trace_id})
        http.headers["Content-Type"] = fault.content_type
        http.headers.update(fault.headers)
        return http
    headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
    if fault.shape == "empty":
        return Response(b"", fault.status, headers)
    if fault.shape == "html":
        title = f"{fault.status} {fault.message or responses.get(fault.status, '')}"
        page = f"<html><body><h1>{title.strip()}</h1></body></html>"
        return HTMLResponse(page, fault.status, headers)
    body = error_body(
        fault.status,
        trace_id=trace_id,
        code=fault.code,
        message=fault.message,
        details=fault.details,
        shape=fault.shape,
    )
    return http_response(
        ApiResponse(body, status=fault.status, headers=headers), trace_id=trace_id
    )
