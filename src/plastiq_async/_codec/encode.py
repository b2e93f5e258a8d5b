"""Encoding: attrs instances and plain values to JSON bytes."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from math import isfinite
from types import NoneType
from typing import Any, TypeVar
from uuid import UUID

from plastiq_async._codec.fields import wire_fields

T = TypeVar("T")

_quote = json.encoder.encode_basestring


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
            if item is None and not in_metadata:
                continue
            if write := writers.get(type(item)):  # most values are scalars
                text = write(item)
            else:
                inner = path if in_metadata else f"{path}.{name}"
                text = _write(item, inner, in_metadata or name == "metadata")
            texts.append(f"{_quote(name)}:{text}")
        return f"{{{','.join(texts)}}}"
    if write := find_writer(kind, writers):  # such as that of an enum of strings
        return write(value)
    raise TypeError(f"cannot encode {kind.__name__} @ {path}")


def find_writer(kind: type, writers: Mapping[type, T]) -> T | None:
    """Return the writer for `kind` or its nearest base, or None if there is none."""
    return next((writers[base] for base in kind.__mro__ if base in writers), None)


def can_be_written(value: Decimal) -> bool:
    """Tell whether `value` is finite and has few enough digits to write them out.

    Without a limit, ``Decimal("1E+999999999")`` would become a gigabyte of zeros.
    """
    return value.is_finite() and abs(value.adjusted()) <= 1000  # noqa: PLR2004


def _decimal(value: Decimal) -> str:
    if not can_be_written(value):
        raise ValueError("a Decimal must be finite and at most 1000 digits long")
    return format(value, "f")


def _datetime(value: datetime) -> str:
    if value.utcoffset() is None:
        raise ValueError("a datetime must have a time zone")
    try:
        text = value.astimezone(UTC).isoformat(timespec="milliseconds")
        return f"{text.removesuffix('+00:00')}Z"
    except OverflowError:
        pass
    # Raised here because the first error's frame holds the value.
    raise ValueError("a datetime must be in the years 1 to 9999 in UTC")


def finite(value: float) -> float:
    """Return `value` as a plain float, or raise ValueError if it is not finite."""
    if not isfinite(value):
        raise ValueError("a float must be finite")
    return float.__float__(value)


def _quoted(write: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda value: f'"{write(value)}"'


# The texts of values for which JSON has no type of its own.
TEXT_WRITERS: dict[type, Callable[[Any], str]] = {
    Decimal: _decimal,
    UUID: str,
    datetime: _datetime,
    date: date.isoformat,
}
# The methods of int and float are named because enums override them.
SCALAR_WRITERS: dict[type, Callable[[Any], str]] = {
    **{kind: _quoted(write) for kind, write in TEXT_WRITERS.items()},
    str: _quote,
    bool: lambda value: "true" if value else "false",
    int: int.__repr__,
    Decimal: _decimal,  # a number to the API
}
_METADATA_WRITERS = SCALAR_WRITERS | {
    NoneType: lambda _: "null",
    float: lambda value: float.__repr__(finite(value)),
}
