"""Payments and refunds with the fake in memory, and one round of them over sockets."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import anyio
import pytest

from plastiq_async import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    BadRequestError,
    InvalidArgumentError,
    Money,
    NotFoundError,
    Page,
    Payment,
    PaymentOrder,
    Payments,
    PlastiqSession,
)
from plastiq_async.testing import FakePlastiq, RecordedRequest
from tests.support.errors import error_of
from tests.support.internals import add_intent
from tests.support.sessions import ANY_CONTEXT, fake_session
from tests.support.timing import eventually
from tests.support.uvicorn_server import in_uvicorn
from tests.support.wirings import WIRINGS

DECLINED_CARD = "4000000000000002"
SOME_ID = UUID("5b0c7a3e-93d4-41ee-b9d1-0242ac120002")

quickly = pytest.mark.usefixtures("quick_retries")


@pytest.fixture
def fake() -> FakePlastiq:
    """Return a fake."""
    return FakePlastiq()


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
def intent_id(fake: FakePlastiq) -> UUID:
    """Return a payment intent that can be paid."""
    return add_intent(fake)


def keys_of(fake: FakePlastiq) -> list[str | None]:
    """Return the idempotency key of each request."""
    return [request.headers.get("idempotency-key") for request in fake.requests]


def the_request(fake: FakePlastiq) -> RecordedRequest:
    """Return the only request that the fake got."""
    (request,) = fake.requests
    return request


# --- success ---


async def test_create(fake: FakePlastiq, payments: Payments, intent_id: UUID) -> None:
    """A payment sends the two IDs and a new key, and returns what was charged."""
    payment = await payments.create(str(intent_id), str(fake.payer_id))
    request = the_request(fake)
    assert (request.operation, request.method) == ("payments.create", "POST")
    assert request.path == "/api/payments"
    assert json.loads(request.body) == {
        "paymentIntent": {"id": str(intent_id)},
        "payer": {"id": str(fake.payer_id)},
    }
    assert fake.charges == 1
    assert keys_of(fake) == [str(payment.idempotency_key)]
    assert payment.idempotency_key
    assert payment.idempotency_key.version == 4
    assert payment.replayed is False
    assert payment.status == "SUBMITTED"
    assert (payment.payer_id, payment.payment_intent_id) == (fake.payer_id, intent_id)
    assert payment.target_amount == Money("100.10")
    assert payment.source_amount == Money("102.95")
    (fee,) = payment.fees
    assert (fee.amount, fee.rate_percent) == (Money("2.85"), Decimal("2.85"))
    assert payment.details
    assert payment.details.memo == "October"
    assert payment.response.attempts == 1
    assert payment.response.idempotency_key == payment.idempotency_key


async def test_given_key(fake: FakePlastiq, payments: Payments) -> None:
    """A second call with the key returns the payment of the first, and says so."""
    key, intent_id = uuid4(), add_intent(fake)
    first = await payments.create(intent_id, fake.payer_id, idempotency_key=str(key))
    second = await payments.create(intent_id, fake.payer_id, idempotency_key=key)
    assert keys_of(fake) == [str(key)] * 2
    assert first == second
    assert (first.replayed, second.replayed) == (False, True)
    assert first.idempotency_key == second.idempotency_key == key
    assert fake.charges == 1


async def test_new_key_for_each_call(fake: FakePlastiq, payments: Payments) -> None:
    """Two calls without a key are two decisions to pay."""
    for _ in range(2):
        await payments.create(add_intent(fake), fake.payer_id)
    assert len(set(keys_of(fake))) == fake.charges == 2


async def test_create_submits(
    payments: Payments, intent_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`create` submits by the method that a test may have replaced."""
    submitted: list[PaymentOrder] = []

    async def submit(order: PaymentOrder, **_: object) -> None:
        submitted.append(order)

    monkeypatch.setattr(payments, "submit", submit)
    await payments.create(intent_id, SOME_ID, idempotency_key=SOME_ID, timeout=5)
    (order,) = submitted
    ids = (order.payment_intent_id, order.payer_id, order.idempotency_key)
    assert ids == (intent_id, SOME_ID, SOME_ID)


async def test_prepare(fake: FakePlastiq, payments: Payments, intent_id: UUID) -> None:
    """A prepared order has a new key or a given one, its time, and sends nothing."""
    before = datetime.now(UTC)
    order = payments.prepare(str(intent_id), str(fake.payer_id))
    assert before <= order.created_at <= datetime.now(UTC)
    assert (order.payment_intent_id, order.payer_id) == (intent_id, fake.payer_id)
    assert order.idempotency_key.version == 4
    assert payments.prepare(intent_id, SOME_ID) != order
    key = uuid4()
    given = payments.prepare(intent_id, SOME_ID, idempotency_key=str(key))
    assert given.idempotency_key == key
    assert fake.requests == []


async def test_submit(fake: FakePlastiq, payments: Payments, intent_id: UUID) -> None:
    """However often an order is submitted, stored or not, it charges once."""
    order = payments.prepare(intent_id, fake.payer_id)
    stored = order.to_json()
    first = await payments.submit(order)
    second = await payments.submit(PaymentOrder.from_json(stored))
    created = await payments.create(
        intent_id, fake.payer_id, idempotency_key=order.idempotency_key
    )
    assert first == second == created
    assert [one.replayed for one in (first, second, created)] == [False, True, True]
    assert keys_of(fake) == [str(order.idempotency_key)] * 3
    assert len({request.body for request in fake.requests}) == 1
    assert fake.charges == 1


async def test_retrieve(fake: FakePlastiq, payments: Payments, intent_id: UUID) -> None:
    """A payment is read by its payer, and has no key of its own."""
    made = await payments.create(intent_id, fake.payer_id)
    fake.advance_payment(made.id, "IN_TRANSIT")
    payment = await payments.retrieve(payment_id=made.id, payer_id=fake.payer_id)
    request = fake.requests[-1]
    assert (request.operation, request.method) == ("payments.retrieve", "GET")
    assert request.path == f"/api/payments/{made.id}"
    assert request.query == {"payerId": (str(fake.payer_id),)}
    assert request.body == b""
    assert (payment.id, payment.status) == (made.id, "IN_TRANSIT")
    assert (payment.idempotency_key, payment.replayed) == (None, False)
    assert keys_of(fake)[-1] is None


async def test_list(fake: FakePlastiq, payments: Payments) -> None:
    """The payments of a payer are listed by pages, and over all pages."""
    made = [await payments.create(add_intent(fake), fake.payer_id) for _ in range(3)]
    page = await payments.list(fake.payer_id, limit=2, offset=1)
    request = fake.requests[-1]
    assert (request.operation, request.path) == ("payments.list", "/api/payments")
    query = {"payerId": (str(fake.payer_id),), "offset": ("1",), "limit": ("2",)}
    assert request.query == query
    assert isinstance(page, Page)
    assert page.data == tuple(made[1:])
    listing = payments.list(fake.payer_id, limit=2)
    assert [payment async for payment in listing] == made
    assert await payments.list(fake.add_payer()) == Page[Payment](
        data=(), offset=0, limit=100, total=0, response=page.response
    )


async def test_refund(fake: FakePlastiq, payments: Payments, intent_id: UUID) -> None:
    """A refund sends the payer's ID and no key, and the payment is then returned."""
    made = await payments.create(intent_id, fake.payer_id)
    refund = await payments.refund(str(made.id), payer_id=fake.payer_id)
    request = fake.requests[-1]
    assert (request.operation, request.method) == ("payments.refund", "POST")
    assert request.path == f"/api/payments/{made.id}/refunds"
    assert json.loads(request.body) == {"payerId": str(fake.payer_id)}
    assert keys_of(fake)[-1] is None
    assert (refund.status, refund.succeeded) == ("REFUNDED", True)
    assert (refund.response.status, refund.response.attempts) == (200, 1)
    assert (await payments.retrieve(made.id, fake.payer_id)).is_returned
    assert (fake.charges, fake.refunds) == (1, 1)


async def test_failed_refund(
    fake: FakePlastiq, payments: Payments, intent_id: UUID
) -> None:
    """A response with status 200 can say that nothing was refunded."""
    made = await payments.create(intent_id, fake.payer_id)
    fake.advance_payment(made.id, "DEPOSITED")
    refund = await payments.refund(made.id, fake.payer_id)
    assert (refund.status, refund.succeeded) == ("REFUND_FAILED", False)
    assert refund.response.status == 200
    assert (await payments.retrieve(made.id, fake.payer_id)).is_deposited
    assert fake.refunds == 0


# --- errors ---


async def test_declined(fake: FakePlastiq, payments: Payments) -> None:
    """A declined card needs a new key, and the same key brings the same refusal."""
    intent_id, key = add_intent(fake, number=DECLINED_CARD), uuid4()
    create = partial(payments.create, intent_id, fake.payer_id, idempotency_key=key)
    for replayed in (False, True):
        error = await error_of(create())
        assert isinstance(error, BadRequestError)
        assert (error.code, error.replayed) == ("PAYMENT_METHOD_DECLINED", replayed)
        assert (error.next_step, error.outcome_unknown) == ("new_key", False)
        assert (error.idempotency_key, error.attempts) == (key, 1)
        assert DECLINED_CARD not in str(error)
    assert fake.charges == 0


async def test_not_capturable(fake: FakePlastiq, payments: Payments) -> None:
    """An intent that is paid already is a reason to look what happened."""
    intent_id = add_intent(fake)
    await payments.create(intent_id, fake.payer_id)
    error = await error_of(payments.create(intent_id, fake.payer_id))
    assert isinstance(error, BadRequestError)
    assert error.code == "VALIDATION_ERROR"
    assert (error.next_step, error.outcome_unknown) == ("reconcile", False)
    assert error.idempotency_key
    assert fake.charges == 1


async def test_key_of_another_payment(fake: FakePlastiq, payments: Payments) -> None:
    """A key that was used for another intent charges nothing."""
    key = uuid4()
    create = partial(payments.create, payer_id=fake.payer_id, idempotency_key=key)
    await create(add_intent(fake))
    error = await error_of(create(add_intent(fake)))
    assert isinstance(error, BadRequestError)
    assert (error.next_step, fake.charges) == ("reconcile", 1)


async def test_not_found(fake: FakePlastiq, payments: Payments) -> None:
    """A payment or a payer that does not exist is a 404, also for a refund."""
    payer_id = fake.payer_id
    for call in (
        payments.retrieve(SOME_ID, payer_id),
        payments.retrieve(SOME_ID, SOME_ID),
        payments.list(SOME_ID),
        payments.refund(SOME_ID, payer_id),
    ):
        error = await error_of(call)
        assert isinstance(error, NotFoundError)
        assert (error.next_step, error.outcome_unknown) == ("fix", False)
        assert error.idempotency_key is None


STATUSES = {
    400: ("reconcile", "fix", "fix"),
    401: ("fix", "fix", "fix"),
    403: ("fix", "fix", "fix"),
    404: ("reconcile", "fix", "fix"),
    408: ("same_key", "again", "reconcile"),
    409: ("same_key", "fix", "reconcile"),
    422: ("reconcile", "fix", "fix"),
    429: ("same_key", "again", "again"),
    500: ("same_key", "again", "reconcile"),
    502: ("same_key", "again", "reconcile"),
    503: ("same_key", "again", "reconcile"),
    504: ("same_key", "again", "reconcile"),
}


@pytest.mark.parametrize("status", STATUSES)
async def test_statuses(fake: FakePlastiq, status: int) -> None:
    """Each status says what to do about a payment, about a read, and about a refund."""
    # The wait is too long for any retry, and for polling a key in flight.
    fake.fail_next(status, times=4, retry_after=61)
    async with fake_session(fake, max_retries=0) as session:
        payments = session.payments
        errors = [
            await error_of(payments.create(SOME_ID, SOME_ID)),
            await error_of(payments.retrieve(SOME_ID, SOME_ID)),
            await error_of(payments.refund(SOME_ID, SOME_ID)),
            await error_of(payments.list(SOME_ID)),
        ]
    create, retrieve, refund, listing = errors
    assert all(isinstance(error, APIStatusError) for error in errors)
    steps = (create.next_step, retrieve.next_step, refund.next_step)
    assert steps == STATUSES[status]
    assert listing.next_step == retrieve.next_step
    doubtful = status in {408, 409} or status >= 500
    assert create.outcome_unknown is refund.outcome_unknown is doubtful
    assert not retrieve.outcome_unknown
    assert [str(create.idempotency_key), *[None] * 3] == keys_of(fake)
    paths = ["/payments", "/payments/{id}", "/payments/{id}/refunds", "/payments"]
    assert [error.path for error in errors] == paths


# --- the retry rule ---

Order: TypeAlias = Callable[[FakePlastiq], None]

ORDERS: dict[str, Order] = {
    "500": lambda fake: fake.fail_next(500),
    "500 after processing": lambda fake: fake.fail_next(500, after_processing=True),
    "503": lambda fake: fake.fail_next(503, shape="html"),
    "503 after processing": lambda fake: fake.fail_next(503, after_processing=True),
    "drop": lambda fake: fake.drop_next(),
    "drop after processing": lambda fake: fake.drop_next(after_processing=True),
}
orders = pytest.mark.parametrize("order", ORDERS.values(), ids=list(ORDERS))


@quickly
@orders
async def test_payment_is_retried_with_its_key(
    order: Order, fake: FakePlastiq, payments: Payments, intent_id: UUID
) -> None:
    """After transient errors every attempt carries the one key, and one charge is."""
    order(fake)
    order(fake)
    payment = await payments.create(intent_id, fake.payer_id)
    assert payment.response.attempts == 3
    assert keys_of(fake) == [str(payment.idempotency_key)] * 3
    assert len({request.body for request in fake.requests}) == 1
    assert fake.charges == 1


@quickly
@orders
async def test_refund_is_sent_once(
    order: Order, fake: FakePlastiq, payments: Payments, intent_id: UUID
) -> None:
    """A refund that may have arrived is not sent again, and the payment tells."""
    made = await payments.create(intent_id, fake.payer_id)
    order(fake)
    error = await error_of(payments.refund(made.id, fake.payer_id))
    assert (error.next_step, error.outcome_unknown) == ("reconcile", True)
    assert (error.idempotency_key, error.attempts) == (None, 1)
    assert len(fake.requests) == 2
    payment = await payments.retrieve(made.id, fake.payer_id)
    assert payment.is_returned == bool(fake.refunds)


@quickly
@orders
async def test_reads_are_retried(
    order: Order, fake: FakePlastiq, payments: Payments, intent_id: UUID
) -> None:
    """A read and a page are asked for again."""
    made = await payments.create(intent_id, fake.payer_id)
    order(fake)
    assert await payments.retrieve(made.id, fake.payer_id) == made
    order(fake)
    assert (await payments.list(fake.payer_id)).data == (made,)
    assert len(fake.requests) == 5


@quickly
async def test_never_sent(
    fake: FakePlastiq, payments: Payments, intent_id: UUID
) -> None:
    """What was never sent is retried, and then can be called again."""
    fake.refuse_next(times=2)
    made = await payments.create(intent_id, fake.payer_id)
    fake.refuse_next(times=2)
    assert (await payments.refund(made.id, fake.payer_id)).succeeded
    fake.refuse_next(times=6)
    create = await error_of(payments.create(SOME_ID, SOME_ID))
    refund = await error_of(payments.refund(SOME_ID, SOME_ID))
    assert (create.next_step, create.outcome_unknown) == ("same_key", False)
    assert create.idempotency_key
    assert (refund.next_step, refund.outcome_unknown) == ("again", False)
    assert (len(fake.requests), fake.charges, fake.refunds) == (2, 1, 1)


@quickly
async def test_replayed_error_is_final(fake: FakePlastiq, payments: Payments) -> None:
    """A stored error is not asked for again, since the key brings it forever."""
    replay = {"Idempotent-Replay": "true"}
    steps = []
    for status in (409, 429, 500, 503):
        fake.garble_next(b"{}", status=status, headers=replay)
        error = await error_of(payments.create(SOME_ID, SOME_ID))
        assert isinstance(error, APIStatusError)
        assert (error.status_code, error.attempts) == (status, 1)
        assert error.replayed
        steps.append(error.next_step)
    assert steps == ["reconcile"] * 4
    assert len(fake.requests) == 4


@quickly
async def test_refused_after_a_lost_attempt(
    fake: FakePlastiq, payments: Payments, intent_id: UUID
) -> None:
    """A refusal settles nothing if an earlier attempt may have charged."""
    for replay, unknown in ((None, True), ("true", False)):
        fake.drop_next()
        headers = {} if replay is None else {"Idempotent-Replay": replay}
        fake.garble_next(b"{}", status=400, headers=headers)
        error = await error_of(payments.create(intent_id, fake.payer_id))
        assert isinstance(error, BadRequestError)
        assert (error.attempts, error.next_step) == (2, "reconcile")
        assert error.outcome_unknown is unknown
    fake.drop_next()
    fake.fail_next(400, code="PAYMENT_METHOD_DECLINED")
    error = await error_of(payments.create(intent_id, fake.payer_id))
    assert (error.next_step, error.outcome_unknown) == ("new_key", False)


@quickly
@pytest.mark.parametrize("status", [401, 403, 405, 410, 413, 451])
async def test_misrouted_after_a_lost_attempt(
    status: int, fake: FakePlastiq, payments: Payments, intent_id: UUID
) -> None:
    """A refusal that is not about the payment tells nothing of an earlier attempt."""
    fake.drop_next(after_processing=True)
    fake.fail_next(status)
    error = await error_of(payments.create(intent_id, fake.payer_id))
    assert (error.next_step, error.outcome_unknown) == ("fix", True)
    assert fake.charges == 1


@pytest.mark.slow
async def test_key_in_flight(
    fake: FakePlastiq, payments: Payments, intent_id: UUID
) -> None:
    """A key in flight is polled for its payment."""
    fake.delay_next(0.7)
    key, results = uuid4(), list[Payment]()

    async def pay() -> None:
        create = partial(payments.create, intent_id, fake.payer_id)
        results.append(await create(idempotency_key=key))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pay)
        await eventually(lambda: fake.requests)
        tasks.start_soon(pay)
    assert sorted(payment.replayed for payment in results) == [False, True]
    assert results[0] == results[1]
    assert fake.charges == 1


# --- whose response it is ---


async def test_replay_with_the_first_trace_id(
    fake: FakePlastiq, payments: Payments, intent_id: UUID
) -> None:
    """A replay is recognized by its header, also with the first call's trace ID."""
    fake.replay_first_trace_id = True
    key = uuid4()
    create = partial(payments.create, intent_id, fake.payer_id, idempotency_key=key)
    first, second = await create(), await create()
    assert first == second
    assert second.replayed
    assert second.response.trace_id == first.response.trace_id
    assert fake.requests[1].trace_id != first.response.trace_id


def garble(fake: FakePlastiq, made: Payment, **changes: object) -> None:
    """Let the next request get a payment with some of its members changed."""
    body = {
        "id": str(made.id),
        "payer": {"id": str(made.payer_id)},
        "paymentIntent": {"id": str(made.payment_intent_id)},
        **changes,
    }
    fake.garble_next(json.dumps(body).encode())


@pytest.mark.parametrize(
    ("member", "name"),
    [("payer", "payer_id"), ("paymentIntent", "payment_intent_id")],
)
async def test_payment_of_another(
    member: str, name: str, fake: FakePlastiq, payments: Payments, intent_id: UUID
) -> None:
    """A payment of another payer or intent is not this call's result."""
    made = await payments.create(intent_id, fake.payer_id)
    garble(fake, made, **{member: {"id": str(SOME_ID)}})
    error = await error_of(payments.create(intent_id, fake.payer_id))
    assert isinstance(error, APIResponseError)
    assert f"not the {name} that was asked for" in str(error)
    assert (error.next_step, error.outcome_unknown) == ("same_key", True)
    assert str(SOME_ID) not in str(error)


@pytest.mark.parametrize(
    ("changes", "name"),
    [({"id": str(SOME_ID)}, "id"), ({"payer": {"id": str(SOME_ID)}}, "payer_id")],
)
async def test_another_payment(
    changes: dict[str, object], name: str, fake: FakePlastiq, payments: Payments
) -> None:
    """Another payment than the one asked for is refused."""
    made = await payments.create(add_intent(fake), fake.payer_id)
    garble(fake, made, **changes)
    error = await error_of(payments.retrieve(made.id, fake.payer_id))
    assert isinstance(error, APIResponseError)
    assert f"not the {name} that was asked for" in str(error)
    assert (error.next_step, error.outcome_unknown) == ("again", False)


async def test_payment_without_references(
    fake: FakePlastiq, payments: Payments
) -> None:
    """A payment may lack everything but its ID, and a status may be a new one."""
    body = {"id": str(SOME_ID), "status": "SHINY", "payer": None}
    fake.garble_next(json.dumps(body).encode(), status=201)
    payment = await payments.create(SOME_ID, fake.payer_id)
    assert (payment.id, payment.status, payment.payer_id) == (SOME_ID, "SHINY", None)
    assert not payment.is_final


@pytest.mark.parametrize("body", [b"{}", b"[]", b"s3cr3t", b'{"status": null}'])
async def test_unreadable(body: bytes, fake: FakePlastiq, payments: Payments) -> None:
    """An unreadable success leaves the outcome unknown, and is not asked for again."""
    fake.garble_next(body, times=2)
    create = await error_of(payments.create(SOME_ID, fake.payer_id))
    refund = await error_of(payments.refund(SOME_ID, fake.payer_id))
    for error, step in ((create, "same_key"), (refund, "reconcile")):
        assert isinstance(error, APIResponseError)
        assert (error.next_step, error.outcome_unknown) == (step, True)
        assert "s3cr3t" not in str(error)
    assert len(fake.requests) == 2


async def test_account_number_in_a_response(
    fake: FakePlastiq, payments: Payments, caplog: pytest.LogCaptureFixture
) -> None:
    """The recipient's account is in neither the repr, the log nor an error."""
    caplog.set_level(logging.DEBUG)
    details = {"accountName": "s3cr3t name", "accountNumber": "s3cr3t", "memo": "x"}
    body = {"id": str(SOME_ID), "details": details}
    fake.garble_next(json.dumps(body).encode())
    payment = await payments.create(SOME_ID, fake.payer_id)
    assert payment.details
    assert payment.details.account_number == "s3cr3t"
    wrong = {**body, "createdAt": "never"}
    fake.garble_next(json.dumps(wrong).encode())
    error = await error_of(payments.create(SOME_ID, fake.payer_id))
    for text in (repr(payment), str(error), repr(error), caplog.text):
        assert "s3cr3t" not in text


# --- arguments ---


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("s3cr3t", SOME_ID), "payment_intent_id"),
        ((SOME_ID, "s3cr3t"), "payer_id"),
        ((None, SOME_ID), "payment_intent_id"),
        ((SOME_ID, 7), "payer_id"),
    ],
)
async def test_invalid_payment(
    arguments: tuple[Any, Any], name: str, fake: FakePlastiq, payments: Payments
) -> None:
    """An invalid ID of a payment is refused before anything is sent."""
    with pytest.raises(InvalidArgumentError, match=f"^{name} must be") as info:
        await payments.create(*arguments)
    assert "s3cr3t" not in str(info.value)
    with pytest.raises(InvalidArgumentError, match=f"^{name} must be"):
        payments.prepare(*arguments)
    assert fake.requests == []


@pytest.mark.parametrize(
    "key",
    [
        "",
        "order-7",
        7,
        UUID(int=0),
        "5b0c7a3e-93d4-11ee-b9d1-0242ac120002",  # version 1
        "5b0c7a3e-93d4-51ee-b9d1-0242ac120002",  # version 5
        "{5b0c7a3e-93d4-41ee-b9d1-0242ac120002}",
    ],
    ids=str,
)
async def test_invalid_key(key: Any, fake: FakePlastiq, payments: Payments) -> None:
    """A key that the API would ignore silently is refused."""
    with pytest.raises(InvalidArgumentError, match=r"^idempotency_key must be") as info:
        await payments.create(SOME_ID, SOME_ID, idempotency_key=key)
    with pytest.raises(InvalidArgumentError, match=r"^idempotency_key must be"):
        payments.prepare(SOME_ID, SOME_ID, idempotency_key=key)
    assert "order-7" not in str(info.value)
    assert fake.requests == []


@pytest.mark.parametrize("order", [None, str(SOME_ID), SOME_ID, {}])
async def test_invalid_order(order: Any, fake: FakePlastiq, payments: Payments) -> None:
    """What is not an order is refused before anything is sent."""
    with pytest.raises(InvalidArgumentError, match=r"^order must be a PaymentOrder"):
        await payments.submit(order)
    assert fake.requests == []


@pytest.mark.parametrize("method", ["retrieve", "refund"])
async def test_invalid_ids(method: str, fake: FakePlastiq, payments: Payments) -> None:
    """An invalid ID of a read or a refund is refused before anything is sent."""
    call = getattr(payments, method)
    with pytest.raises(InvalidArgumentError, match=r"^payment_id must be"):
        await call("../x", SOME_ID)
    with pytest.raises(InvalidArgumentError, match=r"^payer_id must be"):
        await call(SOME_ID, "")
    assert fake.requests == []


async def test_invalid_listing(fake: FakePlastiq, payments: Payments) -> None:
    """An invalid listing is refused at once."""
    with pytest.raises(InvalidArgumentError, match=r"^payer_id must be"):
        payments.list("?")
    for limit in (0, 101):
        with pytest.raises(InvalidArgumentError, match=r"^limit must be"):
            payments.list(SOME_ID, limit=limit)
    with pytest.raises(InvalidArgumentError, match=r"^offset must be"):
        payments.list(SOME_ID, offset=-1)
    assert fake.requests == []


async def test_options(fake: FakePlastiq, payments: Payments) -> None:
    """Every method takes the options of a call, and no other."""
    unknown: Any = {"amount": 5}
    calls: dict[str, Callable[..., Any]] = {
        name: partial(getattr(payments, name), SOME_ID, SOME_ID)
        for name in ("create", "retrieve", "refund")
    }
    calls["list"] = partial(payments.list, SOME_ID)
    order = payments.prepare(SOME_ID, SOME_ID)
    await error_of(payments.submit(order, trace_id=(trace_id := uuid4())))
    assert fake.requests[-1].trace_id == trace_id
    trace_id = uuid4()
    for name, call in calls.items():
        await error_of(call(trace_id=trace_id))
        assert fake.requests[-1].trace_id == trace_id
        with pytest.raises(
            TypeError, match=rf"^payments\.{name}\(\) got an unexpected"
        ):
            await call(**unknown)


# --- cancellation ---


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return our own warnings."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "plastiq_async" and record.levelno >= logging.WARNING
    ]


async def test_cancelled(
    fake: FakePlastiq,
    payments: Payments,
    intent_id: UUID,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A cancelled payment or refund is logged once, with what finds its outcome."""
    made = await payments.create(add_intent(fake), fake.payer_id)
    fake.delay_next(30, times=3)
    key, ids = uuid4(), [uuid4(), uuid4()]
    create = partial(payments.create, intent_id, fake.payer_id, idempotency_key=key)
    calls: list[Callable[[], Awaitable[object]]] = [
        partial(payments.retrieve, made.id, fake.payer_id),
        partial(create, trace_id=ids[0]),
        partial(payments.refund, made.id, fake.payer_id, trace_id=ids[1]),
    ]
    for call in calls:
        sent = len(fake.requests)

        async def run(call: Callable[[], Awaitable[object]] = call) -> None:
            await call()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await eventually(lambda sent=sent: len(fake.requests) > sent)  # type: ignore[misc]
            tasks.cancel_scope.cancel()
    text = "ended early, and its outcome is unknown:"
    assert warnings_in(caplog) == [
        f"payments.create {text} idempotency_key={key} trace_id={ids[0]}",
        f"payments.refund {text} idempotency_key=None trace_id={ids[1]}",
    ]
    assert (fake.charges, fake.refunds) == (2, 1)


# --- over sockets ---


@pytest.mark.slow
@pytest.mark.parametrize(("anyio_backend", "transport"), WIRINGS)
async def test_over_sockets(transport: Any, fake: FakePlastiq) -> None:
    """All methods work over sockets, on each transport."""
    intent_id, payer_id = add_intent(fake), fake.payer_id
    with in_uvicorn(fake.app) as url:
        options = {"base_url": f"{url}/api", "transport": transport}
        async with fake_session(fake, **options, verify=ANY_CONTEXT) as session:
            payments = session.payments
            made = await payments.create(intent_id, payer_id)
            assert await payments.retrieve(made.id, payer_id) == made
            assert [one async for one in payments.list(payer_id)] == [made]
            assert (await payments.refund(made.id, payer_id)).succeeded
            assert not (await payments.refund(made.id, payer_id)).succeeded
            again = await payments.retrieve(made.id, payer_id)
            fake.drop_next()
            error = await error_of(payments.refund(made.id, payer_id))
    assert again.is_returned
    assert isinstance(error, APIConnectionError)
    assert error.outcome_unknown
    assert (fake.charges, fake.refunds) == (1, 1)
