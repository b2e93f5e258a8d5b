"""The models of ``/payment-methods``."""

import re
from datetime import datetime
from typing import Literal, TypeAlias, get_args
from uuid import UUID

import attrs
from attrs.validators import optional

from plastiq_async._codec import TYPE_IN_PARENT
from plastiq_async._secrets import SECRET, forget_arguments
from plastiq_async._validate import check_choice, check_digits, check_text
from plastiq_async.errors import InvalidArgumentError
from plastiq_async.models.common import (
    ResponseInfo,
    StatusReason,
    checked_by,
    last_four,
    show_presence,
)
from plastiq_async.models.contacts import Address, AddressDetails, check_address

__all__ = [
    "BankAccount",
    "BankAccountDetails",
    "BankAccountType",
    "BankAccountUpdate",
    "Card",
    "CardDetails",
    "CardSubType",
    "CardUpdate",
    "PaymentMethod",
    "PaymentMethodStatus",
    "PaymentMethodType",
]

PaymentMethodType: TypeAlias = Literal["CARD", "BANK_ACCOUNT", "BANKACCOUNT"]
"""The known types. The last is the vendor's guide's spelling of the second."""

PaymentMethodStatus: TypeAlias = Literal["ACTIVE", "INACTIVE"]
"""The known statuses."""

BankAccountType: TypeAlias = Literal["CHECKING", "SAVINGS"]
"""The known kinds of bank accounts."""

CardSubType: TypeAlias = Literal["CREDIT", "DEBIT"]
"""The known kinds of cards."""


def _check_month(name: str, value: object) -> None:
    if not isinstance(value, str) or not re.fullmatch("0[1-9]|1[0-2]", value):
        raise InvalidArgumentError(f'{name} must be two digits, "01" to "12"')


_cvv = checked_by(check_digits, least=3, most=4)
_month = checked_by(_check_month)
_year = checked_by(check_digits, least=4, most=4)
_address = checked_by(check_address)
_text = checked_by(check_text)
# The contract has no limits for bank accounts. A routing number has nine digits, and
# eight where the guide leaves out the zero that Canadian ones begin with.
_routing_number = checked_by(check_digits, least=8, most=9)
_bank_account_number = checked_by(check_digits, least=4, most=17)


@forget_arguments
@attrs.frozen(kw_only=True)
class Card:
    """A credit or debit card to add to a payer.

    Its number passes through your servers, which brings them into the scope of PCI DSS.
    With a client secret, the payer's browser sends it to the API itself.

    The repr shows neither `account_number` nor `cvv`, and of personal data only which
    parts are set. The session sends the card and keeps nothing of it.

    Whether the card has expired is not checked, because the clock of this machine may
    be wrong; the API refuses such a card.

    Attributes:
        card_holder_name: The name on the card.
        account_number: The number on the card, 12 to 19 digits without blanks or
            hyphens.
        cvv: The card verification value, 3 or 4 digits.
        expiration_month: The month in which it expires, two digits, such as ``"01"``.
        expiration_year: The year in which it expires, four digits, such as ``"2031"``.
        billing_address: The billing address.

    Raises:
        InvalidArgumentError: A part is not valid; the message names it.
    """

    card_holder_name: str = attrs.field(validator=_text, repr=show_presence)
    account_number: str = attrs.field(
        validator=checked_by(check_digits, least=12, most=19),
        repr=False,
        metadata=SECRET,
    )
    cvv: str = attrs.field(validator=_cvv, repr=False, metadata=SECRET)
    expiration_month: str = attrs.field(validator=_month)
    expiration_year: str = attrs.field(validator=_year)
    billing_address: Address = attrs.field(validator=_address)


@forget_arguments
@attrs.frozen(kw_only=True)
class BankAccount:
    """A bank account to add to a payer.

    The repr does not show `account_number`, and of personal data only which parts are
    set. The session sends the account and keeps nothing of it.

    Attributes:
        account_holder_name: The legal name of the holder.
        account_number: The number of the account, 4 to 17 digits without blanks or
            hyphens.
        routing_number: The routing number of the bank, 8 or 9 digits.
        account_type: ``"CHECKING"`` or ``"SAVINGS"``, if known.
        billing_address: The billing address.

    Raises:
        InvalidArgumentError: A part is not valid; the message names it.
    """

    account_holder_name: str = attrs.field(validator=_text, repr=show_presence)
    account_number: str = attrs.field(
        validator=_bank_account_number, repr=False, metadata=SECRET
    )
    routing_number: str = attrs.field(validator=_routing_number)
    account_type: BankAccountType | None = attrs.field(
        default=None,
        validator=optional(checked_by(check_choice, choices=get_args(BankAccountType))),
    )
    billing_address: Address = attrs.field(validator=_address)


@forget_arguments
@attrs.frozen(kw_only=True)
class CardUpdate:
    """Changes of a card. What is None stays as it is.

    The API requires the `cvv` for any change, and the `cvv` alone is no change. The
    number cannot be changed: add another card instead. The repr does not show `cvv`.

    Attributes:
        cvv: The card verification value, 3 or 4 digits.
        card_holder_name: The name on the card.
        expiration_month: The month in which it expires, two digits, such as ``"01"``.
        expiration_year: The year in which it expires, four digits, such as ``"2031"``.
        billing_address: The billing address, which replaces the whole old one.

    Raises:
        InvalidArgumentError: A part is not valid; the message names it.
    """

    cvv: str = attrs.field(validator=_cvv, repr=False, metadata=SECRET)
    card_holder_name: str | None = attrs.field(
        default=None, validator=optional(_text), repr=show_presence
    )
    expiration_month: str | None = attrs.field(default=None, validator=optional(_month))
    expiration_year: str | None = attrs.field(default=None, validator=optional(_year))
    billing_address: Address | None = attrs.field(
        default=None, validator=optional(_address)
    )


@forget_arguments
@attrs.frozen(kw_only=True)
class BankAccountUpdate:
    """Changes of a bank account. What is None stays as it is.

    The number of the account cannot be changed: add another bank account instead.

    Attributes:
        account_holder_name: The legal name of the holder.
        routing_number: The routing number of the bank, 8 or 9 digits.

    Raises:
        InvalidArgumentError: A part is not valid; the message names it.
    """

    account_holder_name: str | None = attrs.field(
        default=None, validator=optional(_text), repr=show_presence
    )
    routing_number: str | None = attrs.field(
        default=None, validator=optional(_routing_number)
    )


@attrs.frozen(kw_only=True)
class CardDetails:
    """What the API shows of a card: neither its number nor its holder.

    Attributes:
        type: ``"CARD"``, which tells it from `BankAccountDetails`.
        last4: The last four digits of the number.
        brand: The brand, such as ``"Visa"``.
        sub_type: Whether it is a credit or a debit card. New kinds may appear at any
            time.
        expiration_month: The month in which it expires, two digits.
        expiration_year: The year in which it expires, four digits.
        billing_address: The billing address.
        created_at: When it was created, in UTC.
    """

    type: Literal["CARD"] = "CARD"
    last4: str | None = attrs.field(default=None, converter=last_four)
    brand: str | None = None
    sub_type: CardSubType | str | None = None
    expiration_month: str | None = None
    expiration_year: str | None = None
    billing_address: AddressDetails | None = None
    created_at: datetime | None = None


@attrs.frozen(kw_only=True)
class BankAccountDetails:
    """What the API shows of a bank account: not its number.

    Attributes:
        type: ``"BANK_ACCOUNT"``, which tells it from `CardDetails`, in either spelling.
        account_holder_name: The legal name of the holder. The repr shows only whether
            there is one.
        account_last_four: The last four digits of the number.
        routing_number: The routing number of the bank.
        account_type: Whether it is a checking or a savings account. New kinds may
            appear at any time.
        billing_address: The billing address.
        created_at: When it was created, in UTC.
    """

    type: Literal["BANK_ACCOUNT", "BANKACCOUNT"] = "BANK_ACCOUNT"
    account_holder_name: str | None = attrs.field(default=None, repr=show_presence)
    account_last_four: str | None = attrs.field(default=None, converter=last_four)
    routing_number: str | None = None
    account_type: BankAccountType | str | None = None
    billing_address: AddressDetails | None = None
    created_at: datetime | None = None


@attrs.frozen(kw_only=True)
class PaymentMethod:
    """A card or a bank account with which a payer pays.

    A result does not mean that the payer can pay with it: see `is_active`.

    Attributes:
        id: The payment method's ID.
        type: What it is. New types may appear at any time.
        data: The card or the bank account, or None if `type` is not known.
        status: Whether it can be used. New statuses may appear at any time.
        status_reasons: Why it is not active, such as the code
            ``"PAYMENT_METHOD_REQUIRES_TIN"`` of a card in Texas, whose payer first has
            to add an identity document.
        response: The HTTP response behind it; in neither repr nor equality.
    """

    id: UUID
    type: PaymentMethodType | str | None = None
    data: CardDetails | BankAccountDetails | None = attrs.field(
        default=None, metadata=TYPE_IN_PARENT
    )
    status: PaymentMethodStatus | str | None = None
    status_reasons: tuple[StatusReason, ...] = ()
    response: ResponseInfo = attrs.field(repr=False, eq=False)

    @property
    def is_active(self) -> bool:
        """Whether the payer can pay with it."""
        return self.status == "ACTIVE"
