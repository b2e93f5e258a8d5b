"""Secrets: finding them, masking them in texts, hiding them from crash reporters."""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial, wraps
from typing import Any, TypeVar, cast

import attrs

from plastiq_async._codec.encode import SCALAR_WRITERS, encode
from plastiq_async._codec.fields import SECRET, is_marked, wire_fields

__all__ = [
    "SECRET",
    "Body",
    "encode_body",
    "forget_arguments",
    "forget_frames",
    "forget_secrets_in_copies",
    "hide",
    "mask",
    "secrets_in",
]

T = TypeVar("T")

_MASK = "(masked)"
# Shorter numbers, such as a cvv, are not written in groups.
_SHORTEST_IN_GROUPS = 5
# A letter or a digit of any script; `\w` would include the underscore.
_ALNUM = r"[^\W_]"
_HEX = "[0-9a-fA-F]"
_UUID = rf"(?<!{_ALNUM}){_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}(?!{_ALNUM})"
_SEPARATORS = r"[\s-]*"


class _HiddenBytes(bytes):
    """Bytes whose repr hides them from crash reporters that collect local variables."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"

    __str__ = __repr__


class _HiddenText(str):
    """A string whose repr hides it from crash reporters, like `_HiddenBytes`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'...'"


def hide(value: T) -> T:
    """Return `value`, with a repr that does not show it if it is a string."""
    if isinstance(value, str):
        # str(value) would return the name of an enumeration's member.
        return cast("T", _HiddenText(str.__str__(value)))
    return value


def forget_frames(error: BaseException | None, outer: BaseException | None) -> None:
    """Remove the tracebacks of `error` and of its causes and contexts, except `outer`.

    The frames belong to HTTP libraries, whose local variables hold request headers.
    `outer` is what the caller of this library was handling.
    """
    left, seen = [error], [outer]
    while left:
        one = left.pop()
        if one is None or any(one is other for other in seen):
            continue
        seen.append(one)
        one.__traceback__ = None
        left += (one.__cause__, one.__context__)
        if isinstance(one, BaseExceptionGroup):
            left += one.exceptions


def forget_arguments(cls: type[T]) -> type[T]:
    """Return the class `cls`, whose constructor's errors show none of its arguments.

    The frames of an `__init__` hold them as local variables, which crash reporters
    collect.
    """
    init = cls.__init__

    @wraps(init)
    def __init__(self: T, *args: object, **kwargs: object) -> None:  # noqa: N807
        try:
            init(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 -- raised again
            failure = error.with_traceback(None)
            del self, args, kwargs  # whose repr may show some of them
        else:
            return
        failure.__context__ = None
        raise failure

    cls.__init__ = __init__  # type: ignore[assignment]  # the same signature
    return cls


def forget_secrets_in_copies(cls: type[T]) -> type[T]:
    """Return the result class `cls`, whose copies and pickles hold no secrets.

    In a copy, each field marked SECRET is None, also in the attrs instances that the
    result holds. Pickles of a result may be stored anywhere, but those of a request
    hold its secrets, because queues pass requests on.
    """

    def __reduce__(self: object) -> tuple[Callable[[], object], tuple[()]]:  # noqa: N807
        return partial(type(self), **_parts_without_secrets(self)), ()

    cls.__reduce__ = __reduce__  # type: ignore[method-assign]  # object's may return text
    return cls


def _parts_without_secrets(value: Any) -> dict[str, Any]:
    """Return the arguments of a copy of an attrs instance that holds no secrets."""
    return {
        field.alias: None
        if is_marked(field, SECRET)
        else _without_secrets(getattr(value, field.name))
        for field in attrs.fields(type(value))
    }


def _without_secrets(value: Any) -> Any:
    kind = type(value)
    return kind(**_parts_without_secrets(value)) if attrs.has(kind) else value


@attrs.frozen
class Body:
    """An encoded request body and the secrets in it; its repr shows only the size."""

    content: bytes = attrs.field(converter=_HiddenBytes)
    secrets: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"<Body of {len(self.content)} bytes>"


def encode_body(value: object) -> Body:
    """Return `value` as a JSON body; raise what `encode` raises."""
    return Body(encode(value), secrets_in(value))


def secrets_in(value: object) -> frozenset[str]:
    """Return the strings in fields of `value` marked SECRET, at any depth."""
    found: set[str] = set()
    _collect(value, found, False)
    return frozenset(found)


def _collect(value: Any, found: set[str], secret: bool) -> None:
    kind: Any = type(value)
    if kind in SCALAR_WRITERS and not secret:
        return  # first, because most values are scalars
    if isinstance(value, (dict, Mapping)):  # dict first, because Mapping is slow
        for item in value.values():
            if secret or type(item) not in SCALAR_WRITERS:
                _collect(item, found, secret)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _collect(item, found, secret)
    elif secret and isinstance(value, str):
        found.add(value)
    else:
        for name, _, marked in wire_fields(kind) or ():
            _collect(getattr(value, name), found, secret or marked)


def mask(text: str, secrets: Iterable[str]) -> str:
    """Return `text` with each of `secrets` replaced by ``(masked)``.

    Only whole tokens are replaced: a match neither begins nor ends inside a longer run
    of letters and digits, nor lies in a UUID. Card and account numbers are also found
    with blanks or hyphens between their digits.
    """
    # The longest first, because one secret may contain another.
    ordered = sorted({secret.strip() for secret in secrets} - {""}, key=len)[::-1]
    if not ordered:
        return text
    pattern = "|".join(map(_pattern, ordered))
    around = [_pattern(secret) for secret in ordered if re.search(_UUID, secret)]
    # Every second part is a UUID, or a secret that contains one.
    parts = re.split(f"({'|'.join([*around, _UUID])})", text)
    for index, part in enumerate(parts):
        if index % 2 == 0:
            parts[index] = re.sub(pattern, _MASK, part)
        elif part in ordered or not re.fullmatch(_UUID, part):
            parts[index] = _MASK
    return "".join(parts)


def _pattern(secret: str) -> str:
    """Return the regular expression that finds `secret` as a whole token."""
    compact = re.sub(_SEPARATORS, "", secret)
    in_groups = compact.isdigit() and len(compact) >= _SHORTEST_IN_GROUPS
    body = _SEPARATORS.join(compact) if in_groups else re.escape(secret)
    before = f"(?<!{_ALNUM})" if secret[0].isalnum() else ""
    after = f"(?!{_ALNUM})" if secret[-1].isalnum() else ""
    return f"{before}{body}{after}"
