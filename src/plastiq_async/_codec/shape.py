"""`Shape`, what a JSON object needs before its members can be decoded one by one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import attrs

from plastiq_async._codec.fields import (
    REQUIRED,
    TYPE_IN_PARENT,
    is_marked,
    wire_name,
)


class DecodeError(Exception):
    """The data is not what was expected; the text names paths into it, never data."""


@attrs.frozen
class Shape:
    """The names of a class's members on the wire that need attention.

    Attributes:
        optional: Members for which null means absence.
        required: Members that must be there, although their field has a default.
        typed: Members whose class depends on the `type` beside them.
        dotted: Members of members, such as ``payer.id``.
    """

    optional: frozenset[str]
    required: tuple[str, ...]
    typed: tuple[str, ...]
    dotted: tuple[str, ...]

    @classmethod
    def of(cls, fields: Iterable[attrs.Attribute[Any]]) -> Self:
        """Return the shape of a class with these fields."""
        named = [(field, name) for field in fields if (name := wire_name(field))]
        required = [name for field, name in named if is_marked(field, REQUIRED)]
        optional = {name for field, name in named if field.default is not attrs.NOTHING}
        return cls(
            optional=frozenset(optional.difference(required)),
            required=tuple(required),
            typed=tuple(n for field, n in named if is_marked(field, TYPE_IN_PARENT)),
            dotted=tuple(name for _, name in named if "." in name),
        )

    def prepare(self, value: dict[Any, Any]) -> dict[Any, Any]:
        """Return `value` with a member for each field, or raise DecodeError."""
        if None in value.values():
            items = value.items()
            value = {k: v for k, v in items if v is not None or k not in self.optional}
        for name in self.typed:
            if type(value.get(name)) is dict:
                value = {**value, name: {**value[name], "type": value.get("type")}}
        if self.dotted:
            value = {**value, **dict(self._members(value))}
        for name in self.required:
            if name not in value:
                raise DecodeError(f"{name} is missing")
        return value

    def _members(self, value: dict[Any, Any]) -> Iterable[tuple[str, object]]:
        """Yield the members of the objects in `value` that are fields, too."""
        for name in self.dotted:
            outer, inner = name.split(".")
            holder = value.get(outer)
            if holder is not None:
                member = holder.get(inner) if type(holder) is dict else None
                if member is None:
                    raise DecodeError(f"{name} is missing")
                yield name, member
