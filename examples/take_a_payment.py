"""Take a payment: who pays, who is paid, the quote, the charge, the refund.

The payment order is stored in the file `order.json` before the call that charges the
card. If the program stops before it knows the result, run it again: it submits the
stored order, and the card is charged once.

Run it with the local fake, in one command::

    python -m plastiq_async.sandbox python examples/take_a_payment.py

This fake forgets everything when the command ends, so no later run can continue. To run
the program twice with the same fake, start the fake in a terminal, paste the `export`
lines that it prints into another one, and run the program there::

    python -m plastiq_async.sandbox
    python examples/take_a_payment.py

Order a fault before the first run, so that the card is charged without a response::

    curl http://127.0.0.1:8642/_sandbox/faults --json '{"fault": "drop", "times": 3,
        "afterProcessing": true, "on": "payments.create"}'
"""

from __future__ import annotations

import sys
from pathlib import Path
from uuid import UUID

import anyio

from plastiq_async import (
    Ach,
    Address,
    Card,
    CardDetails,
    Charged,
    Contact,
    Money,
    NotCharged,
    Payment,
    PaymentOrder,
    PlastiqError,
    PlastiqSession,
)

FILE = Path("order.json")  # stands for your database
ADDRESS = Address(
    line1="1 Main Street",
    city="Springfield",
    state="IL",
    postal_code="62701",
    country="US",
)


class NotPaidError(Exception):
    """There is no payment, or none that is known; the message says what to do."""


async def make_quote(plastiq: PlastiqSession) -> tuple[UUID, UUID]:
    """Create payer, recipient and card, and return the IDs of a quote and its payer."""
    categories = await plastiq.categories.list()
    category = categories.data[0]
    print("category  ", category.display_name)

    payer = await plastiq.payers.create(contact=Contact(email="ada@example.com"))
    print("payer     ", payer.id)

    recipient = await plastiq.recipients.create(
        business_name="Beans Inc.",
        category_id=category.id,
        business_address=ADDRESS,
        contact=Contact(email="bob@example.com"),
        receiving_method=Ach(
            account_number="3829473294723",
            routing_number="021000021",
            beneficiary_name="Beans Inc.",
        ),
    )
    print("recipient ", recipient.id)

    # With a client secret, the browser sends the card, and you never have its number.
    method = await plastiq.payment_methods.create(
        payer.id,
        data=Card(
            card_holder_name="Ada Example",
            account_number="4242424242424242",
            cvv="123",
            expiration_month="12",
            expiration_year="2099",
            billing_address=ADDRESS,
        ),
    )
    if isinstance(method.data, CardDetails):
        print("card      ", method.data.brand, "ending in", method.data.last4)

    intent = await plastiq.payment_intents.create(
        payer_id=payer.id,
        recipient=recipient.id,
        payment_method_id=method.id,
        target_amount=Money("100.00"),
    )
    if not intent.is_capturable:  # a success can be a refusal
        reasons = ", ".join(str(reason.code) for reason in intent.status_reasons)
        msg = f"The payment cannot be made: {reasons}"
        raise NotPaidError(msg)
    for fee in intent.fees:
        print("fee       ", fee.amount, f"({fee.rate})")
    print("you pay   ", intent.source_amount)
    return intent.id, payer.id


def load_order() -> PaymentOrder | None:
    """Return the order of an earlier run whose result is not known, if any."""
    return PaymentOrder.from_json(FILE.read_text("utf-8")) if FILE.exists() else None


def store_order(order: PaymentOrder) -> PaymentOrder:
    """Store an order before it is submitted, and return it."""
    FILE.write_text(order.to_json(), "utf-8")
    print("order      stored in", FILE)
    return order


def forget_order() -> None:
    """Forget the stored order: its result is known."""
    FILE.unlink()


async def pay(plastiq: PlastiqSession, order: PaymentOrder) -> Payment:
    """Charge the card, once per order, however often this is called."""
    try:
        return await plastiq.payments.submit(order, timeout=60)
    except PlastiqError as error:
        if error.next_step == "reconcile":
            return await reconcile(plastiq, order, error)
        if error.next_step == "same_key":
            msg = f"The card may have been charged. Run this again. {error}"
        elif error.next_step == "new_key":
            forget_order()  # the same order would bring the same refusal
            msg = f"The card was declined. Use another one. {error}"
        else:
            msg = f"Correct it, and run this again. {error}"
        raise NotPaidError(msg) from error


async def reconcile(
    plastiq: PlastiqSession, order: PaymentOrder, refusal: PlastiqError
) -> Payment:
    """Find out by reading whether an order that the API refuses was paid."""
    outcome = await plastiq.payments.outcome_of(order)
    if isinstance(outcome, Charged):
        return outcome.payment
    if isinstance(outcome, NotCharged):
        forget_order()
        msg = "The quote has expired, and nothing was charged. Run this again."
    else:
        msg = f"It is not known yet if it is paid. Run this again later. {refusal}"
    raise NotPaidError(msg) from refusal


async def main() -> None:
    """Pay the stored order, or else a new one; then refund it, and list payments."""
    async with PlastiqSession() as plastiq:  # PLASTIQ_ACCESS_TOKEN, PLASTIQ_BASE_URL
        order = load_order() or store_order(
            plastiq.payments.prepare(*await make_quote(plastiq))
        )
        payment = await pay(plastiq, order)
        forget_order()
        origin = " of an earlier run" if payment.replayed else ""
        print(f"payment    {payment.id}{origin}")
        # A payment is accepted, not paid: its status will change.
        finality = "" if payment.is_final else " (not final)"
        print(f"status     {payment.status}{finality}")

        refund = await plastiq.payments.refund(payment.id, order.payer_id)
        # A success can be a failure here, too.
        print("refund    ", "succeeded" if refund.succeeded else f"no: {refund.status}")

        async for one in plastiq.payments.list(order.payer_id):
            print("listed    ", one.id, one.source_amount, one.status)


if __name__ == "__main__":
    try:
        anyio.run(main)
    except NotPaidError as error:
        sys.exit(str(error))
