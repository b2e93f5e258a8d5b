"""HTTP's status, headers and bytes to results and errors: pure functions, no I/O.

The contract is the public API document of Plastiq Connect, version 1.0.0, and what
gateways in front of it are known to answer.
"""

from __future__ import annotations

import re
from datetime import timezone
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING
from uuid import UUID

from plastiq_async import errors
from plastiq_async._converter import AnswerError, decode_json
from plastiq_async._validate import check_trace_id, check_uuid
from plastiq_async.errors import APIResponseError, APIStatusError, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from plastiq_async._call import Operation, T
    from plastiq_async.models.common import ResponseInfo

_ERRORS: dict[int, type[APIStatusError]] = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
    422: errors.UnprocessableEntityError,
    429: errors.RateLimitError,
    503: errors.ServiceUnavailableError,
}

# What a server says ends up in logs: one line of printable text, of a bounded length.
_LONGEST_TEXT = 500
_MOST_DETAILS = 20


def is_success(status: int) -> bool:
    """Tell whether `status` is 2xx: 200 by the contract, 201 by the status table."""
    return 200 <= status < 300  # noqa: PLR2004 -- RFC 9110's own figures


def parse_trace_id(values: Sequence[str]) -> UUID | None:
    """Return the trace ID of an answer's ``Trace-Id`` headers.

    None where there is none, or not the same valid one in all of them.
    """
    if len(set(values)) != 1:
        return None
    try:
        return check_trace_id(values[0])
    except InvalidArgumentError:
        return None


def parse_retry_after(values: Sequence[str], now: datetime) -> float | None:
    """Return the seconds that an answer's ``Retry-After`` headers ask to wait.

    Args:
        values: The values of the headers, normally one: whole seconds or an HTTP date.
        now: The present moment, aware.

    Returns:
        Seconds, 0 or more; None where there is no header, or anything but exactly one
        valid value.
    """
    if len(values) != 1:
        return None
    value = values[0].strip()
    # RFC 9110, section 10.2.3: digits alone. float() would take "nan" and "1e35".
    if re.fullmatch(r"[0-9]{1,18}(?:\.[0-9]{1,18})?", value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.utc)
        return max(0.0, (moment - now).total_seconds())
    except (ValueError, OverflowError):
        return None


def status_error(
    status: int, content: bytes, trace_id: UUID | None, retry_after: float | None
) -> APIStatusError:
    """Return the error for an answer that is not 2xx.

    Both shapes of the API's error body are understood, with any field missing or
    wrong; so is HTML or nothing from a gateway.

    Args:
        status: The HTTP status.
        content: The body.
        trace_id: The trace ID of the answer's header; the body's comes second.
        retry_after: What `parse_retry_after` found.
    """
    try:
        body = decode_json(content)
    except AnswerError:
        body = None
    fields = body if isinstance(body, dict) else {}
    default = errors.InternalServerError if status >= 500 else APIStatusError  # noqa: PLR2004
    error = _ERRORS.get(status, default)(
        _text(fields.get("message")) or _reason(status),
        status,
        _text(fields.get("code")),
        _details(fields.get("errors") or fields.get("details")),
        retry_after,
    )
    error.trace_id = trace_id or _uuid_or_none(fields.get("traceId"))
    return error


def read_result(operation: Operation[T], content: bytes, info: ResponseInfo) -> T:
    """Return the result of a 2xx answer.

    Raises:
        APIResponseError: The body is not what the contract says.
    """
    try:
        return operation.result(decode_json(content), info)
    except AnswerError as error:
        problem = str(error)
    msg = f"unexpected answer with status {info.status}: {problem}"
    failure = APIResponseError(msg)
    failure.status_code = info.status
    raise failure


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    text = "".join(c if c.isprintable() else " " for c in value[:_LONGEST_TEXT])
    return text.strip() or None


def _details(items: object) -> tuple[str, ...]:
    if not isinstance(items, list):
        return ()
    texts = (
        _text(item.get("details") if isinstance(item, dict) else item)
        for item in items[:_MOST_DETAILS]
    )
    return tuple(text for text in texts if text)


def _uuid_or_none(value: object) -> UUID | None:
    try:
        return check_uuid("traceId", value)
    except InvalidArgumentError:
        return None


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "a status without a meaning"
