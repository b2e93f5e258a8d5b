"""The caller: a database of purchases, and processes that work on them and crash.

It does what the how-to "charge exactly once" says. What a process knows is lost when it
crashes. What it stored is not.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Literal
from uuid import UUID, uuid4

import anyio
import attrs
from anyio.lowlevel import checkpoint

from plastiq_async import (
    Charged,
    NotCharged,
    NotYet,
    PaymentOrder,
    PlastiqError,
    PlastiqSession,
    Unclear,
)
from tests.orders.world import LISTING_DELAYS, Payer, UnreliableTransport, World
from tests.support.cancellers import cancel_with_anyio

PROCESSES = 3
WORKERS = 12
PURCHASES_OF_PAYER = 4
# Steps that a call takes in the event loop, without its waits.
MOST_STEPS = 25
# Seconds until a process is started again.
RESTART = 5
# Seconds between two steps of a worker; a payment intent expires after 300.
WAITS = (10, 100, 400)
# How often an outcome may be unclear before a person is asked.
PATIENCE = 3
# Age of an order whose payment intent has expired and whose payment is listed.
OLD = timedelta(seconds=300 + max(LISTING_DELAYS))
UNEXPLAINED = "not explained"
# Rounds after which a purchase counts as forgotten.
MOST_ROUNDS = 3000

Verdict = Literal["charged", "not charged", "unclear"]
Call = Callable[[], Awaitable[None]]


@attrs.define(kw_only=True, eq=False)
class Purchase:
    """A row of the database: somebody wants to pay once.

    Attributes:
        number: Number of the purchase.
        payer: Who pays.
        order: The current payment order, in JSON, if there is one.
        intents: The payment intents of all orders so far.
        doubtful: Whether to ask for the outcome before anything else.
        unclear: How often the outcome was unclear.
        verdict: What became of it, if that is known.
        payment_id: The payment, if it was charged.
        how: How the verdict was found.
        rounds: Number of rounds of work.
    """

    number: int
    payer: Payer
    order: str | None = None
    intents: list[UUID] = attrs.field(factory=list)
    doubtful: bool = False
    unclear: int = 0
    verdict: Verdict | None = None
    payment_id: UUID | None = None
    how: str = ""
    rounds: int = 0

    def settle(
        self, verdict: Verdict, how: str, payment_id: UUID | None = None
    ) -> None:
        """Store the verdict, unless another worker was first."""
        if self.verdict is None:
            self.verdict, self.how, self.payment_id = verdict, how, payment_id

    def drop_order(self, order: PaymentOrder, reason: str, *, final: bool) -> None:
        """Drop an order that charged nothing, unless another worker was first."""
        if self.order == order.to_json():
            self.order, self.doubtful = None, False
            if final:
                self.settle("not charged", reason)


@attrs.define(kw_only=True)
class Shop:
    """The database and its processes.

    Attributes:
        world: The server.
        count: Number of purchases to make.
        purchases: The purchases so far.
        crashes: Number of processes that crashed.
        cancelled: Number of calls that were cancelled.
        unclear: Number of unclear outcomes by explanation.
    """

    world: World
    count: int
    purchases: list[Purchase] = attrs.field(factory=list)
    crashes: int = 0
    cancelled: int = 0
    unclear: Counter[str] = attrs.field(factory=Counter)
    # The purchases that no verdict was found for yet.
    _open: dict[int, Purchase] = attrs.field(factory=dict)
    # Those of them that a crashed process was working on.
    _left: set[int] = attrs.field(factory=set)
    _payer: Payer | None = None

    @property
    def random(self) -> random.Random:
        """The source of all random decisions."""
        return self.world.random

    async def run(self) -> None:
        """Make all purchases, with processes that are started again after a crash."""
        async with anyio.create_task_group() as group:
            for _ in range(PROCESSES):
                group.start_soon(self._supervise)

    async def _supervise(self) -> None:
        while len(self.purchases) < self.count or self._open:
            session = PlastiqSession(
                self.world.fake.access_token,
                base_url=self.world.fake.base_url,
                transport=UnreliableTransport(self.world),
                max_connections=8,
                timeout=20,
            )
            with anyio.move_on_after(self.random.expovariate(1 / 120)) as life:
                async with anyio.create_task_group() as group:
                    for _ in range(WORKERS):
                        group.start_soon(self._work, session)
            self.crashes += life.cancelled_caught
            await anyio.sleep(RESTART)

    async def _work(self, session: PlastiqSession) -> None:
        while purchase := self._take():
            try:
                while purchase.verdict is None and purchase.rounds < MOST_ROUNDS:
                    purchase.rounds += 1
                    await self._wait()
                    await self._step(session, purchase)
                self._open.pop(purchase.number, None)
            finally:
                if purchase.number in self._open:
                    self._left.add(purchase.number)  # by a process that crashed

    async def _wait(self) -> None:
        rare = self.random.random() < 0.1
        seconds = self.random.choice(WAITS) if rare else self.random.uniform(0, 5)
        await anyio.sleep(seconds)

    def _take(self) -> Purchase | None:
        """Return a new purchase, or one that others may be working on, too."""
        if self._open and self.random.random() < 0.1:
            return self.random.choice([*self._open.values()])
        if self._left:
            # Not any, so that a seed has the same course each time.
            self._left.discard(oldest := min(self._left))
            return self._open.get(oldest) or self._take()
        number = len(self.purchases)
        if number == self.count:
            return None
        if self._payer is None or number % PURCHASES_OF_PAYER == 0:
            self._payer = self.world.make_payer()
        purchase = Purchase(number=number, payer=self._payer)
        self.purchases.append(purchase)
        self._open[number] = purchase
        return purchase

    async def _step(self, session: PlastiqSession, purchase: Purchase) -> None:
        if purchase.order is None:
            await self._prepare(session, purchase)
            return
        order = PaymentOrder.from_json(purchase.order)
        if self.random.random() < 0.01:
            self.world.forget_keys()
        ask = purchase.doubtful or self.random.random() < 0.2
        method = self._ask if ask else self._submit
        await self._interrupt(partial(method, session, purchase, order))

    async def _prepare(self, session: PlastiqSession, purchase: Purchase) -> None:
        intent_id = self.world.make_intent(purchase.payer, purchase.number)
        order = session.payments.prepare(intent_id, purchase.payer.id)
        order = attrs.evolve(order, created_at=self.world.fake.now)
        await checkpoint()  # a crash here loses the order, of which nothing was sent
        if purchase.order is None and purchase.verdict is None:
            purchase.intents.append(intent_id)
            purchase.order = order.to_json()

    async def _interrupt(self, call: Call) -> None:
        """Make a call, and sometimes cancel it at any step or at any time."""
        chance = self.random.random()
        done = False

        async def run() -> None:
            nonlocal done
            await call()
            done = True

        if chance < 0.15:
            await cancel_with_anyio(run, self.random.randrange(MOST_STEPS))
        elif chance < 0.25:
            with anyio.move_on_after(self.world.short()):
                await run()
        else:
            await run()
        self.cancelled += not done

    async def _submit(
        self, session: PlastiqSession, purchase: Purchase, order: PaymentOrder
    ) -> None:
        try:
            payment = await session.payments.submit(order)
        except PlastiqError as error:
            if error.next_step == "new_key":
                self._drop(purchase, order, "declined")
            elif error.next_step == "reconcile":
                purchase.doubtful = True
        else:
            await checkpoint()  # a crash here loses the result of a charge
            purchase.settle("charged", "submitted", payment.id)

    async def _ask(
        self, session: PlastiqSession, purchase: Purchase, order: PaymentOrder
    ) -> None:
        trace_id = uuid4()
        try:
            outcome = await session.payments.outcome_of(order, trace_id=trace_id)
        except PlastiqError:
            return
        match outcome:
            case Charged(matched_by="amount_and_time") if self._is_young(order):
                purchase.doubtful = True
            case Charged(payment=payment, matched_by=matched_by):
                purchase.settle("charged", matched_by, payment.id)
            case NotYet():
                purchase.doubtful = False
            case NotCharged():
                self._drop(purchase, order, "expired")
            case Unclear():
                story = explain(self.world, purchase.payer, order, outcome, trace_id)
                self.unclear[story] += 1
                purchase.doubtful = True
                purchase.unclear += 1
                if purchase.unclear >= PATIENCE:
                    purchase.settle("unclear", story)

    def _is_young(self, order: PaymentOrder) -> bool:
        return self.world.fake.now - order.created_at <= OLD

    def _drop(self, purchase: Purchase, order: PaymentOrder, reason: str) -> None:
        """Drop an order that charged nothing, and sometimes the purchase, too."""
        purchase.drop_order(order, reason, final=self.random.random() < 0.3)


def explain(
    world: World, payer: Payer, order: PaymentOrder, outcome: Unclear, trace_id: UUID
) -> str:
    """Return why an outcome is unclear, by what the server knows."""
    if trace_id in world.unknown:
        return "the status of the payment intent was unknown"
    paid = world.fake.payments_of(order.payment_intent_id)
    ids = [payment.id for payment in outcome.candidates]
    if paid and paid[0] not in ids:
        age = world.listed_at[trace_id] - world.fake.charged_at(paid[0])
        if age.total_seconds() < payer.delay:
            return "the payment was not listed yet"
    if paid and len(ids) > 1 and payer.twins and not payer.named:
        return "identical payments, and the server names no payment intents"
    return f"{UNEXPLAINED}: paid {len(paid)}, candidates {len(ids)}, {payer}"
