"""Checks of what a request contains: pure functions that return the parsed value."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from plastiq_async.testing._errors import ValidationError
from plastiq_async.testing._json import read_json

__all__ = [
    "MAX_BODY_BYTES",
    "bearer_token",
    "check_body",
    "check_fields",
    "check_headers",
    "check_query",
    "is_json",
    "parse_uuid",
    "parse_uuid4",
    "require_integer",
    "require_object",
    "require_reference",
    "require_uuid",
]

MAX_BODY_BYTES = 64 * 1024


def parse_uuid(value: object) -> UUID | None:
    """Parse a UUID in its usual form of 8-4-4-4-12 hexadecimal digits.

    Args:
        value: Value received.

    Returns:
        The UUID, or None if the value is not one.
    """
    if not isinstance(value, str):
        return None
    try:
        uuid = UUID(value)
    except ValueError:
        return None
    # UUID() also accepts braces, "urn:uuid:" and digits without hyphens.
    return uuid if str(uuid) == value.lower() else None


def parse_uuid4(value: object) -> UUID | None:
    """Parse a UUID version 4, as trace IDs and idempotency keys are.

    Args:
        value: Value received.

    Returns:
        The UUID, or None if the value is not a UUID version 4.
    """
    uuid = parse_uuid(value)
    return uuid if uuid is not None and uuid.version == 4 else None  # noqa: PLR2004 -- the version


def bearer_token(headers: Mapping[str, str]) -> str | None:
    """Return the access token of a request.

    Args:
        headers: Header values by lower-case name.

    Returns:
        The token, or None if there is no `Authorization` of scheme `Bearer`.
    """
    scheme, _, token = headers.get("authorization", "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def check_headers(headers: Mapping[str, str], *, has_body: bool) -> None:
    """Check the headers that all operations share, except `Authorization`.

    Args:
        headers: Header values by lower-case name.
        has_body: Whether the method has a body, which must be JSON.

    Raises:
        ValidationError: A header is missing or invalid.
    """
    if not headers.get("user-agent", "").strip():
        msg = "User-Agent is required"
        raise ValidationError(msg)
    end_user_ip = headers.get("end-user-ip")
    if end_user_ip is not None:
        try:
            ipaddress.ip_address(end_user_ip)
        except ValueError:
            msg = "End-User-Ip must be an IP address"
            raise ValidationError(msg) from None
    if has_body and not is_json(headers.get("content-type", "")):
        msg = "Content-Type must be application/json"
        raise ValidationError(msg)


def is_json(content_type: str) -> bool:
    """Return whether a `Content-Type` is that of JSON.

    Args:
        content_type: Value of the header, empty if it is missing.

    Returns:
        Whether the media type is `application/json`.
    """
    return content_type.partition(";")[0].strip().lower() == "application/json"


def check_query(
    query: Mapping[str, Sequence[str]], allowed: Collection[str]
) -> dict[str, str]:
    """Check that query parameters are known and not repeated.

    Args:
        query: Values of each parameter.
        allowed: Names of the parameters that the route accepts.

    Returns:
        The value of each parameter.

    Raises:
        ValidationError: A parameter is unknown or repeated.
    """
    for name, values in query.items():
        if name not in allowed:
            msg = f"{name} is not a query parameter of this operation"
            raise ValidationError(msg)
        if len(values) > 1:
            msg = f"{name} must not be repeated"
            raise ValidationError(msg)
    return {name: values[0] for name, values in query.items()}


def check_body(body: bytes) -> dict[str, object]:
    """Parse a body that must be a JSON object; fractions are `Decimal`.

    Args:
        body: Bytes received.

    Returns:
        The object.

    Raises:
        ValidationError: The body is not a JSON object.
    """
    try:
        data = read_json(body.decode())
    except (ValueError, RecursionError):
        msg = "body must be JSON"
        raise ValidationError(msg) from None
    return require_object(data, "body", kind="a JSON object")


def check_fields(
    data: Mapping[str, object],
    allowed: Collection[str],
    *,
    parent: str = "",
    required: Collection[str] = (),
) -> None:
    """Check that an object has known fields only, and those that it must have.

    Args:
        data: Object received.
        allowed: Names of the fields that it may have.
        parent: Dotted name of the object, if it is not the whole body.
        required: Names of the fields that it must have.

    Raises:
        ValidationError: A field is unknown or missing.
    """
    prefix = f"{parent}." if parent else ""
    problems = [f"{prefix}{name} is unknown" for name in data if name not in allowed]
    problems += [f"{prefix}{name} is required" for name in required if name not in data]
    if problems:
        raise ValidationError(*problems)


def require_object(
    value: object, name: str, *, kind: str = "an object"
) -> dict[str, object]:
    """Return a value that must be an object.

    Args:
        value: Value received, None if it is missing.
        name: Dotted name of the field.
        kind: What the error says the value must be.

    Returns:
        The object.

    Raises:
        ValidationError: The value is not an object.
    """
    if not isinstance(value, dict):
        msg = f"{name} must be {kind}"
        raise ValidationError(msg)
    return value


def require_uuid(value: object, name: str) -> UUID:
    """Parse a value that must be a UUID.

    Args:
        value: Value received, None if it is missing.
        name: Dotted name of the field or parameter.

    Returns:
        The UUID.

    Raises:
        ValidationError: The value is not a UUID.
    """
    uuid = parse_uuid(value)
    if uuid is None:
        msg = f"{name} must be a UUID"
        raise ValidationError(msg)
    return uuid


def require_reference(value: object, name: str) -> UUID:
    """Parse a value that must be a reference, `{"id": ...}`.

    Args:
        value: Value received.
        name: Dotted name of the field.

    Returns:
        The ID.

    Raises:
        ValidationError: The value is not a reference.
    """
    reference = require_object(value, name)
    check_fields(reference, ("id",), parent=name, required=("id",))
    return require_uuid(reference["id"], f"{name}.id")


def require_integer(text: str, name: str, *, minimum: int, maximum: int) -> int:
    """Parse a query value that must be an integer.

    Args:
        text: Value received.
        name: Name of the parameter.
        minimum: Least value allowed, not negative.
        maximum: Greatest value allowed.

    Returns:
        The integer.

    Raises:
        ValidationError: The value is not an integer of this range.
    """
    # Ten digits are enough for any maximum here, and int() refuses very long texts.
    number = int(text) if re.fullmatch("[0-9]{1,10}", text) else -1
    if not minimum <= number <= maximum:
        msg = f"{name} must be an integer from {minimum} to {maximum}"
        raise ValidationError(msg)
    return number
