"""Quote an order, and pay it once."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from orders import Fee, Order, Orders, PaymentTakenError, Receipt, SavedQuote

from plastiq_async import (
    CardDetails,
    Charged,
    Money,
    NotCharged,
    Payment,
    PaymentIntent,
    PaymentMethod,
    PaymentOrder,
    PlastiqError,
    PlastiqSession,
)

__all__ = ["make_quote", "pay"]


async def make_quote(
    plastiq: PlastiqSession, orders: Orders, order: Order, method_id: UUID
) -> Order:
    """Ask what the order costs with a payment method of its payer.

    Returns:
        The order: to be paid, or still without a card if this one cannot pay it.
    """
    method = await plastiq.payment_methods.retrieve(method_id, order.payer_id)
    intent = await plastiq.payment_intents.create(
        payer_id=order.payer_id,
        recipient=order.recipient_id,
        payment_method_id=method.id,
        target_amount=Money(order.amount),
    )
    # A success can be a refusal.
    if not intent.is_capturable or intent.source_amount is None:
        return orders.change(order, step="card", notice="refused", quote=None)
    # A new one, because paying this quote will be a decision of its own.
    payment_order = plastiq.payments.prepare(intent.id, order.payer_id)
    quote = SavedQuote(
        intent_id=intent.id,
        method_id=method.id,
        payment_order=payment_order.to_json(),
        card=describe_card(method),
        fees=describe_fees(intent),
        total=intent.source_amount.value,
    )
    # The step was `paying` if the quote has expired meanwhile.
    notice = "expired" if order.step == "paying" else None
    return orders.change(order, step="quote", notice=notice, quote=quote)


async def pay(plastiq: PlastiqSession, orders: Orders, order: Order) -> Order:
    """Pay an order if it is in the step `paying`: once, however often it is called.

    Returns:
        The order: paid; without a card if the card was declined; or with another quote
        if this one has expired.

    Raises:
        PlastiqError: The result is not known. Call again.
        PaymentTakenError: Another order has the payment. A person has to look at it.
    """
    quote = order.quote
    if order.step != "paying" or quote is None:
        return order
    payment_order = PaymentOrder.from_json(quote.payment_order)
    try:
        payment = await plastiq.payments.submit(payment_order)
    except PlastiqError as error:
        if error.next_step == "new_key":  # the card was declined
            return orders.change(order, step="card", notice="declined", quote=None)
        if error.next_step != "reconcile":
            raise
        match await plastiq.payments.outcome_of(payment_order):
            case Charged(payment=payment):
                # By amount and time alone, it may be that of another order.
                with suppress(PaymentTakenError):
                    return finish(orders, order, payment)
            case NotCharged():
                return await make_quote(plastiq, orders, order, quote.method_id)
        raise  # there is no confirmation yet
    return finish(orders, order, payment)


def finish(orders: Orders, order: Order, payment: Payment) -> Order:
    """Store the receipt."""
    receipt = Receipt(
        payment_id=payment.id,
        status=payment.status,
        trace_id=payment.response.trace_id,
    )
    return orders.change(order, step="paid", receipt=receipt)


def describe_card(method: PaymentMethod) -> str:
    """Return what the payer knows of a card."""
    if not isinstance(method.data, CardDetails):
        return "Bank account"
    return f"{method.data.brand or 'Card'} ending in {method.data.last4}"


def describe_fees(intent: PaymentIntent) -> tuple[Fee, ...]:
    """Return the fees, such as the `PLASTIQ_SERVICE_FEE` as "Service fee (2.85%)"."""
    fees = []
    for fee in intent.fees:
        label = (
            (fee.type or "Fee").removeprefix("PLASTIQ_").replace("_", " ").capitalize()
        )
        if fee.rate:
            label += f" ({fee.rate})"
        if fee.amount:
            fees.append(Fee(label=label, amount=fee.amount.value))
    return tuple(fees)
