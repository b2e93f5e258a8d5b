"""Orders in a database whose table is also the queue of the payments to make.

An order is written in one transaction with its `PaymentOrder`, which contains the
idempotency key. From this commit on, the order is charged at most once and gets its
outcome, whichever process is killed at whatever moment. The reason is that every
submission of the order carries the stored key.

Create the table, in `orders.db` or in the database that DATABASE_URL names, such as
`postgresql+asyncpg://user@host/name`, then see `worker.py` and `place.py`::

    python examples/outbox/outbox.py

Requires sqlalchemy[asyncio] 2, and aiosqlite or asyncpg.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, TypeAlias
from uuid import UUID

import anyio
import attrs
from sqlalchemy import Index, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import (
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

DATABASE_URL = os.environ.get(
    "DATABASE_URL", "sqlite+aiosqlite:///orders.db?timeout=60"
)

# In seconds.
LEASE = 120.0  # a worker that has stored no outcome by then counts as dead
FIRST_DELAY = 1.0  # before the second attempt; doubles with each further one
LONGEST_DELAY = 600.0

Sessions: TypeAlias = async_sessionmaker[AsyncSession]

State: TypeAlias = Literal[
    "pending",  # not submitted yet, or with an unknown outcome: submitted (again) later
    "charged",  # accepted by the API; the status of the payment tells how it goes on
    "declined",  # if the payer decides to use another card, that is a new order
    "not_charged",  # the payment intent expired; another one is a new order, too
    "unclear",  # a person has to read the payer's payments, and decide
]


class Base(DeclarativeBase):
    """Base class of the tables."""


class Order(Base):
    """An order, and the state of its payment.

    Attributes:
        id: The order's ID.
        item: What was ordered; stands for the columns of your application.
        payment: The `PaymentOrder` as JSON.
        state: The state; all but "pending" are final.
        payment_id: ID of the payment if it was charged. Unique, because `outcome_of`
            may have to conclude from the amount and the time which payment it is.
        disputed_payment_id: ID of the payment that was found for the order, if another
            order has it. The person who decides has to compare both orders.
        attempts: How many times a worker has claimed the order.
        due_at: When a worker may claim the order, in seconds since the epoch.
    """

    __tablename__ = "orders"
    __table_args__ = (Index("orders_by_due", "state", "due_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str]
    payment: Mapped[str]
    state: Mapped[State] = mapped_column(default="pending")
    payment_id: Mapped[UUID | None] = mapped_column(unique=True)
    disputed_payment_id: Mapped[UUID | None]
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[float] = mapped_column(default=time.time)


@attrs.frozen
class Outcome:
    """What an attempt to pay came to: the new state, and the payment if one was found.

    The payment of an outcome that is not "charged" belongs to another order.
    """

    state: State
    payment_id: UUID | None = None


@asynccontextmanager
async def open_database(url: str = DATABASE_URL) -> AsyncIterator[Sessions]:
    """Connect to the database during the block, and yield what makes transactions."""
    engine = create_async_engine(url)
    try:
        yield async_sessionmaker(engine, expire_on_commit=False)
    finally:
        await engine.dispose()


@asynccontextmanager
async def transaction(sessions: Sessions) -> AsyncIterator[AsyncSession]:
    """Open a transaction that is not cancelled, and commit it.

    If a transaction is cancelled, such as because another task has failed, aiosqlite
    may never close its connection, and the process hangs instead of being restarted.
    """
    with anyio.CancelScope(shield=True):
        async with sessions.begin() as database:
            yield database


async def create_table(sessions: Sessions) -> None:
    """Create the table, unless it exists; in production, a migration does this."""
    async with transaction(sessions) as database:
        connection = await database.connection()
        await connection.run_sync(Base.metadata.create_all)


async def claim(sessions: Sessions) -> Order | None:
    """Return an order that is due, and let no other worker claim it for `LEASE`.

    The claim is committed before the order is submitted, so no transaction is open
    during the call. If the worker dies, the order is due again after the lease.

    If the worker is only slow, two workers submit the order at once. This is harmless,
    because both requests carry the key of the order: the API charges for one of them
    and returns the same payment to both.
    """
    now = time.time()
    next_order = (
        select(Order.id)
        .where(Order.state == "pending", Order.due_at <= now)
        .order_by(Order.due_at)
        .limit(1)
        # Concurrent workers claim different orders instead of waiting for each other.
        # SQLite has no such clause, and one writer at a time.
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    async with transaction(sessions) as database:
        order: Order | None = await database.scalar(
            update(Order)
            .where(Order.id == next_order)
            .values(due_at=now + LEASE, attempts=Order.attempts + 1)
            .returning(Order)
        )
    return order


async def store(sessions: Sessions, order: Order, outcome: Outcome) -> State:
    """Store the outcome of a claimed order, or when to attempt it again.

    Returns:
        The state that is stored now. It is that of another worker if this outcome came
        too late, and "unclear" if another order has the payment.
    """
    row = select(Order.state).where(Order.id == order.id)
    change = update(Order).where(Order.id == order.id)
    if outcome.state == "pending":
        # Only if no other worker has claimed the order after this one.
        change = change.where(
            Order.state == "pending", Order.attempts == order.attempts
        ).values(due_at=time.time() + back_off(order.attempts))
    elif outcome.payment_id is None:
        # Also of an order that was claimed again, because a final outcome stays true.
        change = change.where(Order.state == "pending").values(state=outcome.state)
    else:
        charged = outcome.state == "charged"
        column = Order.payment_id if charged else Order.disputed_payment_id
        # Also if it was unclear to another worker.
        change = change.where(Order.state.in_(["pending", "unclear"])).values(
            {Order.state: outcome.state, column: outcome.payment_id}
        )
    try:
        async with transaction(sessions) as database:
            await database.execute(change)
            return (await database.scalars(row)).one()
    except IntegrityError:  # another order has the payment
        return await store(sessions, order, Outcome("unclear", outcome.payment_id))


def back_off(attempts: int) -> float:
    """Return the seconds from an attempt with an unknown outcome to the next one."""
    return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(attempts - 1, 20))


async def main() -> None:
    """Create the table."""
    async with open_database() as sessions:
        await create_table(sessions)


if __name__ == "__main__":
    anyio.run(main)
