"""What a payment intent refers to, added to a fake over plain HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import attrs
import httpx

from plastiq_async.testing import FakePlastiq
from tests.support.payment_methods import ADDRESS_JSON, CARD_JSON
from tests.support.recipients import RECIPIENT_JSON
from tests.testing.calls import call

TEXAN_CARD = {**CARD_JSON, "billingAddress": {**ADDRESS_JSON, "state": "TX"}}


@attrs.frozen
class Parties:
    """The IDs that a payment intent refers to."""

    payer_id: UUID
    method_id: UUID
    recipient_id: UUID

    def body(self, **changes: object) -> dict[str, object]:
        """Return the body that creates a payment intent over 100 dollars."""
        return {
            "payer": {"id": str(self.payer_id)},
            "paymentMethod": {"id": str(self.method_id)},
            "recipient": {"id": str(self.recipient_id)},
            "targetAmount": {"value": 100, "currency": "USD"},
            **changes,
        }


async def add(fake: FakePlastiq, path: str, body: dict[str, Any]) -> UUID:
    """Create something in the fake, and return its ID."""
    response = await call(fake, "POST", path, json=body)
    assert response.status_code == 200, response.text
    return UUID(response.json()["id"])


async def add_method(
    fake: FakePlastiq, data: dict[str, object] = CARD_JSON, payer_id: UUID | None = None
) -> UUID:
    """Add a card or a bank account to a payer, by default the first one."""
    kind = "CARD" if "cvv" in data else "BANK_ACCOUNT"
    payer = {"id": str(payer_id or fake.payer_id)}
    body = {"type": kind, "data": data, "payer": payer}
    return await add(fake, "/payment-methods", body)


async def add_parties(
    fake: FakePlastiq, data: dict[str, object] = CARD_JSON, **recipient: object
) -> Parties:
    """Add a payment method of the first payer, and a recipient; record no request."""
    parties = Parties(
        fake.payer_id,
        await add_method(fake, data),
        await add(fake, "/recipients", {**RECIPIENT_JSON, **recipient}),
    )
    fake.requests.clear()
    return parties


async def quote(
    fake: FakePlastiq, parties: Parties, **changes: object
) -> httpx.Response:
    """Ask the fake for a payment intent; `changes` replace members of the body."""
    return await call(fake, "POST", "/payment-intents", json=parties.body(**changes))
