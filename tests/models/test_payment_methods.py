"""The models of payment methods: validation and hidden values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import attrs
import pytest

from plastiq_async import (
    BankAccountDetails,
    BankAccountUpdate,
    CardDetails,
    CardUpdate,
    InvalidArgumentError,
    PaymentMethod,
)
from plastiq_async._codec import structure
from tests.support.models import make_info
from tests.support.payment_methods import (
    CARD_NUMBER,
    CVV,
    make_address,
    make_bank_account,
    make_card,
)

NOT_TEXT = ["", " ", "s3cr3t\n", 5, b"a"]
NOT_CVV = ["", "12", "12345", "12a", " 123", "1-3", 123, "\u0661\u0662\u0663"]
NOT_MONTH = ["", "0", "4", "00", "13", "1a", " 1", 12, "012", "s3cr3t"]
NOT_YEAR = ["", "99", "20999", "20a9", 2099, "s3cr3t"]
NOT_ADDRESS = ["1 Main St", {"line1": "s3cr3t"}, make_card()]
NOT_ROUTING = ["", "1234567", "1234567890", "0210-0002", "s3cr3ts3", 21000021]
CARD: dict[str, list[Any]] = {
    "card_holder_name": [None, *NOT_TEXT],
    "account_number": [
        None,
        "4" * 11,
        "4" * 20,
        "4242 4242 4242 4242",
        "4242-4242-4242-4242",
        f"{CARD_NUMBER}\n",
        int(CARD_NUMBER),
    ],
    "cvv": [None, *NOT_CVV],
    "expiration_month": [None, *NOT_MONTH],
    "expiration_year": [None, *NOT_YEAR],
    "billing_address": [None, *NOT_ADDRESS],
}
BANK_ACCOUNT: dict[str, list[Any]] = {
    "account_holder_name": [None, *NOT_TEXT],
    "account_number": [None, "123", "1" * 18, "1234 5678", "s3cr3ts", 12345678],
    "routing_number": [None, *NOT_ROUTING],
    "account_type": ["", "checking", "s3cr3t", ["CHECKING"], 1],
    "billing_address": [None, *NOT_ADDRESS],
}
CARD_UPDATE = {
    "cvv": [None, *NOT_CVV],
    "card_holder_name": NOT_TEXT,
    "expiration_month": NOT_MONTH,
    "expiration_year": NOT_YEAR,
    "billing_address": NOT_ADDRESS,
}
BANK_ACCOUNT_UPDATE = {
    "account_holder_name": NOT_TEXT,
    "routing_number": NOT_ROUTING,
}


def make_card_update(**changes: Any) -> CardUpdate:
    """Return a change of a card."""
    return CardUpdate(**{"cvv": CVV} | changes)


TABLES: list[tuple[Callable[..., Any], dict[str, list[Any]]]] = [
    (make_card, CARD),
    (make_bank_account, BANK_ACCOUNT),
    (make_card_update, CARD_UPDATE),
    (BankAccountUpdate, BANK_ACCOUNT_UPDATE),
]


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (make, name, value)
        for make, table in TABLES
        for name, values in table.items()
        for value in values
    ],
)
def test_refused(make: Callable[..., Any], name: str, value: Any) -> None:
    """An invalid part is rejected by name, and the error does not repeat it."""
    with pytest.raises(InvalidArgumentError, match=rf"^{name} must be") as info:
        make(**{name: value})
    for private in ("s3cr3t", CARD_NUMBER, "4" * 11):
        assert private not in str(info.value)


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (make_card, {"account_number": "5" * 12, "cvv": "0001"}),
        (make_card, {"account_number": "5" * 19, "expiration_month": "01"}),
        (make_card, {"expiration_month": "12", "expiration_year": "2001"}),
        (make_bank_account, {"account_number": "0123", "routing_number": "00301094"}),
        (make_bank_account, {"account_number": "1" * 17, "account_type": None}),
        (make_bank_account, {"account_type": "SAVINGS"}),
        (make_card_update, {"expiration_year": "2031"}),
        (make_card_update, {"billing_address": make_address(line2="Floor 3")}),
        (BankAccountUpdate, {"routing_number": "021000089"}),
        (BankAccountUpdate, {"account_holder_name": "Ada"}),
    ],
)
def test_accepted(make: Callable[..., Any], parts: dict[str, Any]) -> None:
    """Values at the limits of the contract are kept as given, past years included."""
    made = make(**parts)
    assert {name: getattr(made, name) for name in parts} == parts


def test_updates_are_empty_by_default() -> None:
    """A change leaves out what is not given."""
    assert set(attrs.asdict(BankAccountUpdate()).values()) == {None}
    assert set(attrs.asdict(make_card_update()).values()) == {CVV, None}


SHOWN_ADDRESS = (
    "Address(line1=..., line2=None, country='US', city=..., state=..., postal_code=...)"
)
SHOWN_CARD = (
    "Card(card_holder_name=..., expiration_month='04', expiration_year='2099', "
    f"billing_address={SHOWN_ADDRESS})"
)
SHOWN_ACCOUNT = (
    "BankAccount(account_holder_name=..., routing_number='021000021', "
    f"account_type='CHECKING', billing_address={SHOWN_ADDRESS})"
)
SHOWN_CHANGE = (
    "CardUpdate(card_holder_name=..., expiration_month=None, expiration_year=None, "
    "billing_address=None)"
)


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        (make_card(), SHOWN_CARD),
        (make_bank_account(), SHOWN_ACCOUNT),
        (make_card_update(card_holder_name="Ada"), SHOWN_CHANGE),
        (
            BankAccountUpdate(account_holder_name="Ada"),
            "BankAccountUpdate(account_holder_name=..., routing_number=None)",
        ),
    ],
    ids=["Card", "BankAccount", "CardUpdate", "BankAccountUpdate"],
)
def test_hidden(made: object, shown: str) -> None:
    """No text form of a request shows a number, a cvv, a name or an address."""
    assert repr(made) == str(made) == f"{made}" == shown


def test_results_made_by_hand() -> None:
    """Results can be made by hand, and details have the type of their class."""
    method = PaymentMethod(id=UUID(int=1), response=make_info())
    assert (method.type, method.data, method.status_reasons) == (None, None, ())
    assert CardDetails().type == "CARD"
    assert BankAccountDetails().type == "BANK_ACCOUNT"
    assert "Ada" not in repr(BankAccountDetails(account_holder_name="Ada"))


@pytest.mark.parametrize(
    ("status", "active"),
    [("ACTIVE", True), ("INACTIVE", False), ("PENDING", False), (None, False)],
)
def test_is_active(status: str | None, active: bool) -> None:
    """Only the status `ACTIVE` is active."""
    method = PaymentMethod(id=UUID(int=1), status=status, response=make_info())
    assert method.is_active is active


def test_last_four() -> None:
    """Of a number that the server sends whole, the last four digits are kept."""
    card = structure({"last4": CARD_NUMBER}, CardDetails)
    account = structure({"accountLastFour": "123456789"}, BankAccountDetails)
    assert card.last4 == CARD_NUMBER[-4:]
    assert account.account_last_four == "6789"
