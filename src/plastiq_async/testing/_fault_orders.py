"""`order_fault`, which orders the fault that a JSON object describes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal

import attrs

from plastiq_async.testing._checks import check_fields
from plastiq_async.testing._errors import ValidationError
from plastiq_async.testing._faults import FaultQueue

__all__ = ["order_fault"]


@attrs.frozen(kw_only=True)
class Field:
    """A field of an order, and the argument that it becomes.

    Attributes:
        argument: Name of the argument.
        kind: What an error says the value must be.
        accepts: Returns whether a value is valid.
        required: Whether the field must be present.
    """

    argument: str
    kind: str
    accepts: Callable[[object], bool]
    required: bool = False


def order_fault(faults: FaultQueue, order: Mapping[str, object]) -> None:
    """Order the fault that a JSON object describes.

    Args:
        faults: Queue of the fake.
        order: Kind of fault as `fault`, and the arguments of the method that orders
            it, in camelCase.

    Raises:
        ValidationError: The object describes no fault.
    """
    values = dict(order)
    kind = values.pop("fault", None)
    if not isinstance(kind, str) or kind not in KINDS:
        msg = f"fault must be one of: {', '.join(KINDS)}"
        raise ValidationError(msg)
    method, fields = KINDS[kind]
    check_fields(values, fields)
    invalid = [
        f"{name} must be {field.kind}"
        for name, field in fields.items()
        if (name in values or field.required) and not field.accepts(values.get(name))
    ]
    if invalid:
        raise ValidationError(*invalid)
    arguments = {
        fields[name].argument: float(value) if isinstance(value, Decimal) else value
        for name, value in values.items()
    }
    try:
        method(faults, **arguments)
    except ValueError as error:
        raise ValidationError(str(error)) from None


def _garble(faults: FaultQueue, **arguments: object) -> None:
    body = arguments.get("body")
    if isinstance(body, str):
        arguments["body"] = body.encode()
    garble: Callable[..., None] = faults.garble_next
    garble(**arguments)


def _is_text(value: object) -> bool:
    # A lone surrogate is valid in JSON, but cannot be sent.
    return isinstance(value, str) and not re.search("[\ud800-\udfff]", value)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_header_value(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable()


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, Decimal) or _is_integer(value)


def _is_retry_after(value: object) -> bool:
    return _is_number(value) or _is_header_value(value)


AFTER_PROCESSING = Field(
    argument="after_processing", kind="true or false", accepts=_is_flag
)
COMMON = {
    "times": Field(argument="times", kind="an integer", accepts=_is_integer),
    "on": Field(argument="on", kind="a text", accepts=_is_text),
}
KINDS: Mapping[str, tuple[Callable[..., None], Mapping[str, Field]]] = {
    "fail": (
        FaultQueue.fail_next,
        {
            "status": Field(
                argument="status", kind="an integer", accepts=_is_integer, required=True
            ),
            "code": Field(argument="code", kind="a text", accepts=_is_text),
            "message": Field(argument="message", kind="a text", accepts=_is_text),
            "details": Field(
                argument="details", kind="a list of texts", accepts=_is_texts
            ),
            "retryAfter": Field(
                argument="retry_after",
                kind="a number or the value of a header",
                accepts=_is_retry_after,
            ),
            "shape": Field(argument="shape", kind="a text", accepts=_is_text),
            "afterProcessing": AFTER_PROCESSING,
            **COMMON,
        },
    ),
    "garble": (
        _garble,
        {
            "body": Field(argument="body", kind="a text", accepts=_is_text),
            "status": Field(argument="status", kind="an integer", accepts=_is_integer),
            "contentType": Field(
                argument="content_type",
                kind="the value of a header",
                accepts=_is_header_value,
            ),
            **COMMON,
        },
    ),
    "delay": (
        FaultQueue.delay_next,
        {
            "seconds": Field(
                argument="seconds", kind="a number", accepts=_is_number, required=True
            ),
            **COMMON,
        },
    ),
    "drop": (
        FaultQueue.drop_next,
        {
            "afterProcessing": AFTER_PROCESSING,
            **COMMON,
        },
    ),
    "refuse": (FaultQueue.refuse_next, COMMON),
}
