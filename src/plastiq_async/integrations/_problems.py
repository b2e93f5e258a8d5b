"""What the browser is told of an error (RFC 9457), and what the operators are."""

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
    InvalidArgumentError,
    PermissionDeniedError,
    PlastiqError,
    RateLimitError,
    ServiceUnavailableError,
)
from plastiq_async.tracing import current_trace_id

_logger = logging.getLogger("plastiq_async.integrations")

# The first that fits. What the API refuses (400, 404, 409, 422) has passed our own
# checks: the browser is not known to be at fault, and 5xx is what operators watch.
_STATUSES: tuple[tuple[type[PlastiqError], int], ...] = (
    (InvalidArgumentError, 422),
    (APITimeoutError, 504),
    (RateLimitError, 503),
    (ServiceUnavailableError, 503),
    # Ours, not the browser's: a 401 would ask its user to log in.
    (AuthenticationError, 500),
    (PermissionDeniedError, 500),
    (APIConnectionError, 502),
    (APIResponseError, 502),
    (APIStatusError, 502),
)
# Errors of a call say everything in one line.
_OF_CALLS = (APIConnectionError, APIResponseError, APIStatusError)
_WITH_RETRY_AFTER = (RateLimitError, ServiceUnavailableError)


@attrs.frozen
class Problem:
    """An answer that gives nothing away.

    Attributes:
        status: The HTTP status.
        title: What that status means.
        headers: The answer's headers.
        body: The answer's body, in JSON.
    """

    status: int
    title: str
    headers: dict[str, str]
    body: bytes


def report_problem(error: Exception) -> Problem:
    """Log `error`, and return the answer to it."""
    status = next((code for kind, code in _STATUSES if isinstance(error, kind)), 500)
    title = HTTPStatus(status).phrase
    _logger.error(
        "answered %d %s: %s: %s",
        status,
        title,
        type(error).__name__,
        error,
        exc_info=None if isinstance(error, _OF_CALLS) else error,
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
    waits = error.retry_after if isinstance(error, _WITH_RETRY_AFTER) else None
    if waits is not None:
        headers["Retry-After"] = str(math.ceil(waits))
    return Problem(status, title, headers, json.dumps(fields).encode())
