"""JSON text to attrs objects, strictly."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

    from cattrs import Converter

T = TypeVar("T")


class AnswerError(Exception):
    """The data is not what was expected; the text names the place, never the data."""


def _refuse_constant(_: str) -> NoReturn:
    # NaN and the infinities are no JSON, though Python's decoder takes them.
    raise ValueError


# Made once: json.loads builds a decoder of its own at every call with arguments.
_decoder = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse_constant)


def decode_json(content: bytes) -> object:
    """Return what the JSON text `content` says; numbers with a fraction as Decimal.

    Raises:
        AnswerError: It is no JSON text in UTF-8.
    """
    try:
        decoded: object = _decoder.decode(content.decode())
    except (ValueError, ArithmeticError, RecursionError):
        # Bad text or digits, a number out of Decimal's range, too deep a nesting.
        pass
    else:
        return decoded
    # Raised out here: the decoder's error holds the text, and would be the context.
    msg = "the body is not JSON"
    raise AnswerError(msg)


_SNAKE = re.compile("_([a-z])")


def _capital(match: re.Match[str]) -> str:
    return match[1].upper()


def _camel_case(name: str) -> str:
    return _SNAKE.sub(_capital, name)


def _describe(error: BaseException, _: type | None) -> str:
    # cattrs' own wording quotes the value for some types.
    return "missing" if isinstance(error, KeyError) else "unexpected value"


def configure_converter(converter: Converter) -> None:
    """Teach `converter` the API's ways: camelCase names and no coercion.

    cattrs alone makes the text ``'None'`` of a null.
    """
    from cattrs.gen import make_dict_structure_fn, override  # noqa: PLC0415

    def make_structure_fn(cls: type[Any]) -> Callable[[Any, Any], Any]:
        renames = {
            field.name: override(rename=_camel_case(field.name))
            for field in attrs.fields(cls)
        }
        return make_dict_structure_fn(
            cls,
            converter,
            **renames,  # type: ignore[arg-type]  # may be "_cattrs_..." options, too
        )

    def structure_primitive(value: object, kind: type[T]) -> T:
        # Not isinstance: a bool is an int, too.
        if type(value) is not kind:
            raise TypeError
        return value

    converter.register_structure_hook_factory(attrs.has, make_structure_fn)
    for kind in (bool, int, str, Decimal):
        converter.register_structure_hook(kind, structure_primitive)


@cache
def api_converter() -> Converter:
    """Return the converter for the API's answers, made and imported at first use.

    cattrs is a fifth of the whole import: a session pays for it when it is made, and
    a program that only names our types and errors not at all.
    """
    from cattrs import Converter  # noqa: PLC0415

    converter = Converter()
    configure_converter(converter)
    return converter


def structure(value: object, cls: type[T]) -> T:
    """Return the `cls` that decoded JSON describes.

    Raises:
        AnswerError: It does not; the error names the paths into the data.
    """
    try:
        if isinstance(value, dict):
            return api_converter().structure(value, cls)
        paths = ["unexpected value @ $"]
    except Exception as error:  # noqa: BLE001 -- the group may hold anything
        from cattrs import transform_error  # noqa: PLC0415 -- loaded by now

        paths = transform_error(error, format_exception=_describe)
    wire_paths = (_SNAKE.sub(_capital, path) for path in paths)
    # As in decode_json: the errors hold the data.
    raise AnswerError("; ".join(wire_paths))
