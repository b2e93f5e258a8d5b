"""HTTP's status, headers and bytes to results and errors: pure functions, no I/O.

The contract is the public API document of Plastiq Connect, version 1.0.0, and what
gateways in front of it are known to answer.
"""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING
from uuid import UUID

from plastiq_async import errors
from plastiq_async._codec import AnswerError, decode_json
from plastiq_async._validate import check_trace_id
from plastiq_async.errors import APIResponseError, APIStatusError, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from plastiq_async._call import Operation, T
    from plastiq_async.models.common import ResponseInfo

    Headers = Iterable[tuple[bytes, bytes]]

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


def header_values(headers: Headers, name: bytes) -> list[str]:
    """Return the values of the headers called `name`, which is in lower case.

    Each for itself: joined with commas, two of them would read as one.
    """
    return [value.decode("latin-1") for key, value in headers if key.lower() == name]


def parse_trace_id(headers: Headers) -> UUID | None:
    """Return the trace ID of an answer's ``Trace-Id`` header.

    None where there is none, or not the same valid one in all of them.
    """
    values = set(header_values(headers, b"trace-id"))
    return _trace_id_or_none(values.pop()) if len(values) == 1 else None


def parse_retry_after(headers: Headers, now: datetime) -> float | None:
    """Return the seconds that an answer's ``Retry-After`` header asks to wait.

    Args:
        headers: The headers of the answer. Whole seconds or an HTTP date count.
        now: The present moment, aware.

    Returns:
        Seconds, 0 or more; None where there is no header, or anything but exactly one
        valid value.
    """
    values = header_values(headers, b"retry-after")
    if len(values) != 1:
        return None
    value = values[0].strip()
    # RFC 9110, section 10.2.3, has whole seconds; some servers send fractions. float()
    # alone would take "nan" and "1e35", too.
    if re.fullmatch(r"[0-9]{1,18}(?:\.[0-9]{1,18})?", value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, (moment - now).total_seconds())
    except (ValueError, OverflowError):
        return None


def status_error(
    status: int, headers: Headers, content: bytes, now: datetime, token: str = ""
) -> APIStatusError:
    """Return the error for an answer that is not 2xx.

    Both shapes of the API's error body are understood, with any field missing or
    wrong; so is HTML or nothing from a gateway.

    Args:
        status: The HTTP status.
        headers: The headers; their trace ID comes before the body's.
        content: The body.
        now: The present moment, aware.
        token: The access token that was sent: not repeated, should the server do so.
    """
    try:
        body = decode_json(content)
    except AnswerError:
        body = None
    fields = body if isinstance(body, dict) else {}
    default = errors.InternalServerError if status >= 500 else APIStatusError  # noqa: PLR2004
    error = _ERRORS.get(status, default)(
        _text(fields.get("message"), token) or _reason(status),
        status,
        _text(fields.get("code"), token),
        _details(fields.get("errors"), token) or _details(fields.get("details"), token),
        parse_retry_after(headers, now),
    )
    error.trace_id = parse_trace_id(headers) or _trace_id_or_none(fields.get("traceId"))
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


def printable(text: str) -> str:
    """Return what of `text` can stand in a line of a log."""
    shown = (c if c.isprintable() else " " for c in text[:_LONGEST_TEXT])
    return "".join(shown).strip()


def _text(value: object, token: str) -> str | None:
    if not isinstance(value, str):
        return None
    if token:
        value = value.replace(token, "(access token)")
    return printable(value) or None


def _details(items: object, token: str) -> tuple[str, ...]:
    if not isinstance(items, list):
        return ()
    texts = (
        _text(item.get("details") if isinstance(item, dict) else item, token)
        for item in items[:_MOST_DETAILS]
    )
    return tuple(text for text in texts if text)


def _trace_id_or_none(value: object) -> UUID | None:
    try:
        return check_trace_id(value)
    except InvalidArgumentError:
        return None


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "a status without a meaning"
