"""Checks of input: each returns the value to use or raises, never repeating it."""

from __future__ import annotations

import re
import sys
from ipaddress import ip_address
from typing import TypeGuard
from uuid import RFC_4122, UUID

from plastiq_async.errors import InvalidArgumentError

# What may stand in a header: visible ASCII, with blanks inside only. httpx would send
# other characters in UTF-8, and a server may split, fold or cut what follows them.
_HEADER_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
# RFC 9110, section 5.6.2.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def check_uuid(name: str, value: object) -> UUID:
    """Return `value` as a UUID.

    Only the canonical form with four hyphens passes: `UUID()` alone would also take
    braces, URNs, underscores and digits of other scripts.

    Raises:
        InvalidArgumentError: It is no UUID.
    """
    if isinstance(value, UUID):
        return value
    if isinstance(value, str):
        try:
            parsed = UUID(value)
        except ValueError:
            pass
        else:
            if str(parsed) == value.lower():
                return parsed
    msg = f"{name} must be a UUID, such as 8f51c396-6e29-49a6-ba5a-1a31d5420158"
    raise InvalidArgumentError(msg)


def check_trace_id(value: object) -> UUID:
    """Return `value` as a UUID of version 4, which alone the API takes as a trace ID.

    Raises:
        InvalidArgumentError: It is no UUID of version 4.
    """
    parsed = check_uuid("trace_id", value)
    if parsed.version != 4 or parsed.variant != RFC_4122:  # noqa: PLR2004 -- RFC 9562
        msg = "trace_id must be a UUID of version 4"
        raise InvalidArgumentError(msg)
    return parsed


def is_token(value: object) -> TypeGuard[str]:
    """Tell whether `value` can be the name of a header or of a cookie."""
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def is_header_value(value: object) -> TypeGuard[str]:
    """Tell whether `value` is a string that can stand in a header as it is."""
    return isinstance(value, str) and _HEADER_VALUE.fullmatch(value) is not None


def check_header_value(name: str, value: object) -> None:
    """Make sure that `value` can stand in a header.

    Raises:
        InvalidArgumentError: It is blank, or holds a control or non-ASCII character.
    """
    if not is_header_value(value):
        msg = (
            f"{name} must be a string of printable ASCII characters, neither blank "
            "nor with blanks at its ends"
        )
        raise InvalidArgumentError(msg)


def check_header(name: bytes, value: bytes) -> None:
    """Make sure that a header of somebody else's making can be sent.

    Raises:
        InvalidArgumentError: It cannot; the error names it only if it can be named.
    """
    shown = name.decode("latin-1")
    if not is_token(shown):
        msg = "the name of a header must be a token, as HTTP calls it"
        raise InvalidArgumentError(msg)
    check_header_value(f"the header {shown}", value.decode("latin-1"))


def check_ip(name: str, value: object) -> str:
    """Return the IP address `value` in its canonical form.

    Raises:
        InvalidArgumentError: It is no IPv4 or IPv6 address, or has a zone, which means
            nothing to another machine.
    """
    try:
        # str: ip_address() takes integers, too.
        address = ip_address(value) if isinstance(value, str) else None
    except ValueError:
        address = None
    if address is None or "%" in str(address):
        msg = f"{name} must be an IPv4 or IPv6 address without a zone"
        raise InvalidArgumentError(msg)
    return str(address)


def is_count(value: object, *, least: int) -> bool:
    """Tell whether `value` is an integer of `least` or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_duration(value: object) -> bool:
    """Tell whether `value` is a positive, finite number of seconds."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    return 0 < value <= sys.float_info.max


def check_timeout(value: float) -> float:
    """Return `value` if it is a time to wait.

    Raises:
        InvalidArgumentError: It is not a positive, finite number of seconds.
    """
    if not is_duration(value):
        msg = "timeout must be a positive, finite number of seconds"
        raise InvalidArgumentError(msg)
    return value
