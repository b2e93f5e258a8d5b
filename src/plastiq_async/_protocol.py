"""The protocol: status, headers and body to a result or an error, without any I/O.

The contract is the public API document of Plastiq Connect, version 1.0.0, and the known
responses of gateways in front of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from types import NoneType
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import attrs

from plastiq_async import errors
from plastiq_async._codec import DecodeError, decode_json, structure_result
from plastiq_async._secrets import mask
from plastiq_async._validate import check_trace_id
from plastiq_async.errors import APIResponseError, APIStatusError, InvalidArgumentError
from plastiq_async.models.raw import RawResponse

if TYPE_CHECKING:
    from datetime import datetime

    from plastiq_async._operation import Operation, T
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
REASONS = {status.value: status.phrase for status in HTTPStatus}
"""What each status means."""

TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
"""The statuses of transient errors, of the API or of a gateway."""

# A server's texts end up in logs, so they become one line of bounded length.
_LONGEST_TEXT = 500
_MOST_DETAILS = 20
# A `Date` that differs more from our clock is not the time of the response.
_LARGEST_CLOCK_ERROR = timedelta(days=1)


def is_success(status: int) -> bool:
    """Tell whether `status` is 2xx. The contract has 200, 201 and 204."""
    return 200 <= status < 300  # noqa: PLR2004 -- RFC 9110's own figures


def header_values(headers: Headers, name: bytes) -> list[str]:
    """Return the values of the headers called `name`, which is in lower case.

    They are not joined with commas, because two values would then read as one.
    """
    return [value.decode("latin-1") for key, value in headers if key.lower() == name]


def parse_trace_id(headers: Headers) -> UUID | None:
    """Return the trace ID of a response, or None if there is not one valid value."""
    values = {value.lower() for value in header_values(headers, b"trace-id")}
    return _trace_id_or_none(values.pop()) if len(values) == 1 else None


def is_replay(headers: Headers) -> bool:
    """Tell whether the server replayed what it stored under the idempotency key."""
    values = header_values(headers, b"idempotent-replay")
    return [value.strip().lower() for value in values] == ["true"]


def parse_retry_after(headers: Headers, now: datetime) -> float | None:
    """Return the seconds of ``Retry-After``, or None unless it is one valid value.

    A date is compared with the response's own ``Date``, because the server's clock may
    differ from ours; or with `now` if there is none, or one more than a day off.
    """
    values = header_values(headers, b"retry-after")
    if len(values) != 1:
        return None
    value = values[0].strip()
    # RFC 9110, section 10.2.3, has whole seconds, but some servers send fractions.
    # float() alone would accept "nan" and "1e35".
    if re.fullmatch(r"[0-9]{1,18}(?:\.[0-9]{1,18})?", value):
        return float(value)
    moment = _parse_date(value)
    if moment is None:
        return None
    dates = header_values(headers, b"date")
    sent = _parse_date(dates[0]) if len(dates) == 1 else None
    if sent and abs(sent - now) <= _LARGEST_CLOCK_ERROR:
        now = sent
    return max(0.0, (moment - now).total_seconds())


def _parse_date(text: str) -> datetime | None:
    """Return a date of HTTP in UTC, or None if it is not valid."""
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def status_error(
    status: int,
    headers: Headers,
    content: bytes,
    now: datetime,
    *,
    token: str = "",
    secrets: Collection[str] = (),
) -> APIStatusError:
    """Return the error for a response that is not 2xx.

    Both shapes of the API's error body are understood, with any field missing or
    of another type. Any other body, such as a gateway's page, is left out. The error
    shows neither `token` nor `secrets`, should the server repeat them.
    """
    try:
        body = decode_json(content)
    except DecodeError:
        body = None
    fields = body if isinstance(body, dict) else {}

    def text(value: object) -> str | None:
        if not isinstance(value, str):
            return None
        return _clean(value, token, secrets) or None

    def details(value: object) -> tuple[str, ...]:
        items = value[:_MOST_DETAILS] if isinstance(value, list) else []
        texts = [text(i.get("details") if isinstance(i, dict) else i) for i in items]
        return tuple(found for found in texts if found)

    default = errors.InternalServerError if status >= 500 else APIStatusError  # noqa: PLR2004
    error = _ERRORS.get(status, default)(
        text(fields.get("message")) or REASONS.get(status, "unknown status"),
        status,
        text(fields.get("code")),
        details(fields.get("errors")) or details(fields.get("details")),
        parse_retry_after(headers, now),
    )
    error.trace_id = parse_trace_id(headers) or _trace_id_or_none(fields.get("traceId"))
    error.replayed = is_replay(headers)
    return error


def _clean(text: str, token: str, secrets: Collection[str]) -> str:
    """Return a text of the server as one line, without secrets of ours."""
    if token:
        text = text.replace(token, "(access token)")
    return printable(mask(text, secrets))


def _clean_reasons(result: Any, clean: Callable[[str], str]) -> Any:
    """Return `result` with clean status reasons, its own or those of a page's items.

    Like the messages of errors, they are the server's own texts.
    """
    if reasons := getattr(result, "status_reasons", ()):
        cleaned = [
            attrs.evolve(
                reason,
                code=reason.code and clean(reason.code),
                message=reason.message and clean(reason.message),
            )
            for reason in reasons
        ]
        return attrs.evolve(result, status_reasons=tuple(cleaned))
    items = getattr(result, "data", None)
    if not isinstance(items, tuple):
        return result
    return attrs.evolve(
        result, data=tuple(_clean_reasons(item, clean) for item in items)
    )


def read_result(
    operation: Operation[T],
    content: bytes,
    info: ResponseInfo,
    *,
    token: str = "",
    secrets: Collection[str] = (),
) -> T:
    """Return the result of a successful response, or raise an `APIResponseError`.

    The server's explanations in it show neither `token` nor `secrets`.
    """
    if operation.result is NoneType:
        return cast("T", None)
    try:
        if operation.result is RawResponse:
            # A 404 can show that an earlier attempt to delete succeeded.
            present = content and is_success(info.status)
            data = decode_json(content) if present else None
            return cast("T", RawResponse(data=data, response=info))
        result = structure_result(decode_json(content), operation.result, info)
    except DecodeError as error:
        problem = str(error)
    else:
        wrong = [
            name
            for name, value in operation.expected.items()
            if getattr(result, name) not in {None, value}
        ]
        if not wrong:
            clean = partial(_clean, token=token, secrets=secrets)
            return cast("T", _clean_reasons(result, clean))
        problem = f"not the {wrong[0]} that was asked for"
    del content, secrets  # crash reporters collect local variables
    msg = f"unexpected response with status {info.status}: {problem}"
    failure = APIResponseError(msg)
    failure.status_code = info.status
    raise failure


def printable(text: str) -> str:
    """Return the beginning of `text` as one line that is fit for a log."""
    shown = (c if c.isprintable() else " " for c in text[:_LONGEST_TEXT])
    return "".join(shown).strip()


def _trace_id_or_none(value: object) -> UUID | None:
    try:
        return check_trace_id(value)
    except InvalidArgumentError:
        return None
