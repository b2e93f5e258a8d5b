"""Orders, with the `PaymentOrder` of each decision to pay, in SQLite."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from typing import Literal
from uuid import UUID, uuid4

from pydantic import BaseModel, Field

__all__ = [
    "Fee",
    "Order",
    "OrderView",
    "Orders",
    "PaymentTakenError",
    "Quote",
    "Receipt",
    "SavedQuote",
]


class Fee(BaseModel, frozen=True):
    """A fee of a quote.

    Attributes:
        label: What the payer reads.
        amount: Amount in US dollars.
    """

    label: str
    amount: Decimal


class Quote(BaseModel, frozen=True):
    """What the payment costs with a card.

    Attributes:
        intent_id: Payment intent. The page sends it back, so that the payer pays only
            the amounts that the page has shown.
        card: Brand and last digits of the card.
        fees: The fees.
        total: What the payer is charged, in US dollars.
    """

    intent_id: UUID
    card: str
    fees: tuple[Fee, ...]
    total: Decimal


class SavedQuote(Quote, frozen=True):
    """A quote with what the page does not need.

    Attributes:
        method_id: Payment method.
        payment_order: The `PaymentOrder` to pay this quote, with its idempotency key,
            as JSON.
    """

    method_id: UUID
    payment_order: str


class Receipt(BaseModel, frozen=True):
    """A payment that was accepted.

    Attributes:
        payment_id: ID of the payment.
        status: Status of the payment, such as `SUBMITTED`.
        trace_id: Trace ID of the call that made the payment.
    """

    payment_id: UUID
    status: str | None
    trace_id: UUID


class OrderView(BaseModel, frozen=True):
    """What the page gets to know of an order.

    Attributes:
        amount: Amount without fees, in US dollars.
        step: What is next: `card` until there is a quote, `quote` until the payer
            decides to pay, `paying` until the result is known, then `paid`.
        notice: Why the step is not a later one, if the payer should know.
        quote: The quote. None in the step `card`.
        receipt: The payment. None before the step `paid`.
    """

    amount: Decimal
    step: Literal["card", "quote", "paying", "paid"] = "card"
    notice: Literal["declined", "expired", "refused"] | None = None
    quote: Quote | None = None
    receipt: Receipt | None = None


class Order(OrderView, frozen=True):
    """An order.

    Attributes:
        id: ID of the order, not to be guessed.
        version: Number of changes.
        payer_id: Who pays.
        recipient_id: Who is paid.
        quote: The quote, with its payment order.
    """

    id: UUID = Field(default_factory=uuid4)
    version: int = 0
    payer_id: UUID
    recipient_id: UUID
    quote: SavedQuote | None = None


class PaymentTakenError(Exception):
    """Another order has the payment already."""


class Orders:
    """The orders of all payers.

    Args:
        path: SQLite file, or `:memory:` for orders that end with the process.
    """

    def __init__(self, path: str) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)  # autocommit
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS orders"
            " (id TEXT PRIMARY KEY, version INTEGER, data TEXT, payment_id TEXT UNIQUE)"
        )

    def add(self, order: Order) -> None:
        """Store a new order."""
        self._database.execute(
            "INSERT INTO orders VALUES (?, ?, ?, NULL)",
            (str(order.id), order.version, order.model_dump_json()),
        )

    def find(self, order_id: UUID) -> Order:
        """Return an order.

        Raises:
            KeyError: There is no such order.
        """
        found = self._database.execute(
            "SELECT data FROM orders WHERE id = ?", (str(order_id),)
        ).fetchone()
        if found is None:
            raise KeyError(order_id)
        return Order.model_validate_json(found[0])

    def change(self, order: Order, **changes: object) -> Order:
        """Change an order, unless another request has changed it since it was read.

        Args:
            order: The order as it was read.
            changes: New values of its attributes.

        Returns:
            The order as it is stored now, after this change or that of the other
            request.

        Raises:
            PaymentTakenError: Another order has the payment of the receipt.
        """
        version = order.version + 1
        changed = order.model_copy(update={**changes, "version": version})
        payment_id = changed.receipt and str(changed.receipt.payment_id)
        row = (version, changed.model_dump_json(), payment_id)
        try:
            done = self._database.execute(
                "UPDATE orders SET version = ?, data = ?, payment_id = ?"
                " WHERE id = ? AND version = ?",
                (*row, str(order.id), order.version),
            )
        except sqlite3.IntegrityError:
            raise PaymentTakenError from None
        return changed if done.rowcount else self.find(order.id)
