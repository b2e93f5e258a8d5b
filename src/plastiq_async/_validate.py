"""Input validation; no error message contains the rejected value."""

import re
import sys
from contextlib import suppress
from ipaddress import ip_address
from typing import TypeGuard
from uuid import RFC_4122, UUID

from plastiq_async.errors import InvalidArgumentError

# Visible ASCII, with spaces inside only. httpx would send other characters in UTF-8,
# and a server may split the header there or ignore the rest of it.
_HEADER_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_UUID = re.compile("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# Canonical, without hyphens, in braces (.NET, COM), or a URN (RFC 9562). `UUID()` also
# accepts underscores, digits of other scripts, and hyphens and braces anywhere. Without
# the flag `a`, which means ASCII, a dotless i would match i.
_ANY_UUID = re.compile(
    r"(?ai)(?:urn:uuid:|(\{))?"
    r"([0-9a-f]{8}(-?)(?:[0-9a-f]{4}\3){3}[0-9a-f]{12})(?(1)\})"
)
# Control characters, and surrogates, which UTF-8 cannot encode.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# RFC 9110, section 5.6.2.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def check_uuid(name: str, value: object) -> UUID:
    """Return `value` as a UUID, and not as an instance of a subclass.

    Text must have the canonical form with four hyphens.
    """
    if isinstance(value, UUID):
        # A subclass may write, compare and hash itself as it likes.
        return value if type(value) is UUID else UUID(int=value.int)
    if isinstance(value, str) and _UUID.fullmatch(value):
        return UUID(value)
    msg = f"{name} must be a UUID, such as 8f51c396-6e29-49a6-ba5a-1a31d5420158"
    raise InvalidArgumentError(msg)


def check_trace_id(value: object) -> UUID:
    """Return `value` as a UUID of version 4, as the API requires of a trace ID.

    Text may have any usual spelling, because trace IDs come from other software.
    """
    found = _ANY_UUID.fullmatch(value) if isinstance(value, str) else None
    return check_uuid4("trace_id", UUID(found[2]) if found else value)


def check_uuid4(name: str, value: object) -> UUID:
    """Return `value` as a UUID of version 4.

    The API silently ignores other trace IDs and idempotency keys.
    """
    parsed = check_uuid(name, value)
    if parsed.version != 4 or parsed.variant != RFC_4122:  # noqa: PLR2004 -- RFC 9562
        raise InvalidArgumentError(f"{name} must be a UUID of version 4")
    return parsed


def check_text(name: str, value: object, *, longest: int | None = None) -> None:
    """Raise unless `value` is text of the API: not blank, without control characters.

    `longest` is the most characters that the contract allows, if it says so.
    """
    if not isinstance(value, str) or not value.strip() or _UNPRINTABLE.search(value):
        msg = f"{name} must be a string that is not blank, without control characters"
        raise InvalidArgumentError(msg)
    if longest is not None and len(value) > longest:
        raise InvalidArgumentError(f"{name} must have at most {longest} characters")


def check_digits(name: str, value: object, *, least: int, most: int) -> None:
    """Raise unless `value` is a string of `least` to `most` ASCII digits."""
    if not isinstance(value, str) or not re.fullmatch(
        f"[0-9]{{{least},{most}}}", value
    ):
        count = _count(least, most)
        raise InvalidArgumentError(f"{name} must be a string of {count} digits")


def check_alphanumeric(name: str, value: object, *, least: int, most: int) -> None:
    """Raise unless `value` is `least` to `most` ASCII letters and digits."""
    if not isinstance(value, str) or not re.fullmatch(
        f"[0-9A-Za-z]{{{least},{most}}}", value
    ):
        count = _count(least, most)
        msg = f"{name} must be a string of {count} letters and digits"
        raise InvalidArgumentError(msg)


def _count(least: int, most: int) -> str:
    return str(least) if least == most else f"{least} to {most}"


def check_choice(name: str, value: object, *, choices: tuple[str, ...]) -> None:
    """Raise unless `value` is one of `choices`."""
    # isinstance, because an object of another class may compare as it likes.
    if not isinstance(value, str) or value not in choices:
        quoted = " or ".join(f'"{choice}"' for choice in choices)
        raise InvalidArgumentError(f"{name} must be {quoted}")


def check_country(name: str, value: object) -> None:
    """Raise unless `value` has the form of a country code of ISO 3166-1 alpha-2."""
    if not isinstance(value, str) or not re.fullmatch("[A-Z]{2}", value):
        raise InvalidArgumentError(f'{name} must be two capital letters, such as "US"')


def is_token(value: object) -> TypeGuard[str]:
    """Return whether `value` is a valid name of a header or a cookie."""
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def is_header_value(value: object) -> TypeGuard[str]:
    """Return whether `value` is a string that is a valid header value."""
    return isinstance(value, str) and _HEADER_VALUE.fullmatch(value) is not None


def check_header_value(name: str, value: object) -> None:
    """Raise unless `value` is a valid header value."""
    if not is_header_value(value):
        msg = (
            f"{name} must be a string of printable ASCII characters, neither blank "
            "nor with blanks at its ends"
        )
        raise InvalidArgumentError(msg)


def check_header(name: bytes, value: bytes) -> None:
    """Raise unless a header set by middleware is valid."""
    shown = name.decode("latin-1")
    if not is_token(shown):
        msg = "the name of a header must be a token (RFC 9110, section 5.6.2)"
        raise InvalidArgumentError(msg)
    check_header_value(f"the header {shown}", value.decode("latin-1"))


def check_ip(name: str, value: object) -> str:
    """Return the IP address `value` in its canonical form."""
    # ip_address() also accepts integers.
    if isinstance(value, str) and "%" not in value:
        with suppress(ValueError):
            return str(ip_address(value))
    msg = f"{name} must be an IPv4 or IPv6 address without a zone"
    raise InvalidArgumentError(msg)


def is_count(value: object, *, least: int) -> bool:
    """Return whether `value` is an integer of `least` or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_seconds(value: object) -> TypeGuard[float]:
    """Return whether `value` is a finite number."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    return -sys.float_info.max <= value <= sys.float_info.max


def is_duration(value: object) -> bool:
    """Return whether `value` is a positive, finite number of seconds."""
    return is_seconds(value) and value > 0


def check_timeout(value: float) -> float:
    """Return `value` if it is a valid timeout."""
    if not is_duration(value):
        msg = "timeout must be a positive, finite number of seconds"
        raise InvalidArgumentError(msg)
    return value
