"""Calls of all kinds in bulk: any operation, payments, and functions that go wrong."""

from __future__ import annotations

import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import anyio
import attrs
import pytest
from anyio.lowlevel import checkpoint

from plastiq_async import (
    APIConnectionError,
    BadRequestError,
    Failed,
    HookError,
    InvalidArgumentError,
    NotFoundError,
    Payment,
    PlastiqSession,
    bulk,
)
from plastiq_async.testing import FakePlastiq
from tests.support.errors import frames_of
from tests.support.internals import add_intent
from tests.support.payment_methods import CARD_NUMBER
from tests.support.sessions import ANY_CONTEXT, fake_session
from tests.support.timing import eventually
from tests.support.uvicorn_server import in_uvicorn
from tests.support.wirings import WIRINGS


@pytest.fixture
def fake() -> FakePlastiq:
    """Return a fake."""
    return FakePlastiq()


@pytest.fixture
async def session(fake: FakePlastiq) -> AsyncIterator[PlastiqSession]:
    """Return a session with the fake."""
    async with fake_session(fake) as session:
        yield session


# --- any operation ---


async def test_retrieve(fake: FakePlastiq, session: PlastiqSession) -> None:
    """A method of a resource is called once for each item."""
    known = [fake.add_payer() for _ in range(20)]
    unknown = [uuid4(), uuid4()]
    results: dict[UUID, object] = {}
    async with bulk(session.payers.retrieve, [*known, *unknown]) as outcomes:
        async for outcome in outcomes:
            match outcome:
                case Failed(request=payer_id, error=error):
                    results[payer_id] = type(error)
                case _:
                    results[outcome.request] = outcome.result.id
    expected: dict[UUID, object] = {payer_id: payer_id for payer_id in known}
    assert results == expected | dict.fromkeys(unknown, NotFoundError)
    assert len(fake.requests) == 22


async def test_of_a_listing(fake: FakePlastiq, session: PlastiqSession) -> None:
    """The items may come from a listing, and the call may be another listing."""
    for _ in range(3):
        payment = await session.payments.create(add_intent(fake), fake.payer_id)
        assert payment.payer_id

    async def methods_of(payment: Payment) -> int:
        assert payment.payer_id
        return len(
            await session.payment_methods.list(payment.payer_id).collect(limit=9)
        )

    async with bulk(methods_of, session.payments.list(fake.payer_id)) as outcomes:
        assert [outcome.result async for outcome in outcomes] == [3, 3, 3]
    async with bulk(session.payments.list, [fake.payer_id]) as pages:
        (page,) = [outcome.result async for outcome in pages]
    assert page
    assert len(page.data) == 3


async def test_ten_at_once() -> None:
    """Without `concurrency`, ten calls are in flight at most."""
    in_flight = most = 0

    async def call(number: int) -> None:
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        for _ in range(5):
            await checkpoint()
        in_flight -= 1

    async with bulk(call, range(300)) as outcomes:
        assert len([outcome async for outcome in outcomes]) == 300
    assert most == 10


# --- payments ---


@attrs.frozen
class Order:
    """A decision to pay, with its key, as an application stores it."""

    intent_id: UUID
    payer_id: UUID
    key: UUID = attrs.field(factory=uuid4)


def pay_with(session: PlastiqSession) -> Callable[[Order], Awaitable[Payment]]:
    """Return a function that pays for an order with its own key."""

    async def pay(order: Order) -> Payment:
        return await session.payments.create(
            order.intent_id, order.payer_id, idempotency_key=order.key
        )

    return pay


def orders_for(fake: FakePlastiq, number: int) -> list[Order]:
    """Return so many orders, each for a payment intent of its own."""
    return [Order(add_intent(fake), fake.payer_id) for _ in range(number)]


@pytest.mark.parametrize(
    ("anyio_backend", "transport"), WIRINGS, indirect=["anyio_backend"]
)
async def test_charged_once(transport: Any, fake: FakePlastiq) -> None:
    """Orders that are paid for until each has its payment are charged once each.

    Responses are lost, and the block is left in the middle of payments in flight.
    """
    orders = {order.key: order for order in orders_for(fake, 30)}
    paid: dict[UUID, UUID] = {}
    with in_uvicorn(fake.app) as url:
        options = {"base_url": f"{url}/api", "transport": transport, "max_retries": 0}
        async with fake_session(fake, **options, verify=ANY_CONTEXT) as session:
            while left := [order for key, order in orders.items() if key not in paid]:
                if len(left) > 10:
                    fake.drop_next(times=2, after_processing=True)
                async with bulk(pay_with(session), left) as outcomes:
                    async for outcome in outcomes:
                        key = outcome.request.key
                        if isinstance(outcome, Failed):
                            assert isinstance(outcome.error, APIConnectionError)
                            assert outcome.error.idempotency_key == key
                            continue
                        paid[key] = outcome.result.id
                        if len(paid) % 7 == 0:
                            break
    assert paid.keys() == orders.keys()
    assert len(set(paid.values())) == fake.charges == 30


async def test_payment_in_flight(
    fake: FakePlastiq, session: PlastiqSession, caplog: pytest.LogCaptureFixture
) -> None:
    """Leaving the block cancels payments in flight, and each logs its key once."""
    orders = orders_for(fake, 3)
    fake.delay_next(30, times=3)
    async with bulk(pay_with(session), orders):
        await eventually(lambda: fake.charges == 3)
    warnings = [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING
    ]
    assert len(warnings) == 3
    for order in orders:
        assert any(str(order.key) in warning for warning in warnings)


# --- functions that go wrong ---


def at_once(number: int) -> int:
    """Return a result without being async."""
    return number


async def generate(number: int) -> AsyncIterator[int]:
    """Yield a number, which is not to return one."""
    yield number


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (at_once, "call at_once returned a int, not an awaitable"),
        (partial(at_once), "call at_once returned a int, not an awaitable"),
        (generate, "call generate returned a async_generator, not an awaitable"),
        ({}.get, "call dict.get returned None, not an awaitable"),
    ],
)
async def test_no_awaitable(call: Any, message: str) -> None:
    """A function that returns no awaitable fails each item with an error that says so.

    Each item is passed to it once.
    """
    async with bulk(call, [1, 2, 3]) as outcomes:
        failed = [outcome async for outcome in outcomes]
    assert [outcome.request for outcome in failed] == [1, 2, 3]
    for outcome in failed:
        assert isinstance(outcome.error, HookError)
        assert str(outcome.error) == message


async def test_raises_at_once() -> None:
    """An exception is an outcome, too, if the function raises it before it awaits."""
    error = ZeroDivisionError()

    async def wait(number: int) -> None:
        await checkpoint()

    def call(number: int) -> Awaitable[None]:
        if number > 0:
            raise error
        return wait(number)

    async with bulk(call, [1, 0, 2]) as outcomes:
        errors = [outcome.error async for outcome in outcomes]
    assert errors == [error, error, None]


@pytest.mark.parametrize("call", [None, 7, "payers.retrieve"])
def test_not_callable(call: Any) -> None:
    """What cannot be called is refused at once."""
    with pytest.raises(InvalidArgumentError, match=r"^call must be an async function"):
        bulk(call, [1])


@pytest.mark.parametrize("items", [None, 7])
def test_bad_items(items: Any) -> None:
    """What cannot be iterated over is refused at once."""
    with pytest.raises(InvalidArgumentError, match=r"^items must be an iterable"):
        bulk(generate, items)  # type: ignore[arg-type]  # on purpose


def test_bad_concurrency() -> None:
    """A concurrency that cannot be is refused at once."""
    with pytest.raises(InvalidArgumentError, match=r"^concurrency must be"):
        bulk(checkpoint_for, [1], concurrency=0)


async def checkpoint_for(number: int) -> int:
    """Return the number after a checkpoint."""
    await checkpoint()
    return number


class EndOfProgram(BaseException):
    """What ends a program, such as `SystemExit`, which an event loop treats itself."""


@pytest.mark.parametrize("source", [False, True])
async def test_base_exception(source: bool) -> None:
    """What is no `Exception` ends the block, and cancels the other calls."""
    cancelled = []

    async def call(number: int) -> None:
        if number == 3:
            raise EndOfProgram
        try:
            await anyio.sleep(60)
        except anyio.get_cancelled_exc_class():
            cancelled.append(number)
            raise

    async def generate() -> AsyncIterator[int]:
        yield 1
        yield 2
        await checkpoint()
        if source:
            raise EndOfProgram
        yield 3

    async def fetch() -> None:
        async with bulk(call, generate()) as outcomes:
            await anext(outcomes)

    with pytest.raises(BaseExceptionGroup) as info:
        await fetch()
    assert [type(error) for error in info.value.exceptions] == [EndOfProgram]
    assert sorted(cancelled) == [1, 2]


async def test_private_items(session: PlastiqSession) -> None:
    """No frame of ours holds the item, because crash reporters collect variables."""

    async def call(number: str) -> None:
        await session.client_secrets.create(uuid4())

    async with bulk(call, [CARD_NUMBER]) as outcomes:
        (outcome,) = [outcome async for outcome in outcomes]
    assert isinstance(outcome.error, BadRequestError)
    assert CARD_NUMBER not in "".join(frames_of(outcome.error))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_private_items_of_a_stray_cancellation() -> None:
    """Neither does one of an error that came of something cancelled."""

    async def call(number: str) -> None:
        raise anyio.get_cancelled_exc_class()

    async with bulk(call, [CARD_NUMBER]) as outcomes:
        (outcome,) = [outcome async for outcome in outcomes]
    assert isinstance(outcome.error, HookError)
    assert "call test_private_items_of" in str(outcome.error)
    assert outcome.error.__traceback__ is None
    cause = outcome.error.__cause__
    assert cause
    frames = traceback.extract_tb(cause.__traceback__)
    assert [frame.filename for frame in frames] == [__file__]
