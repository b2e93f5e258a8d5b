"""Checks of texts, contacts, addresses and tables of fields, for several resources."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import TypeAlias

from plastiq_async.testing._checks import check_fields, require_object
from plastiq_async.testing._errors import ValidationError

__all__ = [
    "ADDRESS",
    "RECIPIENT_ADDRESS",
    "Check",
    "check_address",
    "check_contact",
    "check_country",
    "check_given",
    "check_text",
    "check_texts",
    "matches",
]

Check: TypeAlias = Callable[[object, str], object]
"""A check of a value. It gets the dotted name of the field, and returns the value."""

ADDRESS = ("line1", "city", "state", "postalCode", "country")
"""The required fields of an address."""
RECIPIENT_ADDRESS = ("line1", "country")
"""The required fields of the address of a recipient."""

ADDRESS_FIELDS = (*ADDRESS, "line2")
CONTACT_FIELDS = ("firstName", "lastName", "email", "phone")


def check_text(value: object, name: str, *, longest: int | None = None) -> str:
    """Return a value that must be a string and not blank.

    Args:
        value: Value received.
        name: Dotted name of the field.
        longest: Greatest number of characters, None for no limit.

    Returns:
        The string.

    Raises:
        ValidationError: The value is not such a string.
    """
    if not isinstance(value, str) or not value.strip():
        msg = f"{name} must be a string that is not blank"
        raise ValidationError(msg)
    if longest is not None and len(value) > longest:
        msg = f"{name} must have at most {longest} characters"
        raise ValidationError(msg)
    return value


def matches(pattern: str, description: str) -> Check:
    """Return a check of a string that must match a pattern.

    Args:
        pattern: Regular expression of the whole string.
        description: What the error says the value must be.

    Returns:
        The check.
    """

    def check(value: object, name: str) -> object:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            msg = f"{name} must be {description}"
            raise ValidationError(msg)
        return value

    return check


check_country = matches("[A-Z]{2}", "two capital letters")
"""Check a value that must have the form of ISO 3166-1 alpha-2."""


def check_given(
    body: Mapping[str, object], checks: Mapping[str, Check], prefix: str = ""
) -> dict[str, object]:
    """Check those fields of an object that it has and a table names.

    Args:
        body: Object received.
        checks: Check of each field.
        prefix: What precedes the name of the field in an error.

    Returns:
        What the checks returned, by the name of the field.

    Raises:
        ValidationError: A check failed.
    """
    return {
        field: check(body[field], f"{prefix}{field}")
        for field, check in checks.items()
        if field in body
    }


def check_texts(
    data: Mapping[str, object],
    fields: Collection[str],
    *,
    parent: str,
    required: Collection[str] = (),
) -> None:
    """Check an object whose fields are all texts.

    Args:
        data: Object received.
        fields: Names of the fields that it may have.
        parent: Dotted name of the object.
        required: Names of the fields that it must have.

    Raises:
        ValidationError: A field is unknown, missing or not a text.
    """
    check_fields(data, fields, parent=parent, required=required)
    for field, value in data.items():
        check_text(value, f"{parent}.{field}")


def check_address(
    value: object, name: str, *, required: Collection[str] = ADDRESS
) -> dict[str, object]:
    """Return a value that must be an address.

    Args:
        value: Value received.
        name: Dotted name of the field.
        required: Names of the fields that it must have, `country` among them.

    Returns:
        The address.

    Raises:
        ValidationError: The value is not an address.
    """
    address = require_object(value, name)
    check_texts(address, ADDRESS_FIELDS, parent=name, required=required)
    check_country(address["country"], f"{name}.country")
    return address


def check_contact(
    value: object, name: str, *, required: Collection[str] = ()
) -> dict[str, object]:
    """Return a value that must be a contact.

    Args:
        value: Value received.
        name: Dotted name of the field.
        required: Names of the fields that it must have.

    Returns:
        The contact.

    Raises:
        ValidationError: The value is not a contact.
    """
    contact = require_object(value, name)
    check_texts(contact, CONTACT_FIELDS, parent=name, required=required)
    return contact
