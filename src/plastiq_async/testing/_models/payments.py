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

    def to_json(self, *, with_intent: bool) -> dict[str, object]:
        """Return the payment as the API shows it.

        Args:
            with_intent: Whether it names its payment intent.

        Returns:
            The JSON value.
        """
        intent = {"paymentIntent": {"id": str(self.payment_intent_id)}}
        return {
            "id": str(self.id),
            **self.terms,
            **(intent if with_intent else {}),
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
        name_intents: Whether the API shows the payment intents of payments.
        listing_delay: Seconds until a new payment is listed.
    """

    charges: int = 0
    refunds: int = 0
    name_intents: bool = True
    listing_delay: float = 0.0
    # An index, because a long simulation has many payers.
    _by_payer: dict[UUID, dict[UUID, Payment]] = attrs.field(
        factory=dict, init=False, repr=False
    )

    def add(self, record: Payment, *, limit: int) -> Payment:
        """Add a payment, and drop the oldest beyond `limit`.

        Args:
            record: The payment.
            limit: Number of payments to keep.

        Returns:
            The payment.
        """
        oldest = next(iter(self.by_id.values()), record)
        super().add(record, limit=limit)
        self._by_payer.setdefault(record.payer_id, {})[record.id] = record
        if oldest.id not in self.by_id:
            left = self._by_payer[oldest.payer_id]
            del left[oldest.id]
            if not left:
                del self._by_payer[oldest.payer_id]
        return record

    def show(self, payment: Payment) -> dict[str, object]:
        """Return a payment as the API shows it.

        Args:
            payment: The payment.

        Returns:
            The JSON value.
        """
        return payment.to_json(with_intent=self.name_intents)

    def listed(self, payer_id: UUID, now: datetime) -> list[Payment]:
        """Return the payments that the API lists.

        Args:
            payer_id: Payer of the payments.
            now: Time by the fake's clock.

        Returns:
            The payments, oldest first.
        """
        return [
            payment
            for payment in self._by_payer.get(payer_id, {}).values()
            if not self.listing_delay  # also if the clock has gone back
            or (now - payment.created_at).total_seconds() >= self.listing_delay
        ]

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
