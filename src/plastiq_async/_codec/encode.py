"""Encoding: attrs instances and plain values to JSON bytes."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from math import isfinite
from types import NoneType
from typing import Any
from uuid import UUID

from plastiq_async._codec.fields import wire_fields

# Made once, because json.dumps would make an encoder at every call.
_quote = json.JSONEncoder(ensure_ascii=False).encode


def encode(value: object) -> bytes:
    """Return `value` as compact JSON in UTF-8; Decimals keep their exact digits.

    Only metadata may hold floats and None. Elsewhere, members that are None are left
    out. A TypeError names the path of a value that has no JSON form; a ValueError says
    what is wrong with a datetime, a number, a string or the nesting.
    """
    try:
        return _write(value, "$", False).encode()
    except (UnicodeEncodeError, RecursionError):
        pass
    except (TypeError, ValueError) as error:
        # Without the frames that hold parts of the body.
        raise error.with_traceback(None) from None
    # Raised here because the first error holds the text.
    raise ValueError("the body has a lone surrogate or is nested too deeply")


def _write(value: Any, path: str, in_metadata: bool) -> str:
    """Return `value` as JSON; `path` is for errors and shows nothing of metadata."""
    kind: Any = type(value)
    writers = _METADATA_WRITERS if in_metadata else SCALAR_WRITERS
    if write := writers.get(kind):
        return write(value)
    if isinstance(value, (list, tuple)):
        texts = [
            _write(item, path if in_metadata else f"{path}[{index}]", in_metadata)
            for index, item in enumerate(value)
        ]
        return f"[{','.join(texts)}]"
    if kind is not dict and (fields := wire_fields(kind)) is not None:
        value = {name: getattr(value, attribute) for attribute, name, _ in fields}
    if isinstance(value, (dict, Mapping)):  # dict first, because Mapping is slow
        texts = []
        for name, item in value.items():
            if not isinstance(name, str):
                raise TypeError(f"names must be str @ {path}")
            if item is not None or in_metadata:
                inner = path if in_metadata else f"{path}.{name}"
                text = _write(item, inner, in_metadata or name == "metadata")
                texts.append(f"{_quote(name)}:{text}")
        return f"{{{','.join(texts)}}}"
    base = next((base for base in kind.__mro__ if base in writers), None)
    if base is None:
        raise TypeError(f"cannot encode {kind.__name__} @ {path}")
    return writers[base](value)  # such as an enum of strings


def _decimal(value: Decimal) -> str:
    # Without a limit, Decimal("1E+999999999") would be written as a gigabyte of zeros.
    if not value.is_finite() or abs(value.adjusted()) > 1000:  # noqa: PLR2004
        raise ValueError("a Decimal must be finite and at most 1000 digits long")
    return format(value, "f")


def _datetime(value: datetime) -> str:
    if value.utcoffset() is None:
        raise ValueError("a datetime must have a time zone")
    text = value.astimezone(UTC).isoformat(timespec="milliseconds")
    return f'"{text.removesuffix("+00:00")}Z"'


def _float(value: float) -> str:
    if not isfinite(value):
        raise ValueError("a float must be finite")
    return float.__repr__(value)


# The methods of int and float are named because enums override them.
SCALAR_WRITERS: dict[type, Callable[[Any], str]] = {
    str: _quote,
    bool: lambda value: "true" if value else "false",
    int: int.__repr__,
    Decimal: _decimal,
    UUID: lambda value: f'"{value}"',
    datetime: _datetime,
    date: lambda value: f'"{value.isoformat()}"',
}
_METADATA_WRITERS = SCALAR_WRITERS | {NoneType: lambda _: "null", float: _float}
