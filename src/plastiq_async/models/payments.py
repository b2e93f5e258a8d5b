"""The models of ``/payments``."""

from datetime import date, datetime
from typing import Literal, TypeAlias
from uuid import UUID

import attrs

from plastiq_async._codec import wire
from plastiq_async._secrets import forget_secrets_in_copies
from plastiq_async.models.common import ResponseInfo
from plastiq_async.models.money import Fee, Money
from plastiq_async.models.payment_intents import PaymentDetails

__all__ = ["Payment", "PaymentRefund", "PaymentRefundStatus", "PaymentStatus"]

PaymentStatus: TypeAlias = Literal[
    "SUBMITTED",
    "COMMITTED",
    "DEPOSITED",
    "CANCELLED",
    "CHARGED",
    "UNDER_REVIEW",
    "IN_TRANSIT",
    "REFUNDED",
    "NOT_CAPTURED",
]
"""The known states of a payment.

The first four are those of the public API document, the others those of the vendor's
guide, which shares only ``"DEPOSITED"`` with it.
"""

PaymentRefundStatus: TypeAlias = Literal["REFUNDED", "REFUND_FAILED"]
"""The known results of a refund."""

_RETURNED = frozenset({"CANCELLED", "REFUNDED"})
_FINAL = frozenset({"DEPOSITED", "NOT_CAPTURED", *_RETURNED})


@forget_secrets_in_copies
@attrs.frozen(kw_only=True)
class Payment:
    """A payment, for which the payer was or will be charged.

    A payment that was created is not paid yet: watch its status. A bank account may
    refuse the charge days later, and the vendor may hold a payment for review.

    Attributes:
        id: The payment's ID.
        status: The status. New ones may appear at any time.
        payer_id: The payer.
        recipient_id: The recipient.
        payment_method_id: The payment method that is charged.
        payment_intent_id: The payment intent that was paid. None if the server does not
            report it.
        target_amount: What the recipient gets.
        fees: The fees.
        source_amount: What the payer is charged: `target_amount` and `fees`.
        details: What the recipient needs to credit the payment. Copies and pickles have
            its memo alone.
        delivery_date: When the recipient should have the money.
        created_at: When the payment was created, in UTC.
        source_descriptor: The text on the payer's statement.
        target_descriptor: The text on the recipient's statement.
        response: The HTTP response behind it; in neither repr nor equality.
    """

    id: UUID
    status: PaymentStatus | str | None = None
    payer_id: UUID | None = attrs.field(default=None, metadata=wire("payer.id"))
    recipient_id: UUID | None = attrs.field(default=None, metadata=wire("recipient.id"))
    payment_method_id: UUID | None = attrs.field(
        default=None, metadata=wire("paymentMethod.id")
    )
    payment_intent_id: UUID | None = attrs.field(
        default=None, metadata=wire("paymentIntent.id")
    )
    target_amount: Money | None = None
    fees: tuple[Fee, ...] = ()
    source_amount: Money | None = None
    details: PaymentDetails | None = None
    delivery_date: date | None = None
    created_at: datetime | None = None
    source_descriptor: str | None = None
    target_descriptor: str | None = None
    response: ResponseInfo = attrs.field(repr=False, eq=False)

    @property
    def idempotency_key(self) -> UUID | None:
        """The key of the call that created it. None if another call returned it."""
        return self.response.idempotency_key

    @property
    def replayed(self) -> bool:
        """Whether an earlier request with the same key had created it before."""
        return self.response.replayed

    @property
    def is_final(self) -> bool:
        """Whether the status is one of the known ones that do not change any more."""
        return self.status in _FINAL

    @property
    def is_deposited(self) -> bool:
        """Whether the money has arrived at the recipient."""
        return self.status == "DEPOSITED"

    @property
    def is_returned(self) -> bool:
        """Whether the payment was cancelled or refunded: the payer has the money."""
        return self.status in _RETURNED

    @property
    def is_failed(self) -> bool:
        """Whether the charge failed. That of a bank account can fail days later."""
        return self.status == "NOT_CAPTURED"


@attrs.frozen(kw_only=True)
class PaymentRefund:
    """The result of a refund. It has no ID, and cannot be read again.

    Attributes:
        status: What became of it. New values may appear at any time.
        response: The HTTP response behind it; in neither repr nor equality.
    """

    status: PaymentRefundStatus | str
    response: ResponseInfo = attrs.field(repr=False, eq=False)

    @property
    def succeeded(self) -> bool:
        """Whether the payment is refunded. A response with status 200 may say no."""
        return self.status == "REFUNDED"
