"""What became of a payment order, with the fake in memory and over sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from itertools import repeat, takewhile
from typing import Any, get_args
from uuid import UUID, uuid4

import anyio
import attrs
import pytest

from plastiq_async import (
    APIConnectionError,
    Charged,
    InternalServerError,
    InvalidArgumentError,
    Money,
    NotCharged,
    NotFoundError,
    NotYet,
    Payment,
    PaymentIntent,
    PaymentIntentStatus,
    PaymentOrder,
    PaymentOutcome,
    Payments,
    PaymentStatus,
    PlastiqSession,
    Unclear,
    trace_context,
)
from plastiq_async._resources.payment_orders import MOST_PAYMENTS, find_outcome
from plastiq_async.testing import FakePlastiq
from tests.support.errors import error_of
from tests.support.internals import add_intent, add_twin, forget_card
from tests.support.models import make_info
from tests.support.sessions import ANY_CONTEXT, fake_session
from tests.support.timing import eventually
from tests.support.uvicorn_server import in_uvicorn
from tests.support.wirings import WIRINGS

SOME_ID = UUID("5b0c7a3e-93d4-41ee-b9d1-0242ac120002")
READ = "payment_intents.retrieve"
LIST = "payments.list"

with_ids = pytest.mark.parametrize("ids", [True, False], ids=["IDs", "no IDs"])


@pytest.fixture(params=[False, True], ids=["document", "guide"])
def fake(request: pytest.FixtureRequest) -> FakePlastiq:
    """Return a fake, in either vocabulary."""
    return FakePlastiq(guide_vocabulary=request.param)


@pytest.fixture
async def session(fake: FakePlastiq) -> AsyncIterator[PlastiqSession]:
    """Return a session with the fake."""
    async with fake_session(fake) as session:
        yield session


@pytest.fixture
def payments(session: PlastiqSession) -> Payments:
    """Return the resource."""
    return session.payments


@pytest.fixture
def order(fake: FakePlastiq, payments: Payments) -> PaymentOrder:
    """Return an order that can be paid."""
    return payments.prepare(add_intent(fake), fake.payer_id)


def reads(fake: FakePlastiq) -> list[str | None]:
    """Return the operations of all requests since the last payment."""
    operations = [request.operation for request in fake.requests]
    return list(takewhile("payments.create".__ne__, reversed(operations)))[::-1]


# --- the states of the payment intent ---


@with_ids
async def test_charged(
    *, ids: bool, fake: FakePlastiq, payments: Payments, order: PaymentOrder
) -> None:
    """The payment of a paid intent is found by its ID, else by amount and time."""
    fake.name_payment_intents = ids
    payment = await payments.submit(order)
    assert await payments.outcome_of(order) == Charged(
        payment=payment, matched_by="payment_intent_id" if ids else "amount_and_time"
    )
    assert reads(fake) == [READ, LIST]


async def test_paid_with_another_key(
    fake: FakePlastiq, payments: Payments, order: PaymentOrder
) -> None:
    """An intent can be paid once, so whose key paid it makes no difference."""
    payment = await payments.create(order.payment_intent_id, order.payer_id)
    outcome = await payments.outcome_of(order)
    assert outcome == Charged(payment=payment, matched_by="payment_intent_id")


async def test_not_yet(
    fake: FakePlastiq, payments: Payments, order: PaymentOrder
) -> None:
    """An intent that is not paid may still be, also if something hinders it now."""
    assert await payments.outcome_of(order) == NotYet()
    forget_card(fake, order.payment_intent_id)
    assert await payments.outcome_of(order) == NotYet()
    assert reads(fake) == [READ, READ]


async def test_not_charged(
    fake: FakePlastiq, payments: Payments, order: PaymentOrder
) -> None:
    """An intent that has expired can no longer be paid."""
    fake.advance(300)
    assert await payments.outcome_of(order) == NotCharged()
    assert reads(fake) == [READ]


STATES: dict[PaymentIntentStatus | str | None, PaymentOutcome] = {
    "CAPTURABLE": NotYet(),
    "CAPTURED": Unclear(),
    "EXPIRED": NotCharged(),
    "UNCAPTURABLE": NotYet(),
    "NOT_CAPTURABLE": NotYet(),
    "captured": Unclear(),
    "SOMETHING_NEW": Unclear(),
    "": Unclear(),
    None: Unclear(),
}


def test_states_are_complete() -> None:
    """The table has all known states."""
    assert STATES.keys() >= {*get_args(PaymentIntentStatus)}


@pytest.mark.parametrize("status", STATES)
async def test_states(
    status: str | None, fake: FakePlastiq, payments: Payments, order: PaymentOrder
) -> None:
    """Each state of an intent has its outcome, and an unknown one tells nothing."""
    body = {"id": str(order.payment_intent_id), "status": status}
    fake.garble_next(json.dumps(body).encode())
    assert await payments.outcome_of(order) == STATES[status]
    assert reads(fake) == ([READ, LIST] if status == "CAPTURED" else [READ])


# --- which payment it is ---


@with_ids
async def test_late_payment(
    *, ids: bool, fake: FakePlastiq, payments: Payments, order: PaymentOrder
) -> None:
    """A payment that is not listed yet is unclear until it is."""
    fake.name_payment_intents = ids
    fake.listing_delay = 30
    payment = await payments.submit(order)
    assert await payments.outcome_of(order) == Unclear(candidates=())
    fake.advance(31)
    outcome = await payments.outcome_of(order)
    assert isinstance(outcome, Charged)
    assert outcome.payment == payment


async def test_late_payment_among_others(
    fake: FakePlastiq, payments: Payments, order: PaymentOrder
) -> None:
    """With IDs, a payment of another order is never taken for one that is late."""
    twin = add_twin(fake, order.payment_intent_id)
    other = await payments.create(twin, fake.payer_id)
    fake.advance(60)
    fake.listing_delay = 60
    payment = await payments.submit(order)
    assert (await payments.list(fake.payer_id)).data == (other,)
    assert await payments.outcome_of(order) == Unclear()
    fake.advance(60)
    outcome = await payments.outcome_of(order)
    assert outcome == Charged(payment=payment, matched_by="payment_intent_id")


@with_ids
async def test_twins(
    *, ids: bool, fake: FakePlastiq, payments: Payments, order: PaymentOrder
) -> None:
    """Payments that differ by their ID alone are told apart by their intents only."""
    fake.name_payment_intents = ids
    fake.advance(60)
    twin = payments.prepare(add_twin(fake, order.payment_intent_id), fake.payer_id)
    paid = [await payments.submit(one) for one in (order, twin)]
    outcomes = [await payments.outcome_of(one) for one in (order, twin)]
    if ids:
        assert outcomes == [
            Charged(payment=payment, matched_by="payment_intent_id") for payment in paid
        ]
    else:
        assert outcomes == [Unclear(candidates=tuple(paid))] * 2


async def test_payments_of_other_terms(
    fake: FakePlastiq, payments: Payments, order: PaymentOrder
) -> None:
    """Payments of another amount, recipient, card, payer or time are no candidates."""
    fake.name_payment_intents = False
    other = fake.add_payer()
    before = add_twin(fake, order.payment_intent_id)
    await payments.create(before, fake.payer_id)
    fake.advance(7 * 60)
    order = payments.prepare(add_twin(fake, before), fake.payer_id)
    await payments.create(add_intent(fake, amount="100.11"), fake.payer_id)
    await payments.create(add_intent(fake), fake.payer_id)
    await payments.create(add_intent(fake, payer_id=other), other)
    payment = await payments.submit(order)
    fake.advance(7 * 60)
    await payments.create(add_twin(fake, before), fake.payer_id)
    assert len((await payments.list(fake.payer_id)).data) == 5
    outcome = await payments.outcome_of(order)
    assert outcome == Charged(payment=payment, matched_by="amount_and_time")


@with_ids
@pytest.mark.parametrize("status", get_args(PaymentStatus))
async def test_what_became_of_it(
    *,
    status: str,
    ids: bool,
    fake: FakePlastiq,
    payments: Payments,
    order: PaymentOrder,
) -> None:
    """A payment is found in each of its states, and tells it."""
    fake.name_payment_intents = ids
    payment = await payments.submit(order)
    fake.advance_payment(payment.id, status)
    outcome = await payments.outcome_of(order)
    assert isinstance(outcome, Charged)
    assert (outcome.payment.id, outcome.payment.status) == (payment.id, status)


async def test_refunded(
    fake: FakePlastiq, payments: Payments, order: PaymentOrder
) -> None:
    """An order whose payment was refunded was charged, and was refunded."""
    payment = await payments.submit(order)
    assert (await payments.refund(payment.id, fake.payer_id)).succeeded
    outcome = await payments.outcome_of(order)
    assert isinstance(outcome, Charged)
    assert outcome.payment.is_returned


@with_ids
async def test_pages(
    *, ids: bool, fake: FakePlastiq, payments: Payments, order: PaymentOrder
) -> None:
    """The search goes on over all pages, and ends where it finds the intent."""
    fake.name_payment_intents = ids
    other = add_intent(fake, amount="7.00")
    for _ in range(100):
        await payments.create(add_twin(fake, other), fake.payer_id)
    payment = await payments.submit(order)
    for _ in range(100):
        await payments.create(add_twin(fake, other), fake.payer_id)
    outcome = await payments.outcome_of(order)
    assert isinstance(outcome, Charged)
    assert outcome.payment == payment
    assert reads(fake) == [READ, *[LIST] * (2 if ids else 3)]


# --- what a server may report ---

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
IDS = {name: uuid4() for name in ("payer_id", "recipient_id", "payment_method_id")}
TERMS: dict[str, Any] = {
    **IDS,
    "target_amount": Money("100.00"),
    "source_amount": Money("102.85"),
    "created_at": NOW,
}
INTENT_ID = UUID("6f0e1f7a-0d0b-41ef-9d52-0242ac120002")
INTENT = PaymentIntent(
    id=INTENT_ID,
    **TERMS,
    status="CAPTURED",
    expires_at=NOW + 5 * MINUTE,
    response=make_info(),
)
PAYMENT = Payment(id=uuid4(), **TERMS, response=make_info())


async def outcome_for(
    intent: PaymentIntent, payments: Iterable[Payment]
) -> PaymentOutcome:
    """Return the outcome for a listing of these payments."""

    async def listing() -> AsyncGenerator[Payment, None]:
        for payment in payments:
            yield payment

    async with aclosing(listing()) as listed:
        return await find_outcome(intent, listed)


@pytest.mark.parametrize(
    "changes",
    [
        {"payment_intent_id": SOME_ID},
        {"payer_id": SOME_ID},
        {"recipient_id": SOME_ID},
        {"payment_method_id": SOME_ID},
        {"target_amount": Money("100.01")},
        {"source_amount": Money("102.86")},
        {"target_amount": Money("100.00", "CAD")},
        {"created_at": NOW - MINUTE - timedelta.resolution},
        {"created_at": NOW + 6 * MINUTE + timedelta.resolution},
        {"created_at": datetime.min.replace(tzinfo=UTC)},
        {"created_at": datetime.max.replace(tzinfo=UTC)},
    ],
    ids=str,
)
async def test_another_payment(changes: dict[str, Any]) -> None:
    """A payment that differs in one of these is not that of the intent."""
    other = attrs.evolve(PAYMENT, id=uuid4(), **changes)
    assert await outcome_for(INTENT, [other]) == Unclear()
    charged = Charged(payment=PAYMENT, matched_by="amount_and_time")
    assert await outcome_for(INTENT, [other, PAYMENT]) == charged
    assert await outcome_for(INTENT, [PAYMENT, other]) == charged


@pytest.mark.parametrize(
    "changes",
    [
        {"payment_method_id": None},
        {"target_amount": None},
        {"source_amount": None},
        {"target_amount": Money(100)},
        {"created_at": NOW - MINUTE},
        {"created_at": NOW + 6 * MINUTE},
        {"status": "SOMETHING_NEW"},
    ],
    ids=str,
)
async def test_enough(changes: dict[str, Any]) -> None:
    """One of the amounts and the time are enough for the only candidate."""
    payment = attrs.evolve(PAYMENT, **changes)
    charged = Charged(payment=payment, matched_by="amount_and_time")
    assert await outcome_for(INTENT, [payment]) == charged


NEEDED_OF_BOTH: list[dict[str, Any]] = [
    {"payer_id": None},
    {"recipient_id": None},
    {"target_amount": None, "source_amount": None},
    {"created_at": None},
]


@pytest.mark.parametrize("absent", [*NEEDED_OF_BOTH, {"expires_at": None}], ids=str)
async def test_intent_of_too_little(absent: dict[str, Any]) -> None:
    """Without parties, amount and time of the intent, the candidate stays one."""
    intent = attrs.evolve(INTENT, **absent)
    assert await outcome_for(intent, [PAYMENT]) == Unclear(candidates=(PAYMENT,))


@pytest.mark.parametrize("absent", NEEDED_OF_BOTH, ids=str)
async def test_payment_of_too_little(absent: dict[str, Any]) -> None:
    """Without its parties, amount and time, a payment stays a candidate."""
    payment = attrs.evolve(PAYMENT, **absent)
    assert await outcome_for(INTENT, [payment]) == Unclear(candidates=(payment,))


async def test_bare_payments() -> None:
    """An ID alone makes no payment that of the intent, and rules none out."""
    bare = [Payment(id=uuid4(), response=make_info()) for _ in range(2)]
    assert await outcome_for(INTENT, bare) == Unclear(candidates=tuple(bare))
    assert await outcome_for(INTENT, bare[:1]) == Unclear(candidates=(bare[0],))
    own = attrs.evolve(bare[1], payment_intent_id=INTENT_ID)
    charged = Charged(payment=own, matched_by="payment_intent_id")
    assert await outcome_for(INTENT, [bare[0], own]) == charged


async def test_repeated_payment() -> None:
    """A payment that pages repeat is one candidate, and the latest one counts."""
    later = attrs.evolve(PAYMENT, status="DEPOSITED")
    outcome = await outcome_for(INTENT, [PAYMENT, later])
    assert outcome == Charged(payment=later, matched_by="amount_and_time")


async def test_long_listing() -> None:
    """The search ends at its limit, and does not conclude from a part of a listing."""
    other = attrs.evolve(PAYMENT, payment_intent_id=uuid4())
    own = attrs.evolve(PAYMENT, payment_intent_id=INTENT_ID)
    others = [*repeat(other, MOST_PAYMENTS - 1)]
    assert await outcome_for(INTENT, [*others, own]) == Charged(
        payment=own, matched_by="payment_intent_id"
    )
    assert await outcome_for(INTENT, [*others, other, own]) == Unclear()
    unclear = Unclear(candidates=(PAYMENT,))
    assert await outcome_for(INTENT, [PAYMENT, *others]) == unclear
    charged = Charged(payment=PAYMENT, matched_by="amount_and_time")
    assert await outcome_for(INTENT, [PAYMENT, *others[1:]]) == charged


# --- calls ---


async def test_one_trace_id(
    fake: FakePlastiq, payments: Payments, order: PaymentOrder
) -> None:
    """All reads of an outcome carry one trace ID: a new one, or that of the caller."""
    await payments.submit(order)
    given = uuid4()
    await payments.outcome_of(order)
    await payments.outcome_of(order, trace_id=given)
    with trace_context() as surrounding:
        await payments.outcome_of(order)
    ids = [request.trace_id for request in fake.requests]
    assert ids[1] == ids[2]
    assert ids[3:] == [given, given, surrounding, surrounding]
    assert len(set(ids)) == 4


async def test_reads_only(
    fake: FakePlastiq, payments: Payments, order: PaymentOrder
) -> None:
    """An outcome sends no key and changes nothing."""
    await payments.submit(order)
    await payments.outcome_of(order)
    for request in fake.requests[1:]:
        assert request.method == "GET"
        assert "idempotency-key" not in request.headers
        assert request.query["payerId"] == (str(fake.payer_id),)
    assert fake.charges == 1


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("operation", [READ, LIST])
async def test_retries(
    operation: str, fake: FakePlastiq, payments: Payments, order: PaymentOrder
) -> None:
    """Each read is retried after transient errors, and its last error is raised."""
    payment = await payments.submit(order)
    fake.fail_next(503, on=operation)
    fake.drop_next(on=operation)
    outcome = await payments.outcome_of(order)
    assert outcome == Charged(payment=payment, matched_by="payment_intent_id")
    fake.fail_next(500, on=operation, times=3)
    error = await error_of(payments.outcome_of(order))
    assert isinstance(error, InternalServerError)
    assert (error.next_step, error.outcome_unknown) == ("again", False)
    assert error.idempotency_key is None


async def test_unknown_intent(fake: FakePlastiq, payments: Payments) -> None:
    """An intent that the server does not know is an error, and no outcome."""
    order = payments.prepare(SOME_ID, fake.payer_id)
    assert isinstance(await error_of(payments.outcome_of(order)), NotFoundError)
    assert reads(fake) == [READ]


@pytest.mark.parametrize("order", [None, SOME_ID, "{}", {}])
async def test_invalid_order(order: Any, fake: FakePlastiq, payments: Payments) -> None:
    """What is not an order is refused before anything is sent."""
    with pytest.raises(InvalidArgumentError, match=r"^order must be a PaymentOrder"):
        await payments.outcome_of(order)
    assert fake.requests == []


async def test_options(
    fake: FakePlastiq, payments: Payments, order: PaymentOrder
) -> None:
    """The options are those of all calls, for each read."""
    unknown: Any = {"amount": 5}
    with pytest.raises(TypeError, match=r"^payments\.outcome_of\(\) got an unexpected"):
        await payments.outcome_of(order, **unknown)
    with pytest.raises(InvalidArgumentError, match=r"^timeout must be"):
        await payments.outcome_of(order, timeout=0)
    assert fake.requests == []


async def test_cancelled(
    fake: FakePlastiq,
    payments: Payments,
    order: PaymentOrder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A cancelled outcome ends at once, and nothing is to be logged."""
    await payments.submit(order)
    fake.delay_next(30, on=LIST)
    with caplog.at_level("WARNING"):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(payments.outcome_of, order)
            await eventually(lambda: reads(fake) == [READ, LIST])
            tasks.cancel_scope.cancel()
    assert caplog.records == []
    assert isinstance(await payments.outcome_of(order), Charged)


# --- over sockets ---


@pytest.mark.slow
@pytest.mark.parametrize(("anyio_backend", "transport"), WIRINGS)
async def test_over_sockets(transport: Any, fake: FakePlastiq) -> None:
    """Every outcome works over sockets, on each transport."""
    with in_uvicorn(fake.app) as url:
        options = {"base_url": f"{url}/api", "transport": transport}
        async with fake_session(fake, **options, verify=ANY_CONTEXT) as session:
            payments = session.payments
            order = payments.prepare(add_intent(fake), fake.payer_id)
            assert await payments.outcome_of(order) == NotYet()
            fake.drop_next(after_processing=True, on="payments.create")
            once = session.with_options(max_retries=0)
            error = await error_of(once.payments.submit(order))
            assert isinstance(error, APIConnectionError)
            assert error.outcome_unknown
            fake.listing_delay = 60
            assert await payments.outcome_of(order) == Unclear()
            fake.listing_delay = 0
            outcome = await payments.outcome_of(order)
            assert isinstance(outcome, Charged)
            payment = await payments.submit(order)
            assert (outcome.payment, payment.replayed) == (payment, True)
            expired = payments.prepare(add_intent(fake), fake.payer_id)
            fake.advance(301)
            assert await payments.outcome_of(expired) == NotCharged()
    assert fake.charges == 1
