from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import attrs
import pytest

import worker
from outbox import Order, Outcome
from plastiq_async import Charged, PaymentOrder, PlastiqSession
from plastiq_async.testing import FakePlastiq
from tests.support.internals import add_intent, add_twin, forget_keys
from tests.support.outbox_table import DECLINED_CARD
from tests.support.sessions import fake_session
from worker import KEY_LIFETIME, attempt, pay


@pytest.fixture
async def plastiq(fake_plastiq: FakePlastiq) -> AsyncIterator[PlastiqSession]:
    """Return a session that does not retry."""
    async with fake_session(fake_plastiq, max_retries=0) as session:
        yield session


@pytest.fixture
def payment(fake_plastiq: FakePlastiq, plastiq: PlastiqSession) -> PaymentOrder:
    """Return a payment that can be made."""
    return plastiq.payments.prepare(add_intent(fake_plastiq), fake_plastiq.payer_id)


def old(payment: PaymentOrder) -> PaymentOrder:
    """Return the same payment as if its key might be forgotten."""
    created_at = payment.created_at - KEY_LIFETIME - timedelta(seconds=1)
    return attrs.evolve(payment, created_at=created_at)


async def test_lost(
    fake_plastiq: FakePlastiq, plastiq: PlastiqSession, payment: PaymentOrder
) -> None:
    """While the outcome is unknown, the order is pending; then it is charged."""
    fake_plastiq.drop_next(after_processing=True)
    assert await pay(plastiq, payment) == Outcome("pending")
    outcome = await pay(plastiq, payment)
    paid = await plastiq.payments.list(payment.payer_id)
    assert outcome == Outcome("charged", paid.data[0].id)
    assert fake_plastiq.charges == 1


async def test_declined(fake_plastiq: FakePlastiq, plastiq: PlastiqSession) -> None:
    """A declined card is final."""
    intent_id = add_intent(fake_plastiq, number=DECLINED_CARD)
    payment = plastiq.payments.prepare(intent_id, fake_plastiq.payer_id)
    assert await pay(plastiq, payment) == Outcome("declined")


async def test_expired(
    fake_plastiq: FakePlastiq, plastiq: PlastiqSession, payment: PaymentOrder
) -> None:
    """A payment intent that expired before the first submission is final."""
    fake_plastiq.advance(301)
    assert await pay(plastiq, payment) == Outcome("not_charged")


async def test_forgotten_key(
    fake_plastiq: FakePlastiq, plastiq: PlastiqSession, payment: PaymentOrder
) -> None:
    """If the API has forgotten the key, the payment is found."""
    paid = await plastiq.payments.submit(payment)
    forget_keys(fake_plastiq)
    assert await pay(plastiq, payment) == Outcome("charged", paid.id)


async def test_old_key(
    fake_plastiq: FakePlastiq, plastiq: PlastiqSession, payment: PaymentOrder
) -> None:
    """If the key may be forgotten, the outcome is found without a submission."""
    assert await pay(plastiq, old(payment)) == Outcome("unclear")
    assert fake_plastiq.charges == 0
    paid = await plastiq.payments.submit(payment)
    assert await pay(plastiq, old(payment)) == Outcome("charged", paid.id)
    submissions = [one.operation for one in fake_plastiq.requests]
    assert submissions.count("payments.create") == 1


async def test_twins(
    fake_plastiq: FakePlastiq, plastiq: PlastiqSession, payment: PaymentOrder
) -> None:
    """While the API lists payments late, no order takes the payment of its twin."""
    fake_plastiq.name_payment_intents = False
    twin_id = add_twin(fake_plastiq, payment.payment_intent_id)
    twin = await plastiq.payments.create(twin_id, payment.payer_id)
    fake_plastiq.advance(60)
    fake_plastiq.listing_delay = 60
    await plastiq.payments.submit(payment)
    forget_keys(fake_plastiq)
    wrong = await plastiq.payments.outcome_of(payment)
    assert isinstance(wrong, Charged)
    assert wrong.payment.id == twin.id
    assert await pay(plastiq, payment) == Outcome("pending")
    fake_plastiq.advance(60)
    assert await pay(plastiq, old(payment)) == Outcome("unclear")
    assert fake_plastiq.charges == 2


async def test_inferred(
    fake_plastiq: FakePlastiq, plastiq: PlastiqSession, payment: PaymentOrder
) -> None:
    """An inferred payment counts as soon as the API must have listed the right one."""
    fake_plastiq.name_payment_intents = False
    paid = await plastiq.payments.submit(payment)
    forget_keys(fake_plastiq)
    assert await pay(plastiq, payment) == Outcome("pending")
    assert await pay(plastiq, old(payment)) == Outcome("charged", paid.id)


async def test_attempt(
    fake_plastiq: FakePlastiq, plastiq: PlastiqSession, payment: PaymentOrder
) -> None:
    """An attempt pays for the order that the row contains."""
    outcome = await attempt(plastiq, Order(id=1, payment=payment.to_json()))
    paid = await plastiq.payments.list(payment.payer_id)
    assert outcome == Outcome("charged", paid.data[0].id)


async def test_unreadable(
    fake_plastiq: FakePlastiq,
    plastiq: PlastiqSession,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An order that cannot be read is left to a person, and named."""
    order = Order(id=17, payment="{}")
    assert await attempt(plastiq, order) == Outcome("unclear")
    assert capsys.readouterr().out.startswith("order 17: ")
    assert fake_plastiq.requests == []


async def test_slow(
    fake_plastiq: FakePlastiq,
    plastiq: PlastiqSession,
    payment: PaymentOrder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An attempt that takes too long is given up, and its order stays pending."""
    monkeypatch.setattr(worker, "ATTEMPT_TIMEOUT", 0.05)
    fake_plastiq.delay_next(30)
    order = Order(id=1, payment=payment.to_json())
    assert await attempt(plastiq, order) == Outcome("pending")
    assert capsys.readouterr().out == ""  # there was no error, such as a timeout


async def test_refused(
    fake_plastiq: FakePlastiq, plastiq: PlastiqSession, payment: PaymentOrder
) -> None:
    """If a refusal says nothing of the payment, it is looked up, or tried later."""
    refuse = partial(fake_plastiq.fail_next, 400, on="payments.create")
    refuse()
    assert await pay(plastiq, payment) == Outcome("pending")
    refuse()
    fake_plastiq.fail_next(401, on="payment_intents.retrieve")
    assert await pay(plastiq, payment) == Outcome("pending")
    refuse()
    unknown = f'{{"id": "{payment.payment_intent_id}", "status": "NEW"}}'
    fake_plastiq.garble_next(unknown.encode(), on="payment_intents.retrieve", times=2)
    assert await pay(plastiq, payment) == Outcome("pending")
    assert await pay(plastiq, old(payment)) == Outcome("unclear")
