"""What more than one resource uses."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import attrs

from plastiq_async._validate import check_header_value, check_ip

__all__ = ["EndUser", "ResponseInfo"]


def _header_value(
    _: object, attribute: attrs.Attribute[str | None], value: str | None
) -> None:
    if value is not None:
        check_header_value(attribute.name, value)


def _ip(value: str | None) -> str | None:
    return None if value is None else check_ip("ip", value)


def _hidden(value: object) -> str:
    return "None" if value is None else "..."


@attrs.frozen(kw_only=True)
class EndUser:
    """The person at the browser for whom a server makes a call.

    Its repr, and so that of a request, tells what is known of them, and not the values.

    The API asks every server-side caller for the end user's user agent, and recommends
    the other two for compliance. They go out as the headers ``User-Agent``,
    ``End-User-Ip`` and ``End-User-Device-Id``.

    Attributes:
        user_agent: The browser's user agent, printable ASCII.
        ip: The browser's IP address, version 4 or 6.
        device_id: A unique ID of the browser, printable ASCII.

    Raises:
        InvalidArgumentError: A value cannot stand in a header, or `ip` is no address.
    """

    user_agent: str | None = attrs.field(
        default=None, validator=_header_value, repr=_hidden
    )
    ip: str | None = attrs.field(default=None, converter=_ip, repr=_hidden)
    device_id: str | None = attrs.field(
        default=None, validator=_header_value, repr=_hidden
    )


@attrs.frozen(kw_only=True)
class ResponseInfo:
    """How an answer came about.

    Attributes:
        status: The HTTP status, such as 200.
        headers: The answer's headers; looked up without regard to case. Not in repr.
            Those about the connection or the encoding, and cookies, are left out.
        trace_id: The trace ID that the server used.
        attempts: How many times the call was tried, the answered one included.
        sent_at: The moment, in UTC, before the answered attempt left.
        elapsed: The time of the whole call, retries and waits included.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    trace_id: UUID
    attempts: int
    sent_at: datetime
    elapsed: timedelta
