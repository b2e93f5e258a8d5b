"""Cards and bank accounts, as arguments and as JSON."""

from __future__ import annotations

from typing import Any

from plastiq_async import Address, BankAccount, Card

CARD_NUMBER = "4242424242424242"
CVV = "737"
ACCOUNT_NUMBER = "000123456789"
ADDRESS_JSON = {
    "line1": "1 Main St",
    "city": "San Francisco",
    "state": "CA",
    "postalCode": "94105",
    "country": "US",
}
CARD_JSON: dict[str, object] = {
    "cardHolderName": "Ada Lovelace",
    "accountNumber": CARD_NUMBER,
    "cvv": CVV,
    "expirationMonth": "04",
    "expirationYear": "2099",
    "billingAddress": ADDRESS_JSON,
}
BANK_ACCOUNT_JSON: dict[str, object] = {
    "accountHolderName": "Ada Lovelace",
    "accountNumber": ACCOUNT_NUMBER,
    "routingNumber": "021000021",
    "accountType": "CHECKING",
    "billingAddress": ADDRESS_JSON,
}


def make_address(**changes: Any) -> Address:
    """Return the address of `ADDRESS_JSON`; `changes` override its parts."""
    parts: dict[str, Any] = {
        "line1": "1 Main St",
        "city": "San Francisco",
        "state": "CA",
        "postal_code": "94105",
        "country": "US",
    }
    return Address(**parts | changes)


def make_card(**changes: Any) -> Card:
    """Return the card of `CARD_JSON`; `changes` override its parts."""
    parts: dict[str, Any] = {
        "card_holder_name": "Ada Lovelace",
        "account_number": CARD_NUMBER,
        "cvv": CVV,
        "expiration_month": "04",
        "expiration_year": "2099",
        "billing_address": make_address(),
    }
    return Card(**parts | changes)


def make_bank_account(**changes: Any) -> BankAccount:
    """Return the bank account of `BANK_ACCOUNT_JSON`; `changes` override its parts."""
    parts: dict[str, Any] = {
        "account_holder_name": "Ada Lovelace",
        "account_number": ACCOUNT_NUMBER,
        "routing_number": "021000021",
        "account_type": "CHECKING",
        "billing_address": make_address(),
    }
    return BankAccount(**parts | changes)
