"""Take a payment: who pays, who is paid, the quote, the charge, the refund.

The idempotency key is stored in the file `order.json` before the call that charges the
card. If the program stops before it knows the result, run it again: it continues with
the stored key, and the card is charged once.

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

import json
import sys
from pathlib import Path
from uuid import uuid4

import anyio

from plastiq_async import (
    Ach,
    Address,
    Card,
    CardDetails,
    Contact,
    Money,
    Payment,
    PaymentIntent,
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


async def make_quote(plastiq: PlastiqSession) -> PaymentIntent:
    """Create payer, recipient and card, and ask what a payment costs."""
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
    return intent


def load_order() -> dict[str, str] | None:
    """Return the order of an earlier run whose result is not known, if any."""
    if not FILE.exists():
        return None
    order: dict[str, str] = json.loads(FILE.read_text("utf-8"))
    return order


def store_order(intent: PaymentIntent) -> dict[str, str]:
    """Store what is needed to pay, with a new key, and return it."""
    order = {"intent": intent.id, "payer": intent.payer_id, "key": uuid4()}
    texts = {name: str(value) for name, value in order.items()}
    FILE.write_text(json.dumps(texts), "utf-8")
    print("key        stored in", FILE)
    return texts


def forget_order() -> None:
    """Forget the stored order: its result is known."""
    FILE.unlink()


async def pay(plastiq: PlastiqSession, order: dict[str, str]) -> Payment:
    """Charge the card, once per order, however often this is called."""
    try:
        return await plastiq.payments.create(
            order["intent"], order["payer"], idempotency_key=order["key"], timeout=60
        )
    except PlastiqError as error:
        if error.next_step == "same_key":
            msg = f"The card may have been charged. Run this again. {error}"
        elif error.next_step == "new_key":
            forget_order()  # the same key would bring the same refusal
            msg = f"The card was declined. Use another one. {error}"
        elif error.next_step == "fix":
            msg = f"Correct it, and run this again. {error}"
        else:
            msg = f"Find out if it is paid before you delete {FILE}. {error}"
        raise NotPaidError(msg) from error


async def main() -> None:
    """Pay the stored order, or else a new one; then refund it, and list payments."""
    async with PlastiqSession() as plastiq:  # PLASTIQ_ACCESS_TOKEN, PLASTIQ_BASE_URL
        order = load_order() or store_order(await make_quote(plastiq))
        payment = await pay(plastiq, order)
        forget_order()
        origin = " of an earlier run" if payment.replayed else ""
        print(f"payment    {payment.id}{origin}")
        # A payment is accepted, not paid: its status will change.
        finality = "" if payment.is_final else " (not final)"
        print(f"status     {payment.status}{finality}")

        refund = await plastiq.payments.refund(payment.id, order["payer"])
        # A success can be a failure here, too.
        print("refund    ", "succeeded" if refund.succeeded else f"no: {refund.status}")

        async for one in plastiq.payments.list(order["payer"]):
            print("listed    ", one.id, one.source_amount, one.status)


if __name__ == "__main__":
    try:
        anyio.run(main)
    except NotPaidError as error:
        sys.exit(str(error))
