"""Recipients and their receiving methods, as arguments and as JSON."""

from __future__ import annotations

from typing import Any

from plastiq_async import (
    Ach,
    Address,
    Check,
    Contact,
    CreateRecipient,
    Eft,
    RecipientAddress,
    Wire,
)

ACCOUNT_NUMBER = "3829473294723"
CATEGORY = "c4b52ef2-6c04-4c30-9d9e-21f2b0d7a301"
"""The ID of a category that every fake has."""

_BANK: dict[str, Any] = {
    "routing_number": "021000021",
    "beneficiary_name": "Beans Inc.",
}
_BANK_JSON = {"routingNumber": "021000021", "beneficiaryName": "Beans Inc."}
_ADDRESS_JSON = {
    "line1": "1 Main St",
    "city": "Austin",
    "state": "TX",
    "postalCode": "78701",
    "country": "US",
}

RECEIVING_METHODS: dict[str, Ach | Check | Eft | Wire] = {
    "ACH": Ach(account_number=ACCOUNT_NUMBER, **_BANK),
    "CHECK": Check(
        address=Address(
            line1="1 Main St",
            city="Austin",
            state="TX",
            postal_code="78701",
            country="US",
        )
    ),
    "EFT": Eft(account_number=ACCOUNT_NUMBER, **_BANK),
    "WIRE": Wire(account_number=ACCOUNT_NUMBER, **_BANK),
}
RECEIVING_METHODS_JSON: dict[str, dict[str, object]] = {
    "ACH": {"type": "ACH", "accountNumber": ACCOUNT_NUMBER, **_BANK_JSON},
    "CHECK": {"type": "CHECK", **_ADDRESS_JSON},
    "EFT": {"type": "EFT", "accountNumber": ACCOUNT_NUMBER, **_BANK_JSON},
    "WIRE": {
        "type": "WIRE",
        "accountNumber": ACCOUNT_NUMBER,
        "country": "US",
        **_BANK_JSON,
    },
}
RECIPIENT_JSON: dict[str, object] = {
    "businessName": "Beans Inc.",
    "categoryId": CATEGORY,
    "businessAddress": {"line1": "1 Main St", "country": "US"},
    "contact": {"firstName": "Bob", "email": "bob@example.com"},
    "receivingMethod": RECEIVING_METHODS_JSON["ACH"],
}
RECIPIENT: dict[str, Any] = {
    "business_name": "Beans Inc.",
    "category_id": CATEGORY,
    "business_address": RecipientAddress(line1="1 Main St", country="US"),
    "contact": Contact(first_name="Bob", email="bob@example.com"),
    "receiving_method": RECEIVING_METHODS["ACH"],
}
"""The arguments that create the recipient of `RECIPIENT_JSON`."""


def make_create_recipient(**changes: Any) -> CreateRecipient:
    """Return the request for the recipient of `RECIPIENT_JSON`, with some changes."""
    return CreateRecipient(**RECIPIENT | changes)
