"""Models shared by all resources: `EndUser`, `ResponseInfo`, `StatusReason`."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypedDict, TypeVar
from uuid import UUID

import attrs

from plastiq_async._secrets import forget_arguments
from plastiq_async._validate import check_header_value, check_ip, check_text
from plastiq_async.errors import InvalidArgumentError

__all__ = [
    "CallOptions",
    "EndUser",
    "ResponseInfo",
    "StatusReason",
    "check_end_user",
    "check_parts",
    "checked_by",
    "last_four",
    "show_presence",
]

_T = TypeVar("_T")


def _validate(_: object, attribute: "attrs.Attribute[Any]", value: str | None) -> None:
    if value is not None:
        check_header_value(attribute.name, value)


def _convert_ip(value: str | None) -> str | None:
    return None if value is None else check_ip("ip", value)


def show_presence(value: object) -> str:
    """Return the repr of personal data, which shows only whether there is any."""
    return "None" if value is None else "..."


def last_four(value: str | None) -> str | None:
    """Return the last four digits of a number, even if the server sent all of them."""
    return None if value is None else value[-4:]


def checked_by(check: Callable[..., object], **limits: object) -> Callable[..., None]:
    """Return the validator that passes an attribute's name and value to `check`."""

    def validate(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
        check(attribute.name, value, **limits)

    return validate


def check_parts(name: str, value: object, cls: type[_T]) -> _T:
    """Return `value` if it is a `cls` whose attributes are texts, or None."""
    if not isinstance(value, cls):
        raise InvalidArgumentError(f"{name} must be a {cls.__name__}")
    kind: Any = cls
    for field in attrs.fields(kind):
        part = getattr(value, field.name)
        if part is not None:
            check_text(f"{name}.{field.name}", part)
    return value


@forget_arguments
@attrs.frozen(kw_only=True)
class EndUser:
    """The person whose browser a call is made for.

    The API requires the user agent from every server-side caller, and recommends the IP
    address and the device ID for compliance. They are sent in the headers
    ``User-Agent``, ``End-User-Ip`` and ``End-User-Device-Id``.

    The repr shows which attributes are set, and never their values.

    Attributes:
        user_agent: The browser's user agent, in printable ASCII.
        ip: The browser's IPv4 or IPv6 address.
        device_id: A unique ID of the browser, in printable ASCII.

    Raises:
        InvalidArgumentError: A value is no valid header value, or `ip` no IP address.
    """

    user_agent: str | None = attrs.field(
        default=None, validator=_validate, repr=show_presence
    )
    ip: str | None = attrs.field(
        default=None, converter=_convert_ip, repr=show_presence
    )
    device_id: str | None = attrs.field(
        default=None, validator=_validate, repr=show_presence
    )


def check_end_user(value: object) -> EndUser:
    """Return `value` if it is an `EndUser`, else raise an `InvalidArgumentError`."""
    if isinstance(value, EndUser):
        return value
    msg = "end_user must be an EndUser"
    raise InvalidArgumentError(msg)


@attrs.frozen(kw_only=True)
class ResponseInfo:
    """The HTTP response behind a result.

    Attributes:
        status: The status code, such as 200.
        headers: The response headers, case-insensitive. Cookies and headers about the
            connection or the encoding are left out. Not in the repr.
        trace_id: The trace ID that the server used.
        attempts: The number of attempts, including the successful one.
        sent_at: The time, in UTC, just before the successful attempt was sent.
        elapsed: The duration of the whole call, including retries and back-off.
        idempotency_key: The idempotency key that the call carried, if any.
        replayed: Whether the server replayed the response that it stored under the
            idempotency key (``Idempotent-Replay: true``).
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    trace_id: UUID
    attempts: int
    sent_at: datetime
    elapsed: timedelta
    idempotency_key: UUID | None = None
    replayed: bool = False


@attrs.frozen(kw_only=True)
class StatusReason:
    """Why something has the status that it has.

    Attributes:
        code: The reason's code, such as ``"PAYMENT_METHOD_REQUIRES_TIN"``. New ones may
            appear at any time.
        message: The reason in words.
    """

    code: str | None = None
    message: str | None = None


class CallOptions(TypedDict, total=False):
    """The keyword arguments that every method takes; None is the same as absence.

    Attributes:
        end_user: The person at the browser; takes precedence over the session's.
        trace_id: A UUID version 4, sent as ``Trace-Id``; takes precedence over the
            surrounding `trace_context`.
        timeout: Seconds for the whole call, retries and waits included; takes
            precedence over the session's.
        extra_headers: Further request headers, such as ``API-Key``. Their values are
            in no repr, log or error; those of at least 8 characters also not if the
            server repeats them. Refused are headers that the session sends itself or
            has an argument for, such as ``Authorization``, ``Trace-Id``, ``User-Agent``
            and ``Idempotency-Key``, and those that frame a request, such as ``Host``.
            Middleware sees them, and can change them.
    """

    end_user: EndUser | None
    trace_id: UUID | str | None
    timeout: float | None
    extra_headers: Mapping[str, str] | None
