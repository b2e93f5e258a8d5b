"""`to_jsonable`, which turns results into plain dicts and lists for web frameworks."""

from collections.abc import Callable, Mapping
from functools import cache
from types import NoneType
from typing import Any, Protocol, TypeAlias, overload

import attrs

from plastiq_async._codec.encode import TEXT_WRITERS, find_writer, finite
from plastiq_async._codec.fields import SECRET, is_marked
from plastiq_async.errors import InvalidArgumentError
from plastiq_async.models.common import ResponseInfo

__all__ = ["Jsonable", "to_jsonable"]

Jsonable: TypeAlias = (
    dict[str, "Jsonable"] | list["Jsonable"] | str | int | float | bool | None
)
"""What `to_jsonable` returns: a value that `json.dumps` accepts."""


class _Result(Protocol):
    @property
    def response(self) -> ResponseInfo: ...


@overload
def to_jsonable(result: _Result | Mapping[str, object]) -> dict[str, Jsonable]: ...
@overload
def to_jsonable(result: list[Any] | tuple[Any, ...]) -> list[Jsonable]: ...
@overload
def to_jsonable(result: object) -> Jsonable: ...
def to_jsonable(result: object) -> Jsonable:
    """Return a result as plain dicts and lists, which `json.dumps` accepts.

    An attrs instance, such as any result or request of this library, becomes a dict
    with its attributes under their Python names. Left out are `response`, attributes
    whose names begin with an underscore, properties, and secrets at any depth: account
    numbers, for example, and `ClientSecret.client_secret`. A handler that gives the
    payer's browser a client secret names it::

        {**to_jsonable(secret), "client_secret": secret.client_secret}

    Personal data, such as an e-mail address, is included.

    - A list or tuple becomes a list, and a mapping a dict with the same keys.
    - A `Decimal` becomes text with its exact digits, such as ``"100.10"``.
    - A `datetime` becomes ISO 8601 in UTC with milliseconds, the form that JavaScript
      defines, such as ``"2026-01-02T03:04:05.000Z"``. A `date` becomes ISO 8601.
    - A `UUID` becomes text, and a member of an enumeration of str, int or float its
      value. Other str, int, float and bool do not change.
    - None stays None, so that a class always yields the same keys.

    FastAPI makes no response model from the recursive type `Jsonable`, so return a
    `fastapi.responses.JSONResponse` or annotate the handler with ``dict[str, Any]``.

    Args:
        result: A result, or a list, tuple or mapping of results and plain values.

    Returns:
        A dict for a result or a mapping, a list for a list or tuple. Changing it does
        not change `result`.

    Raises:
        InvalidArgumentError: `result` contains something else, such as a set, bytes, an
            exception, a session, a listing that was not awaited, a number that is not
            finite, a `datetime` without a time zone, or itself. The message names the
            type and the path to it, and shows neither values nor keys of mappings. For
            a `PlastiqError`, the integrations have problem details.
    """
    try:
        return _convert(result, "$")
    except InvalidArgumentError as error:
        problem = str(error)
    except RecursionError:
        problem = "the result contains itself or is nested too deeply"
    # Raised here, without `result` and the frames that hold parts of it, because crash
    # reporters collect local variables.
    del result
    raise InvalidArgumentError(problem)


def _convert(value: Any, path: str) -> Jsonable:
    kind: Any = type(value)
    if write := find_writer(kind, _WRITERS):
        try:
            return write(value)
        except ValueError as error:
            raise InvalidArgumentError(f"{error} @ {path}") from None
    if isinstance(value, (list, tuple)):
        return [_convert(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if attrs.has(kind):
        return {
            name: _convert(getattr(value, name), f"{path}.{name}")
            for name in _shown_fields(kind)
        }
    if isinstance(value, Mapping):
        # Its keys are data, too, so the path does not show them.
        return {
            _check_key(key, path): _convert(item, f"{path}[...]")
            for key, item in value.items()
        }
    raise InvalidArgumentError(f"cannot convert {kind.__name__} @ {path}")


@cache
def _shown_fields(cls: Any) -> list[str]:
    """Return the names of the fields of an attrs class that are for others to see."""
    return [
        field.name
        for field in attrs.fields(cls)
        if not field.name.startswith("_")
        and field.name != "response"
        and not is_marked(field, SECRET)
    ]


def _check_key(key: object, path: str) -> str:
    if isinstance(key, str):
        return str.__str__(key)
    raise InvalidArgumentError(f"keys must be str @ {path}")


# The methods of the types are named because enums override them.
_WRITERS: dict[type, Callable[[Any], Jsonable]] = {
    NoneType: lambda _: None,
    str: str.__str__,
    bool: bool,
    int: int.__int__,
    float: finite,
    **TEXT_WRITERS,
}
