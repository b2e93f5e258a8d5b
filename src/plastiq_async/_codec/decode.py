"""Decoding: JSON bytes to attrs instances, without coercion."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache, partial
from itertools import islice
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin
from uuid import UUID

import attrs

from plastiq_async._codec.encode import can_be_written
from plastiq_async._codec.fields import NOT_EMPTY, is_marked, wire_name
from plastiq_async._codec.shape import DecodeError, Shape
from plastiq_async._validate import check_uuid

if TYPE_CHECKING:
    from cattrs import Converter

    from plastiq_async.models.common import ResponseInfo

T = TypeVar("T")
# Returns the value of one type, or raises anything. cattrs passes the type, too.
Hook = Callable[..., Any]

_MOST_PROBLEMS = 20
_DATE = r"\d{4}-\d\d-\d\d"
_TIME = rf"{_DATE}T\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"


def _refuse(_: object, problem: str = "unexpected value") -> Any:
    raise DecodeError(problem)


# Made once, because json.loads would make one at every call. NaN is not JSON.
_decode = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse).decode


def decode_json(content: bytes) -> object:
    """Return the value of a JSON text, or raise DecodeError; fractions are Decimal."""
    try:
        return _decode(content.decode())
    except (DecodeError, ValueError, ArithmeticError, RecursionError):
        pass
    # Raised here because the first error holds the text.
    raise DecodeError("the body is not JSON")


def structure(value: object, cls: type[T]) -> T:
    """Return the `cls` that the decoded JSON `value` describes, or raise DecodeError.

    A TypeError is our bug: the codec does not know the type of a field.
    """
    hook: Callable[[object], T] = _hook_for(cls)  # type: ignore[arg-type]  # hashable
    try:
        return hook(value)
    except Exception as error:  # noqa: BLE001 -- hooks raise anything
        problems = "; ".join(islice(_find_problems(error), _MOST_PROBLEMS))
    # Raised here because the first error holds the data.
    raise DecodeError(problems)


def structure_result(value: object, cls: type[T], info: ResponseInfo) -> T:
    """Call `structure` with `info` as the `response` of the result and of its items."""
    if type(value) is dict:
        # Overwrites what the server may have sent under this name.
        value = {**value, "response": info}
        items = value.get("data")
        if type(items) is list and get_origin(cls):  # only Page is generic
            value["data"] = [
                {**item, "response": info} if type(item) is dict else item
                for item in items
            ]
    return structure(value, cls)


def _find_problems(error: Exception, path: str = "$") -> Iterator[str]:
    """Yield each problem in the `error` of a hook, with its path and without data."""
    from cattrs import ClassValidationError, IterableValidationError  # noqa: PLC0415

    if isinstance(error, ClassValidationError):
        fields = attrs.fields_dict(error.cl)
        located, others = error.group_exceptions()
        for inner, note in located:
            yield from _find_problems(inner, f"{path}.{wire_name(fields[note.name])}")
        for inner in others:  # from a validator or a converter of the class
            yield from _find_problems(inner, path)
    elif isinstance(error, IterableValidationError):
        for inner, item in error.group_exceptions()[0]:
            yield from _find_problems(inner, f"{path}[{item.index}]")
    else:
        text = "missing" if isinstance(error, KeyError) else "unexpected value"
        yield f"{error if isinstance(error, DecodeError) else text} @ {path}"


@cache
def api_converter() -> Converter:
    """Return the converter for all models."""
    # Imported at first use, because cattrs is a fifth of the import of the package.
    from cattrs import Converter  # noqa: PLC0415

    converter = Converter()
    converter.register_structure_hook_factory(lambda _: True, _hook_for)
    for kind in (str, int):  # cattrs' hooks for these precede those of any factory
        converter.register_structure_hook(kind, _HOOKS[kind])
    return converter


@cache
def _hook_for(kind: Any, where: str = "the result") -> Hook:
    """Return the hook for `kind`, the type of what errors call `where`."""
    from cattrs.cols import list_structure_factory  # noqa: PLC0415 -- deferred

    from plastiq_async.models.common import ResponseInfo  # noqa: PLC0415 -- a cycle

    origin, arguments = get_origin(kind), get_args(kind)
    if kind in _HOOKS:
        return _HOOKS[kind]
    if kind is ResponseInfo:
        return _exactly(ResponseInfo)  # never from JSON
    if attrs.has(origin or kind):
        return _class_hook(kind)
    if origin is tuple and arguments[1:] == (...,):
        _hook_for(arguments[0], where)  # raises for float and bytes, which cattrs knows
        decode_list = list_structure_factory(kind, api_converter())
        return _exactly(list, parse=lambda value: tuple(decode_list(value, kind)))
    if origin is Literal and all(type(value) is str for value in arguments):
        return _exactly(str, parse=lambda v: v if v in arguments else _refuse(v))
    if origin in (Union, UnionType):
        return _union_hook(arguments, where)
    raise TypeError(f"{where} has the type {kind}, which the codec does not know")


def _exactly(*kinds: type, parse: Callable[[Any], Any] | None = None) -> Hook:
    """Return the hook that parses values of exactly these types: a bool is no int."""

    def hook(value: object, _: object = None) -> Any:
        if type(value) not in kinds:
            raise TypeError
        return value if parse is None else parse(value)

    return hook


def _number(value: Decimal) -> Decimal:
    """Return `value`, unless formatting it would exhaust the memory of the caller."""
    return value if can_be_written(value) else _refuse(value, "too many digits")


def _matching(pattern: str, parse: Callable[[str], Any]) -> Hook:
    """Return the hook that parses strings of the form `pattern`."""
    match = re.compile(pattern, re.ASCII).fullmatch
    return _exactly(str, parse=lambda v: parse(v) if match(v) else _refuse(v))


@cache
def _class_hook(cls: Any) -> Hook:
    """Return the hook for an attrs class or an alias of one, such as `Page[T]`."""
    from cattrs.gen import make_dict_structure_fn, override  # noqa: PLC0415 -- deferred

    overrides: dict[str, Any] = {}
    fields = attrs.fields(attrs.resolve_types(get_origin(cls) or cls))
    for field in fields:
        name, kind = wire_name(field), field.type
        where = f"{cls.__qualname__}.{field.name}"
        if name is None:
            if field.default is attrs.NOTHING:
                raise TypeError(f"{where} is not on the wire and has no default")
            overrides[field.name] = override(omit=True)
            continue
        if getattr(kind, "__parameters__", ()):  # such as tuple[T, ...]
            kind = kind[get_args(cls)]
        hook = _not_empty if is_marked(field, NOT_EMPTY) else _hook_for(kind, where)
        overrides[field.name] = override(rename=name, struct_hook=hook)
    decode_fields = make_dict_structure_fn(cls, api_converter(), **overrides)

    prepare = Shape.of(fields).prepare
    return _exactly(dict, parse=lambda value: decode_fields(prepare(value), cls))


def _union_hook(kinds: tuple[Any, ...], where: str) -> Hook:
    """Return the hook for `X | None`, `Literal | str`, or classes told apart by `type`.

    In a union of classes with None, an unknown `type` is decoded as None.
    """
    members = [kind for kind in kinds if kind is not NoneType]
    if str in members:
        members = [kind for kind in members if get_origin(kind) is not Literal]
    if len(members) == 1:
        hook = _hook_for(members[0], where)
    else:
        hooks: dict[object, Hook] = {}
        for cls in members:
            hook = _hook_for(cls, where)  # resolves the types of the fields, too
            fields = attrs.fields_dict(cls) if attrs.has(cls) else {}
            tags = fields["type"].type if "type" in fields else None
            if get_origin(tags) is not Literal:
                raise TypeError(f"{where}: {cls} has no `type` that is a Literal")
            hooks |= dict.fromkeys(get_args(tags), hook)
        other: Hook = (lambda _: None) if NoneType in kinds else _refuse
        hook = _exactly(dict, parse=lambda v: hooks.get(v.get("type"), other)(v))
    if NoneType not in kinds:
        return hook
    return lambda value, _=None: None if value is None else hook(value)


def _texts(value: dict[str, object]) -> Any:
    """Return `value` if its members are strings."""
    return (
        value if all(type(text) is str for text in value.values()) else _refuse(value)
    )


_not_empty = _exactly(str, parse=lambda text: text or _refuse(text, "empty text"))
_HOOKS: dict[Any, Hook] = {
    object: lambda value, _=None: value,
    str: _exactly(str),
    int: _exactly(int),
    bool: _exactly(bool),
    Decimal: _exactly(Decimal, int, parse=lambda value: _number(Decimal(value))),
    UUID: _exactly(str, parse=partial(check_uuid, "value")),
    datetime: _matching(_TIME, lambda v: datetime.fromisoformat(v).astimezone(UTC)),
    date: _matching(_DATE, date.fromisoformat),
    Mapping[str, object]: _exactly(dict),
    Mapping[str, str]: _exactly(dict, parse=_texts),
}
