"""Problem details (RFC 9457): the response to an error, and its log record."""

from __future__ import annotations

import json
import logging
import math
from http import HTTPStatus

import attrs

from plastiq_async.errors import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    DocumentUploadError,
    InvalidArgumentError,
    PermissionDeniedError,
    PlastiqError,
    RateLimitError,
    ServiceUnavailableError,
)
from plastiq_async.tracing import current_trace_id

_logger = logging.getLogger("plastiq_async.integrations")

# The first match decides. A 400, 404, 409 or 422 of the API becomes a 502, because the
# request passed our validation, so the browser is probably not at fault.
_STATUS_CODES: tuple[tuple[type[PlastiqError], int], ...] = (
    (InvalidArgumentError, 422),
    (APITimeoutError, 504),
    (RateLimitError, 503),
    (ServiceUnavailableError, 503),
    # The access token is ours: a 401 would tell the user to log in.
    (AuthenticationError, 500),
    (PermissionDeniedError, 500),
    (APIConnectionError, 502),
    (APIResponseError, 502),
    (APIStatusError, 502),
    (DocumentUploadError, 502),
)
# Logged without a traceback, because their message says everything.
_CALL_ERRORS = (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    DocumentUploadError,
)
_WITH_RETRY_AFTER = (RateLimitError, ServiceUnavailableError)


@attrs.frozen
class Problem:
    """A response that contains no details of the error.

    Attributes:
        status: The status code.
        title: The reason phrase of the status code.
        headers: The response headers.
        body: The response body, in JSON.
    """

    status: int
    title: str
    headers: dict[str, str]
    body: bytes


def report_problem(error: Exception) -> Problem:
    """Log `error`, and return the response to it."""
    status = next(
        (code for kind, code in _STATUS_CODES if isinstance(error, kind)), 500
    )
    title = HTTPStatus(status).phrase
    _logger.error(
        "answered %d %s: %s: %s",
        status,
        title,
        type(error).__name__,
        error,
        exc_info=None if isinstance(error, _CALL_ERRORS) else error,
    )
    trace_id = error.trace_id if isinstance(error, PlastiqError) else None
    if trace_id is None:
        trace_id = current_trace_id()
    fields = {
        "type": "about:blank",
        "title": title,
        "status": status,
        **({"trace_id": str(trace_id)} if trace_id else {}),
    }
    headers = {"Content-Type": "application/problem+json", "Cache-Control": "no-store"}
    retry_after = error.retry_after if isinstance(error, _WITH_RETRY_AFTER) else None
    if retry_after is not None:
        headers["Retry-After"] = str(math.ceil(retry_after))
    return Problem(status, title, headers, json.dumps(fields).encode())
