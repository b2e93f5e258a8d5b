"""Field metadata for the codec and the masking; combine with `|`."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import attrs

_WIRE = "plastiq_async.wire"

NOT_ON_WIRE: Final[dict[str, object]] = {_WIRE: None}
"""The field is never in JSON; decoding uses its default."""
NOT_EMPTY: Final[dict[str, object]] = {"plastiq_async.not_empty": True}
"""The field is a string, and decoding refuses an empty one."""
REQUIRED: Final[dict[str, object]] = {"plastiq_async.required": True}
"""Decoding requires the field, although it has a default for callers."""
SECRET: Final[dict[str, object]] = {"plastiq_async.secret": True}
"""The field is masked in error messages of the server, and left out by `to_jsonable`.

Set ``repr=False``, too. A request class that checks its arguments needs
`forget_arguments`, and a result class `forget_secrets_in_copies`, except for
`ClientSecret`, which is nothing but its secret.
"""
TYPE_IN_PARENT: Final[dict[str, object]] = {"plastiq_async.type_in_parent": True}
"""The `type` that selects the class of the field is a member of the parent object."""


def derived(compute: Callable[[Any], Any]) -> Any:
    """Return a field that is not on the wire, computed from those declared before it.

    A decorated default would do the same, but pyright would require the argument.
    """
    default = attrs.Factory(compute, takes_self=True)
    return attrs.field(default=default, metadata=NOT_ON_WIRE)


def wire(name: str) -> dict[str, object]:
    """Return the metadata of a field whose JSON name is `name`, not its camelCase.

    In results, ``"payer.id"`` names a member of the object `payer`.
    """
    return {_WIRE: name}


def wire_name(field: attrs.Attribute[Any]) -> str | None:
    """Return the JSON name of `field`, or None if it is never in JSON."""
    name = field.alias or field.name
    camel_case = re.sub("_([a-z])", lambda match: match[1].upper(), name)
    return field.metadata.get(_WIRE, camel_case)  # type: ignore[no-any-return]


def is_marked(field: attrs.Attribute[Any], marker: dict[str, object]) -> bool:
    """Tell whether the metadata of `field` contains `marker`."""
    return marker.items() <= field.metadata.items()


@cache
def wire_fields(cls: Any) -> list[tuple[str, str, bool]] | None:
    """Return attribute name, JSON name and secrecy of each field of an attrs class."""
    if not attrs.has(cls):
        return None
    named = [(field, wire_name(field)) for field in attrs.fields(cls)]
    return [(f.name, name, is_marked(f, SECRET)) for f, name in named if name]
