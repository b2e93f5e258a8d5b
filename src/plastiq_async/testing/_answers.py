"""The fake's error answers: the API's two shapes, and a gateway's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http.client import responses
from typing import Literal

from starlette.responses import HTMLResponse, JSONResponse, Response

from ._faults import Fail, Garble

__all__ = ["error_answer", "fault_answer"]

# The API's generic codes; statuses without an entry have none.
GENERIC = {
    400: ("VALIDATION_ERROR", "Validation error"),
    401: ("AUTHORIZATION_ERROR", "Authorization error"),
    403: ("FORBIDDEN_ERROR", "Forbidden"),
    404: ("NOT_FOUND_ERROR", "Not found"),
    500: ("INTERNAL_SERVER_ERROR", "Internal server error"),
    503: ("SERVICE_UNAVAILABLE", "Service unavailable"),
}


def error_answer(  # they are the fields of the error body
    status: int,
    *,
    trace_id: str,
    code: str | None = None,
    message: str | None = None,
    details: Iterable[str] = (),
    shape: Literal["errors", "details"] = "errors",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Make an error answer of the API.

    Args:
        status: The HTTP status.
        trace_id: The trace ID that the body names.
        code: The error code, if it is not the status's generic one.
        message: The error message, if it is not the usual one.
        details: The texts of the list of details.
        shape: Which of the API's two bodies it is.
        headers: More headers.

    Returns:
        The answer.
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
    return JSONResponse(body, status, headers)


def fault_answer(fault: Fail | Garble, *, trace_id: str) -> Response:
    """Make the answer that a fault asks for.

    Args:
        fault: The fault.
        trace_id: The trace ID that the body and the `Trace-Id` header name,
            where the answer has them.

    Returns:
        The answer.
    """
    if isinstance(fault, Garble):
        answer = Response(fault.body, fault.status, {"Trace-Id": trace_id})
        answer.headers["Content-Type"] = fault.content_type
        answer.headers.update(fault.headers)
        return answer
    headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
    if fault.shape == "empty":
        return Response(b"", fault.status, headers)
    if fault.shape == "html":
        title = f"{fault.status} {fault.message or responses.get(fault.status, '')}"
        page = f"<html><body><h1>{title.strip()}</h1></body></html>"
        return HTMLResponse(page, fault.status, headers)
    return error_answer(
        fault.status,
        trace_id=trace_id,
        code=fault.code,
        message=fault.message,
        details=fault.details,
        shape=fault.shape,
        headers={"Trace-Id": trace_id, **headers},
    )
