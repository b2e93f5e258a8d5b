"""`Contact`, the addresses and `PartyStatus`, shared by several resources."""

from typing import Literal, TypeAlias

import attrs

from plastiq_async._secrets import forget_arguments
from plastiq_async._validate import check_country, check_text
from plastiq_async.errors import InvalidArgumentError
from plastiq_async.models.common import check_parts, checked_by, show_presence

__all__ = [
    "Address",
    "AddressDetails",
    "Contact",
    "PartyStatus",
    "RecipientAddress",
    "check_address",
    "check_contact",
]

PartyStatus: TypeAlias = Literal["ACTIVE", "INACTIVE", "UNKNOWN"]
"""The known statuses of a payer or a recipient."""

_check_text = checked_by(check_text)
_check_country = checked_by(check_country)
_check_optional_text = attrs.validators.optional(_check_text)


@attrs.frozen(kw_only=True)
class Contact:
    """A person to reach, such as the payer. The repr shows only which parts are set.

    Requests check that the parts are not blank, and which of them the API requires.

    Attributes:
        first_name: The first name.
        last_name: The last name.
        email: The email address.
        phone: The phone number.
    """

    first_name: str | None = attrs.field(default=None, repr=show_presence)
    last_name: str | None = attrs.field(default=None, repr=show_presence)
    email: str | None = attrs.field(default=None, repr=show_presence)
    phone: str | None = attrs.field(default=None, repr=show_presence)


def check_contact(name: str, value: object) -> Contact:
    """Return `value` if it is a `Contact` whose parts are texts."""
    return check_parts(name, value, Contact)


@forget_arguments
@attrs.frozen(kw_only=True)
class RecipientAddress:
    """The postal address of a recipient, of which the API requires less.

    The repr shows only which parts are set.

    Attributes:
        line1: Street and number.
        line2: The rest of it, such as the floor.
        city: The city.
        state: The state or province.
        postal_code: The postal code.
        country: The country's code of ISO 3166-1 alpha-2, such as ``"US"``.

    Raises:
        InvalidArgumentError: A part is not valid; the message names it.
    """

    line1: str = attrs.field(validator=_check_text, repr=show_presence)
    line2: str | None = attrs.field(
        default=None, validator=_check_optional_text, repr=show_presence
    )
    city: str | None = attrs.field(
        default=None, validator=_check_optional_text, repr=show_presence
    )
    state: str | None = attrs.field(
        default=None, validator=_check_optional_text, repr=show_presence
    )
    postal_code: str | None = attrs.field(
        default=None, validator=_check_optional_text, repr=show_presence
    )
    country: str = attrs.field(validator=_check_country)


@forget_arguments
@attrs.frozen(kw_only=True)
class Address(RecipientAddress):
    """A complete postal address. The repr shows only which parts are set.

    Attributes:
        line1: Street and number.
        line2: The rest of it, such as the floor.
        city: The city.
        state: The state or province.
        postal_code: The postal code.
        country: The country's code of ISO 3166-1 alpha-2, such as ``"US"``.

    Raises:
        InvalidArgumentError: A part is not valid; the message names it.
    """

    city: str = attrs.field(validator=_check_text, repr=show_presence)
    state: str = attrs.field(validator=_check_text, repr=show_presence)
    postal_code: str = attrs.field(validator=_check_text, repr=show_presence)


def check_address(name: str, value: object) -> None:
    """Raise unless `value` is an `Address`."""
    if not isinstance(value, Address):
        raise InvalidArgumentError(f"{name} must be an Address")


@attrs.frozen(kw_only=True)
class AddressDetails:
    """A postal address in a result, of which any part may be missing.

    The repr shows only which parts are set.

    Attributes:
        line1: Street and number.
        line2: The rest of it, such as the floor.
        city: The city.
        state: The state or province.
        postal_code: The postal code.
        country: The country's code of ISO 3166-1 alpha-2, such as ``"US"``.
    """

    line1: str | None = attrs.field(default=None, repr=show_presence)
    line2: str | None = attrs.field(default=None, repr=show_presence)
    city: str | None = attrs.field(default=None, repr=show_presence)
    state: str | None = attrs.field(default=None, repr=show_presence)
    postal_code: str | None = attrs.field(default=None, repr=show_presence)
    country: str | None = None
