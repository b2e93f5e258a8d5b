"""`PaymentIntent` and `PaymentIntents`, the payment intents of a fake."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from uuid import UUID

import attrs

from plastiq_async.testing._json import write_time
from plastiq_async.testing._models.payment_methods import PaymentMethods
from plastiq_async.testing._models.recipients import Recipients
from plastiq_async.testing._state import FakeState
from plastiq_async.testing._store import Store

__all__ = ["CENT", "PaymentIntent", "PaymentIntents", "money"]

CENT = Decimal("0.01")
CARD_RATE = Decimal("0.0285")
LIFETIME = timedelta(minutes=5)
DELIVERY = timedelta(days=3)

# The guide names `DELIVERY_EXPIRATION_BLOCK` and a code that begins with
# `TEXAS_COMPLIANC`; the rest is made up.
EXPIRED = {
    "code": "DELIVERY_EXPIRATION_BLOCK",
    "message": "The payment intent has expired",
}
REQUIRES_TIN = {
    "code": "TEXAS_COMPLIANCE_BLOCK",
    "message": "The payer needs an identity document",
}
DELETED = {
    "code": "REFERENCE_DELETED",
    "message": "The payer, the recipient or the payment method was deleted",
}


def money(value: Decimal) -> dict[str, object]:
    """Return an amount as the API shows it.

    Args:
        value: The amount, in US dollars.

    Returns:
        The amount with its currency.
    """
    return {"value": value, "currency": "USD"}


@attrs.define(kw_only=True)
class PaymentIntent:
    """A payment intent.

    Attributes:
        id: ID of the payment intent.
        payer_id: Payer who is to pay.
        recipient_id: Recipient who is to be paid.
        payment_method_id: Payment method that is to be charged.
        by_card: Whether the payment method is a card.
        target_amount: What the recipient gets, in US dollars.
        details: What the recipient needs to credit the payment. Not in the repr.
        created_at: Time of creation by the fake's clock, in UTC.
        captured: Whether it has been paid.
    """

    id: UUID
    payer_id: UUID
    recipient_id: UUID
    payment_method_id: UUID
    by_card: bool
    target_amount: Decimal
    details: dict[str, object] = attrs.field(factory=dict, repr=False)
    created_at: datetime
    captured: bool = False

    @property
    def service_fee(self) -> Decimal:
        """What a payment by card costs, rounded half up to cents; 0 without a card."""
        fee = self.target_amount * CARD_RATE if self.by_card else Decimal(0)
        return fee.quantize(CENT, ROUND_HALF_UP)

    @property
    def source_amount(self) -> Decimal:
        """What the payer is to be charged: the target amount and the fees."""
        return self.target_amount + self.service_fee

    @property
    def expires_at(self) -> datetime:
        """The time from which it can no longer be paid, by the fake's clock."""
        return self.created_at + LIFETIME

    def fees(self) -> list[dict[str, object]]:
        """Return the fees as the API shows them.

        Returns:
            The service fee of a card, or nothing.
        """
        if not self.by_card:
            return []
        return [
            {
                "amount": money(self.service_fee),
                "type": "PLASTIQ_SERVICE_FEE",
                "rate": f"{CARD_RATE:.2%}",
            }
        ]

    def status(self, state: FakeState) -> str:
        """Return the status at this moment.

        Args:
            state: State of the fake.

        Returns:
            The status, in the vocabulary that the fake was created with.
        """
        if self.captured:
            return "CAPTURED"
        if state.now >= self.expires_at:
            return "EXPIRED"
        if self._obstacle(state) is None:
            return "CAPTURABLE"
        return "NOT_CAPTURABLE" if state.guide_vocabulary else "UNCAPTURABLE"

    def to_json(self, state: FakeState) -> dict[str, object]:
        """Return the payment intent as the API shows it.

        Args:
            state: State of the fake.

        Returns:
            The JSON value.
        """
        status = self.status(state)
        reasons = {"CAPTURED": None, "EXPIRED": EXPIRED}
        reason = reasons.get(status, self._obstacle(state))
        return {
            "id": str(self.id),
            "fees": self.fees(),
            "sourceAmount": money(self.source_amount),
            "targetAmount": money(self.target_amount),
            "paymentMethod": {"id": str(self.payment_method_id)},
            "recipient": {"id": str(self.recipient_id)},
            "payer": {"id": str(self.payer_id)},
            "details": self.details,
            "status": status,
            "statusReasons": [] if reason is None else [dict(reason)],
            "deliveryDate": (self.created_at + DELIVERY).date().isoformat(),
            "createdAt": write_time(self.created_at),
            "expiresAt": write_time(self.expires_at),
        }

    def _obstacle(self, state: FakeState) -> Mapping[str, str] | None:
        """Return the reason why it cannot be paid, other than its age."""
        method = state.of(PaymentMethods).by_id.get(self.payment_method_id)
        recipient = state.of(Recipients).by_id.get(self.recipient_id)
        if method is None or recipient is None or self.payer_id not in state.payer_ids:
            return DELETED
        return REQUIRES_TIN if method.requires_tin(state) else None


class PaymentIntents(Store[PaymentIntent]):
    """The payment intents of one fake."""
