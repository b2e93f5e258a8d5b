"""`Ach`, `Check`, `Eft`, `Wire` and `ReceivingMethod`: how recipients are paid."""

from typing import Literal, TypeAlias

import attrs

from plastiq_async._secrets import (
    SECRET,
    forget_arguments,
    forget_secrets_in_copies,
)
from plastiq_async._validate import (
    check_alphanumeric,
    check_choice,
    check_digits,
    check_text,
)
from plastiq_async.models.common import checked_by, last_four, show_presence
from plastiq_async.models.contacts import Address, AddressDetails, check_address

__all__ = [
    "Ach",
    "Check",
    "Eft",
    "ReceivingMethod",
    "ReceivingMethodType",
    "Wire",
]

ReceivingMethodType: TypeAlias = Literal["ACH", "CHECK", "EFT", "WIRE"]
"""The known ways in which a recipient receives money."""


# Of `beneficiaryName` in all schemas.
_check_beneficiary = checked_by(check_text, longest=35)


@forget_arguments
@attrs.frozen(kw_only=True)
class Ach:
    """A transfer to a bank account in the USA (ACH).

    Attributes:
        account_number: The account number, 6 to 17 digits. Not in the repr.
        routing_number: The bank's routing number, 9 digits.
        beneficiary_name: The account holder's name, at most 35 characters. The repr
            shows only whether it is set.
        type: ``"ACH"``.

    Raises:
        InvalidArgumentError: A value is not valid; the message names it.
    """

    account_number: str = attrs.field(
        validator=checked_by(check_digits, least=6, most=17),
        repr=False,
        metadata=SECRET,
    )
    routing_number: str = attrs.field(
        validator=checked_by(check_digits, least=9, most=9)
    )
    beneficiary_name: str = attrs.field(
        validator=_check_beneficiary, repr=show_presence
    )
    type: Literal["ACH"] = attrs.field(default="ACH", init=False, repr=False)


@forget_arguments
@attrs.frozen(kw_only=True)
class Eft:
    """A transfer to a bank account in Canada (EFT).

    Attributes:
        account_number: The account number, at most 17 digits. Not in the repr.
        routing_number: The bank's routing number: 8 digits by the public API document,
            9 digits (``0IIIBBBBB``) by the vendor's guide. It is sent as given.
        beneficiary_name: The account holder's name, at most 35 characters. The repr
            shows only whether it is set.
        type: ``"EFT"``.

    Raises:
        InvalidArgumentError: A value is not valid; the message names it.
    """

    account_number: str = attrs.field(
        validator=checked_by(check_digits, least=1, most=17),
        repr=False,
        metadata=SECRET,
    )
    routing_number: str = attrs.field(
        validator=checked_by(check_digits, least=8, most=9)
    )
    beneficiary_name: str = attrs.field(
        validator=_check_beneficiary, repr=show_presence
    )
    type: Literal["EFT"] = attrs.field(default="EFT", init=False, repr=False)


@forget_arguments
@attrs.frozen(kw_only=True)
class Wire:
    """A wire transfer to a bank account in the USA.

    Attributes:
        account_number: The account number, 1 to 35 letters and digits. Not in the repr.
        routing_number: The bank's routing number, 8 to 11 letters and digits.
        beneficiary_name: The account holder's name, at most 35 characters. The repr
            shows only whether it is set.
        country: The bank's country; the API knows only ``"US"`` today.
        type: ``"WIRE"``.

    Raises:
        InvalidArgumentError: A value is not valid; the message names it.
    """

    account_number: str = attrs.field(
        validator=checked_by(check_alphanumeric, least=1, most=35),
        repr=False,
        metadata=SECRET,
    )
    routing_number: str = attrs.field(
        validator=checked_by(check_alphanumeric, least=8, most=11)
    )
    beneficiary_name: str = attrs.field(
        validator=_check_beneficiary, repr=show_presence
    )
    country: Literal["US"] = attrs.field(
        default="US", validator=checked_by(check_choice, choices=("US",))
    )
    type: Literal["WIRE"] = attrs.field(default="WIRE", init=False, repr=False)


@forget_arguments
@attrs.frozen(kw_only=True)
class Check:
    """A paper check, sent by mail within the USA or Canada.

    Attributes:
        address: Where the check is mailed to.
        type: ``"CHECK"``.

    Raises:
        InvalidArgumentError: `address` is not an `Address`.
    """

    address: Address = attrs.field(validator=checked_by(check_address))
    type: Literal["CHECK"] = attrs.field(default="CHECK", init=False, repr=False)


@forget_secrets_in_copies
@attrs.frozen(kw_only=True)
class ReceivingMethod(AddressDetails):
    """How a recipient receives money. Which attributes are set depends on `type`.

    Attributes:
        type: The kind of receiving method. New ones may appear at any time.
        account_last_four: The last four digits of the account number.
        account_number: The account number, which servers usually keep to themselves.
            Neither in the repr, nor in copies and pickles.
        routing_number: The bank's routing number.
        beneficiary_name: The account holder's name. The repr shows only whether it is
            set.
        line1: Street and number of the address to which a check is mailed.
        line2: The rest of it, such as the floor.
        city: The city.
        state: The state or province.
        postal_code: The postal code.
        country: The country of the address or bank, a code of ISO 3166-1 alpha-2.
    """

    type: ReceivingMethodType | str | None = None
    account_last_four: str | None = attrs.field(default=None, converter=last_four)
    account_number: str | None = attrs.field(default=None, repr=False, metadata=SECRET)
    routing_number: str | None = None
    beneficiary_name: str | None = attrs.field(default=None, repr=show_presence)
