"""Place orders, and wait until the workers have settled them.

This is what a web application does: it never calls `payments.submit` itself, so it can
respond as soon as the order is stored. `worker.py` shows how to run it::

    python examples/outbox/place.py tea coffee
"""

from __future__ import annotations

import os
import sys

import anyio

from outbox import Order, Sessions, open_database, transaction
from plastiq_async import Money, PlastiqSession


async def place(plastiq: PlastiqSession, sessions: Sessions, item: str) -> int:
    """Make a quote, and store an order to pay it; return the ID of the order."""
    intent = await plastiq.payment_intents.create(
        payer_id=os.environ["PLASTIQ_PAYER_ID"],
        recipient=os.environ["PLASTIQ_RECIPIENT_ID"],
        payment_method_id=os.environ["PLASTIQ_PAYMENT_METHOD_ID"],
        target_amount=Money("100.00"),
    )
    # Here the payer sees intent.source_amount, and agrees to pay.
    payment = plastiq.payments.prepare(intent.id, os.environ["PLASTIQ_PAYER_ID"])
    order = Order(item=item, payment=payment.to_json())
    async with transaction(sessions) as database:
        database.add(order)  # with what else belongs to the order
    return order.id


async def wait_for(sessions: Sessions, order_id: int) -> Order:
    """Return the order once its state is final."""
    while True:
        async with transaction(sessions) as database:
            order = await database.get_one(Order, order_id)
        if order.state != "pending":
            return order
        await anyio.sleep(0.5)


async def main(items: list[str]) -> None:
    """Place an order for each item, and print what became of it."""
    async with open_database() as sessions, PlastiqSession() as plastiq:
        for order_id in [await place(plastiq, sessions, item) for item in items]:
            order = await wait_for(sessions, order_id)
            print(f"{order.item}: {order.state}, payment {order.payment_id}")


if __name__ == "__main__":
    anyio.run(main, sys.argv[1:] or ["tea"])
