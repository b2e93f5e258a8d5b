"""A server and a transport that fail at random, with a record of what happened."""

from __future__ import annotations

import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import anyio
import attrs
import httpx
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from tests.support.internals import (
    FakeWithChargeLog,
    add_intent,
    add_twin,
    forget_keys,
)

DECLINED_CARD = "4000000000000002"
GOOD_CARD = "4111111111111111"
# More records than orders under way need.
HISTORY = 10_000
# Share of faulty requests, which changes now and then.
FAULT_RATES = (0.0, 0.05, 0.3, 0.6, 0.95)
MOST_REQUESTS_PER_RATE = 100
UNKNOWN_STATUS = 0.01
# Share of requests that arrive when their callers have given up, and how late.
LATE = 0.03
DELAYS = (1.0, 30.0, 250.0, 400.0)
# Seconds until a payment is listed, by payer.
LISTING_DELAYS = (0.0, 0.0, 30.0, 400.0)
START = 1_800_000_000.0

Fault = Callable[[FakeWithChargeLog], None]

FAULTS: dict[str, Fault] = {
    "refused": lambda fake: fake.refuse_next(),
    "dropped before": lambda fake: fake.drop_next(),
    "dropped after": lambda fake: fake.drop_next(after_processing=True),
    "500 before": lambda fake: fake.fail_next(500),
    "500 after": lambda fake: fake.fail_next(500, after_processing=True),
    "503 after": lambda fake: fake.fail_next(503, after_processing=True, shape="html"),
    "504 before": lambda fake: fake.fail_next(504, shape="empty"),
    "408 after": lambda fake: fake.fail_next(408, after_processing=True),
    "429": lambda fake: fake.fail_next(429, retry_after=3),
    "401": lambda fake: fake.fail_next(401),
    "garbled": lambda fake: fake.garble_next(),
    "slow": lambda fake: fake.delay_next(7),
    "too slow": lambda fake: fake.delay_next(70),
}


@attrs.define(kw_only=True)
class Payer:
    """A payer, and how the server reports the payments of this one.

    Attributes:
        id: The ID.
        twins: Whether all purchases are of the same recipient, card and amount.
        named: Whether payments name their payment intents.
        delay: Seconds until a payment is listed.
    """

    id: UUID
    twins: bool
    named: bool
    delay: float
    _models: dict[object, UUID] = attrs.field(factory=dict, init=False, repr=False)

    def model(self, fake: FakeWithChargeLog, purchase: object, number: str) -> UUID:
        """Return the payment intent that those of a purchase with a card are like."""
        key = (number, None if self.twins else purchase)
        if key not in self._models:
            self._models[key] = add_intent(fake, payer_id=self.id, number=number)
        return self._models[key]


@attrs.define(kw_only=True)
class World:
    """The fake, with its time on the event loop's clock.

    Attributes:
        fake: The fake.
        random: Source of all random decisions.
        seen: Number of requests and of faults of each kind.
        unknown: Trace IDs of the calls that were told an unknown status.
        keys: The idempotency keys of all requests to pay a payment intent.
        listed_at: When the last request of a listing arrived, by trace ID.
        late_requests: The requests that arrive after their callers have given up.
    """

    random: random.Random
    seen: Counter[str] = attrs.field(factory=Counter)
    unknown: set[UUID] = attrs.field(factory=set)
    keys: defaultdict[UUID, set[str]] = attrs.field(factory=lambda: defaultdict(set))
    listed_at: dict[UUID, datetime] = attrs.field(factory=dict)
    late_requests: TaskGroup
    fake: FakeWithChargeLog = attrs.field(init=False)
    _payers: dict[str, Payer] = attrs.field(factory=dict)
    _rate: float = 0.0
    _requests_left: int = 0

    def __attrs_post_init__(self) -> None:
        """Make the fake."""
        self.fake = FakeWithChargeLog(
            clock=lambda: START + anyio.current_time(), history=HISTORY
        )

    def make_payer(self) -> Payer:
        """Add a payer with random properties."""
        payer = Payer(
            id=self.fake.add_payer(),
            twins=self.random.random() < 0.5,
            named=self.random.random() < 0.5,
            delay=self.random.choice(LISTING_DELAYS),
        )
        self._payers[str(payer.id)] = payer
        return payer

    def make_intent(self, payer: Payer, purchase: int) -> UUID:
        """Add a payment intent for a purchase; its card may be declined."""
        number = DECLINED_CARD if self.random.random() < 0.1 else GOOD_CARD
        return add_twin(self.fake, payer.model(self.fake, purchase, number))

    def forget_keys(self) -> None:
        """Let the server forget all idempotency keys."""
        self.seen["forgotten keys"] += 1
        forget_keys(self.fake)

    def prepare(self, request: httpx.Request, *, fault: bool) -> None:
        """Prepare the fake for a request that it is about to receive."""
        if request.method == "POST":
            body = json.loads(request.content)
            payer_id = body["payer"]["id"]
            key = request.headers["Idempotency-Key"]
            self.keys[UUID(body["paymentIntent"]["id"])].add(key)
        else:
            payer_id = request.url.params["payerId"]
        payer = self._payers[payer_id]
        self.fake.name_payment_intents = payer.named
        self.fake.listing_delay = payer.delay
        if fault:  # if the caller still waits for the response
            if request.method == "GET" and request.url.path.endswith("/payments"):
                self.listed_at[UUID(request.headers["Trace-Id"])] = self.fake.now
            name, order = self._choose_fault(request)
            self.seen[name] += 1
            order(self.fake)

    def _choose_fault(self, request: httpx.Request) -> tuple[str, Fault]:
        self._requests_left -= 1
        if self._requests_left <= 0:
            self._rate = self.random.choice(FAULT_RATES)
            self._requests_left = self.random.randrange(MOST_REQUESTS_PER_RATE)
        if self.random.random() < self._rate:
            return self.random.choice([*FAULTS.items()])
        _, _, intent_id = request.url.path.partition("/payment-intents/")
        if intent_id and self.random.random() < UNKNOWN_STATUS:
            self.unknown.add(UUID(request.headers["Trace-Id"]))
            body = json.dumps({"id": intent_id, "status": "ON_HOLD"}).encode()
            return "unknown status", lambda fake: fake.garble_next(body)
        return "no fault", lambda _: None

    def short(self) -> float:
        """Return a random number of seconds, from next to none to half a minute."""
        return math.exp(self.random.uniform(-9, 3.5))


class UnreliableTransport(httpx.AsyncBaseTransport):
    """A transport to the fake that pauses, so that calls are cancelled at any time."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, after and before random pauses, or much later."""
        await self._pause()
        if self._world.random.random() < LATE:
            self._world.seen["late"] += 1
            self._world.late_requests.start_soon(self._send_late, request)
            await anyio.sleep_forever()
        response = await self._send(request, fault=True)
        await self._pause()
        return response

    async def _send(self, request: httpx.Request, *, fault: bool) -> httpx.Response:
        # There is no await between this and the fake, which takes its next fault.
        self._world.prepare(request, fault=fault)
        return await self._world.fake.transport.handle_async_request(request)

    async def _send_late(self, request: httpx.Request) -> None:
        await anyio.sleep(self._world.random.choice(DELAYS))
        await self._send(request, fault=False)

    async def _pause(self) -> None:
        chance = self._world.random.random()
        if chance < 0.05:
            await anyio.sleep(self._world.short())
        for _ in range(int(chance * 4)):
            await checkpoint()
