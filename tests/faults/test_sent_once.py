"""What must not happen twice and has no idempotency key is sent once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias
from uuid import UUID

import pytest

from plastiq_async import (
    APIConnectionError,
    APITimeoutError,
    CardUpdate,
    Contact,
    InternalServerError,
    Money,
    PlastiqError,
    PlastiqSession,
)
from plastiq_async.testing import FakePlastiq
from tests.support.internals import add_intent
from tests.support.payment_methods import make_card
from tests.support.recipients import RECIPIENT, make_create_recipient
from tests.support.relay import relay
from tests.support.sessions import TOKEN
from tests.support.socket_server import Server, Step
from tests.support.steps import LOSSES, ignore
from tests.support.uvicorn_server import in_uvicorn
from tests.support.wirings import Connect

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_retries")]

Call: TypeAlias = Callable[[PlastiqSession], Awaitable[object]]

SOME_ID = UUID("5b0c7a3e-93d4-41ee-b9d1-0242ac120002")
CONTACT = Contact(email="ada@example.com")
CALLS: dict[str, Call] = {
    "payers.create": lambda s: s.payers.create(contact=CONTACT),
    "payers.update": lambda s: s.payers.update(SOME_ID, contact=CONTACT),
    "recipients.create": lambda s: s.recipients.create(**RECIPIENT),
    "recipients.update": lambda s: s.recipients.update(SOME_ID, contact=CONTACT),
    "payment_methods.create": lambda s: s.payment_methods.create(
        SOME_ID, data=make_card()
    ),
    "payment_methods.update": lambda s: s.payment_methods.update(
        SOME_ID, SOME_ID, data=CardUpdate(cvv="123", expiration_year="2099")
    ),
    "payment_intents.create": lambda s: s.payment_intents.create(
        payer_id=SOME_ID,
        recipient=make_create_recipient(),
        payment_method_id=SOME_ID,
        target_amount=Money(100),
    ),
    "payment_intents.update": lambda s: s.payment_intents.update(
        SOME_ID, target_amount=Money(100)
    ),
    "payments.refund": lambda s: s.payments.refund(SOME_ID, SOME_ID),
}
calls = pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=list(LOSSES))


async def check_error(call: Awaitable[object]) -> PlastiqError:
    """Return the error of a call whose outcome nobody knows."""
    with pytest.raises(PlastiqError) as info:
        await call
    error = info.value
    assert isinstance(error, (APIConnectionError, InternalServerError))
    assert (error.outcome_unknown, error.next_step) == (True, "reconcile")
    assert (error.attempts, error.idempotency_key) == (1, None)
    return error


@calls
async def test_sent_once(call: Call, connect: Connect) -> None:
    """A request that may have arrived is not sent again, whatever the reaction."""
    with Server(*LOSSES.values()) as server:
        async with connect(server, max_retries=5) as session:
            for count in range(1, len(LOSSES) + 1):
                await check_error(call(session))
                assert len(server.requests) == count
    assert {request.header("Idempotency-Key") for request in server.requests} == {""}


@calls
async def test_sent_once_until_the_deadline(call: Call, connect: Connect) -> None:
    """A request without a response is not sent again before the deadline."""
    with Server(ignore) as server:
        options = {"timeout": 1.0, "attempt_timeout": 0.1}
        async with connect(server, **options) as session:
            error = await check_error(call(session))
        assert isinstance(error, APITimeoutError)
        assert len(server.requests) == 1


@losses
@pytest.mark.parametrize("refunded", [True, False], ids=["refunded", "not refunded"])
async def test_refund(*, loss: Step, refunded: bool, connect: Connect) -> None:
    """A refund is sent once, and the payment tells whether it was made."""
    fake = FakePlastiq(access_tokens=[TOKEN])
    intent_id, payer_id = add_intent(fake), fake.payer_id
    with in_uvicorn(fake.app) as url:
        reaction = relay(url, loss) if refunded else loss
        with Server(relay(url), reaction, relay(url)) as server:
            async with connect(server) as session:
                made = await session.payments.create(intent_id, payer_id)
                await check_error(session.payments.refund(made.id, payer_id))
                assert len(server.requests) == 2
                payment = await session.payments.retrieve(made.id, payer_id)
                assert payment.is_returned is refunded
                second = await session.payments.refund(made.id, payer_id)
    assert (second.succeeded, fake.refunds) == (not refunded, 1)
