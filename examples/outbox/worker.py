"""Worker process that submits the orders of `outbox.py` and stores their outcomes.

Start any number, on any machine that reaches the database, and let a supervisor restart
those that fail, such as while the database is down. Stop them in any way: even SIGKILL
loses no order and charges nobody twice. With the local fake::

    python -m plastiq_async.sandbox  # prints `export` lines for the other terminals
    python examples/outbox/outbox.py
    python examples/outbox/worker.py
    python examples/outbox/place.py

The workers read PLASTIQ_ACCESS_TOKEN and PLASTIQ_BASE_URL or PLASTIQ_ENVIRONMENT.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NoReturn

import anyio

from outbox import LEASE, Order, Outcome, Sessions, claim, open_database, store
from plastiq_async import (
    Charged,
    InvalidArgumentError,
    NotCharged,
    NotYet,
    PaymentOrder,
    PlastiqError,
    PlastiqSession,
    Unclear,
)

CONCURRENCY = 10  # orders that a process submits at the same time

# In seconds.
ATTEMPT_TIMEOUT = LEASE / 2  # for all requests of an attempt; leaves time to store
POLL_INTERVAL = 1.0

# The API does not say how long it keeps a key. Without the key, it would take a further
# submission for a new one.
KEY_LIFETIME = timedelta(hours=12)


async def attempt(plastiq: PlastiqSession, order: Order) -> Outcome:
    """Try to pay for an order within `ATTEMPT_TIMEOUT`; return what came of it."""
    try:
        payment = PaymentOrder.from_json(order.payment)
    except InvalidArgumentError as error:
        print(f"order {order.id}: {error}")
        return Outcome("unclear")
    with anyio.move_on_after(ATTEMPT_TIMEOUT):
        return await pay(plastiq, payment)
    # A cancelled submission may have charged the payer.
    return Outcome("pending")


async def pay(plastiq: PlastiqSession, payment: PaymentOrder) -> Outcome:
    """Submit a payment, for the first time or again, and return what came of it."""
    if is_old(payment):
        return await look_up(plastiq, payment)
    try:
        paid = await plastiq.payments.submit(payment)
    except PlastiqError as error:
        print(error)  # without secrets
        if error.next_step == "new_key":
            return Outcome("declined")
        if error.next_step == "reconcile":
            return await look_up(plastiq, payment)
        # The payer may have been charged, or nothing was sent, or the token is wrong.
        return Outcome("pending")
    return Outcome("charged", paid.id)


async def look_up(plastiq: PlastiqSession, payment: PaymentOrder) -> Outcome:
    """Find out, without another submission, whether the payer was charged."""
    try:
        found = await plastiq.payments.outcome_of(payment)
    except PlastiqError as error:
        print(error)
        return Outcome("pending")
    match found:
        case Charged(matched_by="amount_and_time") if not is_old(payment):
            # It may be the payment of another order while the API lists the right
            # one late.
            return Outcome("pending")
        case Charged(payment=paid):
            return Outcome("charged", paid.id)
        case NotCharged():
            return Outcome("not_charged")
        case NotYet() | Unclear():
            # A payment intent expires within minutes, and the API may list a payment
            # late, but neither takes until the key is old.
            return Outcome("unclear" if is_old(payment) else "pending")


def is_old(payment: PaymentOrder) -> bool:
    """Return whether the API may have forgotten the key of a payment."""
    return datetime.now(UTC) - payment.created_at > KEY_LIFETIME


async def work(plastiq: PlastiqSession, sessions: Sessions) -> NoReturn:
    """Claim orders one after another, and store what came of each."""
    while True:
        order = await claim(sessions)
        if order is None:
            await anyio.sleep(POLL_INTERVAL)
            continue
        outcome = await attempt(plastiq, order)
        state = await store(sessions, order, outcome)
        print(f"order {order.id}: {state}", flush=True)


async def main() -> None:
    """Work on several orders at the same time."""
    async with (
        open_database() as sessions,
        PlastiqSession() as plastiq,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(CONCURRENCY):
            tasks.start_soon(work, plastiq, sessions)


if __name__ == "__main__":
    anyio.run(main)
