"""JSON with exact numbers, and times: `read_json`, `write_json` and `write_time`."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import NoReturn

__all__ = ["read_json", "write_json", "write_time"]


def read_json(text: str) -> object:
    """Parse a JSON text; numbers with a fraction are `Decimal`.

    Args:
        text: The text.

    Returns:
        The value.

    Raises:
        ValueError: The text is not JSON, or a number has an exponent that no
            `Decimal` can have.
    """
    value: object = json.loads(
        text, parse_float=_read_number, parse_constant=_refuse_constant
    )
    return value


def write_json(value: object) -> str:
    """Write a value as JSON; a `Decimal` keeps its digits.

    Args:
        value: Objects and lists of JSON values, in which numbers may be `Decimal`.

    Returns:
        The text.
    """
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dict):
        members = (f"{json.dumps(k)}:{write_json(v)}" for k, v in value.items())
        return f"{{{','.join(members)}}}"
    if isinstance(value, list):
        return f"[{','.join(map(write_json, value))}]"
    return json.dumps(value)


def write_time(time: datetime) -> str:
    """Write a time as the API does.

    Args:
        time: The time, in UTC.

    Returns:
        The time in the form of RFC 3339, with milliseconds and `Z`.
    """
    return f"{time.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def _read_number(digits: str) -> Decimal:
    try:
        return Decimal(digits)
    except InvalidOperation:
        raise ValueError from None


def _refuse_constant(_name: str) -> NoReturn:
    # NaN and Infinity are Python's extension of JSON.
    raise ValueError
