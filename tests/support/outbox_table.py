"""The table of the outbox example."""

from __future__ import annotations

from sqlalchemy import select

from outbox import Order, Sessions
from plastiq_async.testing import FakePlastiq
from tests.support.internals import add_intent
from tests.support.sessions import fake_session

GOOD_CARD = "4111111111111111"
DECLINED_CARD = "4000000000000002"


async def add_order(sessions: Sessions, payment: str = "{}") -> Order:
    """Store an order."""
    order = Order(item="tea", payment=payment)
    async with sessions.begin() as database:
        database.add(order)
    return order


async def all_orders(sessions: Sessions) -> list[Order]:
    """Return all orders, oldest first."""
    async with sessions() as database:
        return list(await database.scalars(select(Order).order_by(Order.id)))


async def add_orders(
    sessions: Sessions, fake: FakePlastiq, times: int, *, number: str = GOOD_CARD
) -> None:
    """Store orders to be paid with a card, each of a payer of its own."""
    payments = fake_session(fake).payments
    for _ in range(times):
        payer_id = fake.add_payer()
        intent_id = add_intent(fake, number=number, payer_id=payer_id)
        await add_order(sessions, payments.prepare(intent_id, payer_id).to_json())
