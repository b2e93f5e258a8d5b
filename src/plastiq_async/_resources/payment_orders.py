"""Payment orders: the operation that submits one, and what became of it."""

from collections.abc import AsyncIterable
from datetime import timedelta
from uuid import UUID

from plastiq_async._operation import Operation
from plastiq_async._resources.base import reference
from plastiq_async._secrets import encode_body
from plastiq_async.models.payment_intents import PaymentIntent
from plastiq_async.models.payment_orders import (
    Charged,
    NotCharged,
    NotYet,
    PaymentOrder,
    PaymentOutcome,
    Unclear,
)
from plastiq_async.models.payments import Payment

MOST_PAYMENTS = 10_000
"""The number of a payer's payments in which that of an order is looked for."""
# What a payment has from its payment intent.
_TERMS = (
    *("payer_id", "recipient_id", "payment_method_id"),
    *("target_amount", "source_amount"),
)
# The clocks of a server's machines differ, and a payment that was asked for in time may
# be created after the payment intent has expired.
_TOLERANCE = timedelta(minutes=1)


def submission(order: PaymentOrder) -> Operation[Payment]:
    """Return the operation that pays for `order`, the same one for each submission."""
    intent = reference("payment_intent_id", order.payment_intent_id)
    payer = reference("payer_id", order.payer_id)
    return Operation(
        name="payments.create",
        method="POST",
        path="/payments",
        # The contract also accepts a whole payment intent, whose fees nobody saw.
        body=encode_body({"paymentIntent": intent, "payer": payer}),
        idempotency_key=order.idempotency_key,
        harmless=False,
        result=Payment,
        expected={"payer_id": payer["id"], "payment_intent_id": intent["id"]},
    )


async def find_outcome(
    intent: PaymentIntent, payments: AsyncIterable[Payment]
) -> PaymentOutcome:
    """Return what became of an order for `intent`, given its payer's `payments`.

    The states are those of the public API document and of the vendor's guide.
    """
    match intent.status:
        case "CAPTURED":
            return await _find_payment(intent, payments)
        case "CAPTURABLE" | "UNCAPTURABLE" | "NOT_CAPTURABLE":
            return NotYet()
        case "EXPIRED":
            return NotCharged()
        case _:
            return Unclear()


async def _find_payment(
    intent: PaymentIntent, payments: AsyncIterable[Payment]
) -> Charged | Unclear:
    # By ID, because a page may repeat payments of the page before.
    candidates: dict[UUID, Payment] = {}
    seen = 0
    async for payment in payments:
        if payment.payment_intent_id == intent.id:
            return Charged(payment=payment, matched_by="payment_intent_id")
        if _may_be_of(intent, payment):
            candidates[payment.id] = payment
        seen += 1
        if seen == MOST_PAYMENTS:
            break  # there may be other candidates among the rest
    else:
        match tuple(candidates.values()):
            case (payment,) if _has_amount_and_time(intent, payment):
                return Charged(payment=payment, matched_by="amount_and_time")
    return Unclear(candidates=tuple(candidates.values()))


def _may_be_of(intent: PaymentIntent, payment: Payment) -> bool:
    """Tell whether nothing that the server reported speaks against it."""
    if payment.payment_intent_id is not None:
        return False  # it is that of another payment intent
    for name in _TERMS:
        terms = getattr(intent, name), getattr(payment, name)
        if None not in terms and terms[0] != terms[1]:
            return False
    # Differences, because a time near the year 1 cannot be moved.
    paid, begin, end = payment.created_at, intent.created_at, intent.expires_at
    early = paid is not None and begin is not None and begin - paid > _TOLERANCE
    late = paid is not None and end is not None and paid - end > _TOLERANCE
    return not (early or late)


def _has_amount_and_time(intent: PaymentIntent, payment: Payment) -> bool:
    """Tell whether the server reported parties, time and an amount of both."""
    reported = (
        *(intent.payer_id, payment.payer_id),
        *(intent.recipient_id, payment.recipient_id),
        *(intent.created_at, intent.expires_at, payment.created_at),
    )
    amounts = (
        (intent.target_amount, payment.target_amount),
        (intent.source_amount, payment.source_amount),
    )
    return None not in reported and any(None not in pair for pair in amounts)
