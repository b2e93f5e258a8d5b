"""`Payment` and `Payments`, the payments of a fake."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import attrs

from plastiq_async.testing._json import write_time
from plastiq_async.testing._store import Store

__all__ = ["STATUSES", "Payment", "Payments"]

STATUSES = frozenset(
    {
        *("SUBMITTED", "COMMITTED", "DEPOSITED", "CANCELLED"),
        *("CHARGED", "UNDER_REVIEW", "IN_TRANSIT", "REFUNDED", "NOT_CAPTURED"),
    }
)
"""The states of a payment, of the public API document and of the vendor's guide."""

# What a refund makes of each status that allows one, in the same vocabulary.
REFUNDABLE = {
    "SUBMITTED": "CANCELLED",
    "CHARGED": "REFUNDED",
    "UNDER_REVIEW": "REFUNDED",
}


@attrs.define(kw_only=True)
class Payment:
    """A payment.

    Attributes:
        id: ID of the payment.
        payer_id: Payer who was charged.
        payment_intent_id: Payment intent that was paid.
        terms: What the payment has in common with its intent, as the API shows it.
            Not in the repr.
        created_at: Time of creation by the fake's clock, in UTC.
        status: Status, one of `STATUSES`.
    """

    id: UUID
    payer_id: UUID
    payment_intent_id: UUID
    terms: dict[str, object] = attrs.field(repr=False)
    created_at: datetime
    status: str

    def to_json(self) -> dict[str, object]:
        """Return the payment as the API shows it.

        Returns:
            The JSON value.
        """
        return {
            "id": str(self.id),
            **self.terms,
            "paymentIntent": {"id": str(self.payment_intent_id)},
            "createdAt": write_time(self.created_at),
            "status": self.status,
            "sourceDescriptor": "PLASTIQ",
            "targetDescriptor": "PLASTIQ PAYMENT",
        }


@attrs.define
class Payments(Store[Payment]):
    """The payments of one fake.

    Attributes:
        charges: Number of times that a payer was charged.
        refunds: Number of times that a payer got the money back.
    """

    charges: int = 0
    refunds: int = 0

    def refund(self, payment: Payment) -> bool:
        """Give the money of a payment back, unless it is on its way or was given back.

        Args:
            payment: The payment.

        Returns:
            Whether the payer got the money back.
        """
        status = REFUNDABLE.get(payment.status)
        if status is None:
            return False
        payment.status = status
        self.refunds += 1
        return True
