"""A payer, as arguments and as JSON."""

from __future__ import annotations

from typing import Any

from plastiq_async import Address, Contact, NewIdentityDocument

NUMBER = "987-65-4321"
PASSPORT = "C01X00T47"
ARGUMENTS: dict[str, Any] = {
    "contact": Contact(
        first_name="Ada",
        last_name="Lovelace",
        email="ada@example.com",
        phone="+1 202 555 0100",
    ),
    "business_name": "Café Ada",
    "business_address": Address(
        line1="1 Main Street",
        line2="Floor 2",
        city="Springfield",
        state="IL",
        postal_code="62701",
        country="US",
    ),
    "identity_documents": [
        NewIdentityDocument(type="US_SSN", value=NUMBER),
        NewIdentityDocument(
            type="PASSPORT_NUMBER", value=PASSPORT, country_of_issuance="DE"
        ),
    ],
}
FIELDS = {
    "contact": "contact",
    "business_name": "businessName",
    "business_address": "businessAddress",
    "identity_documents": "identityDocuments",
}
"""The name in JSON of each argument."""
BODY: dict[str, Any] = {
    "contact": {
        "firstName": "Ada",
        "lastName": "Lovelace",
        "email": "ada@example.com",
        "phone": "+1 202 555 0100",
    },
    "businessName": "Café Ada",
    "businessAddress": {
        "line1": "1 Main Street",
        "line2": "Floor 2",
        "city": "Springfield",
        "state": "IL",
        "postalCode": "62701",
        "country": "US",
    },
    "identityDocuments": [
        {"type": "US_SSN", "value": NUMBER},
        {"type": "PASSPORT_NUMBER", "value": PASSPORT, "countryOfIssuance": "DE"},
    ],
}
"""The request body of `ARGUMENTS`."""
