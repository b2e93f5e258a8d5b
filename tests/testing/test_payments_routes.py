"""The fake's payments and refunds, over plain HTTP."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from plastiq_async.testing import FakePlastiq
from tests.support.internals import add_intent
from tests.testing.calls import call, problem

DECLINED_CARD = "4000000000000002"
NOWHERE = "5b0c7a3e-93d4-41ee-b9d1-0242ac120002"
PLASTIQ_FEE = {
    "amount": {"value": Decimal("2.85"), "currency": "USD"},
    "type": "PLASTIQ_SERVICE_FEE",
    "rate": "2.85%",
}


@pytest.fixture
def fake() -> FakePlastiq:
    """Return a fake."""
    return FakePlastiq()


def body_for(fake: FakePlastiq, intent_id: object, **changes: object) -> dict[str, Any]:
    """Return the body that pays an intent, with some members replaced."""
    return {
        "paymentIntent": {"id": str(intent_id)},
        "payer": {"id": str(fake.payer_id)},
        **changes,
    }


async def pay(
    fake: FakePlastiq, intent_id: object, key: object = None, **changes: object
) -> httpx.Response:
    """Pay an intent, with an idempotency key if one is given."""
    headers = {} if key is None else {"Idempotency-Key": str(key)}
    body = body_for(fake, intent_id, **changes)
    return await call(fake, "POST", "/payments", json=body, headers=headers)


async def paid(fake: FakePlastiq, **changes: Any) -> str:
    """Pay a new intent, and return the ID of the payment."""
    payment_id: str = (await pay(fake, add_intent(fake, **changes))).json()["id"]
    return payment_id


async def read(
    fake: FakePlastiq, payment_id: object, payer_id: object = None
) -> httpx.Response:
    """Read a payment as a payer, by default the first."""
    query = {"payerId": str(payer_id or fake.payer_id)}
    return await call(fake, "GET", f"/payments/{payment_id}", params=query)


async def refund(fake: FakePlastiq, payment_id: object, body: object) -> httpx.Response:
    """Refund a payment with this body."""
    return await call(fake, "POST", f"/payments/{payment_id}/refunds", json=body)


# --- paying ---


async def test_pay(fake: FakePlastiq) -> None:
    """A payment has the terms of its intent, and a status of its own."""
    intent_id = add_intent(fake, amount="100.00")
    response = await pay(fake, intent_id)
    payment = json.loads(response.content, parse_float=Decimal)
    assert response.status_code == 200
    assert UUID(payment.pop("id")).version == 4
    references = [payment.pop(name) for name in ("recipient", "paymentMethod")]
    assert all(UUID(reference["id"]).version == 4 for reference in references)
    created, delivered = payment.pop("createdAt"), payment.pop("deliveryDate")
    assert created.endswith("Z")
    assert delivered > created[:10]
    assert payment == {
        **body_for(fake, intent_id),
        "fees": [PLASTIQ_FEE],
        "sourceAmount": {"value": Decimal("102.85"), "currency": "USD"},
        "targetAmount": {"value": Decimal("100.00"), "currency": "USD"},
        "details": {"memo": "October"},
        "status": "SUBMITTED",
        "sourceDescriptor": "PLASTIQ",
        "targetDescriptor": "PLASTIQ PAYMENT",
    }
    assert (fake.charges, fake.refunds) == (1, 0)


async def test_guide_vocabulary() -> None:
    """A fake that speaks as the guide does starts with its status."""
    fake = FakePlastiq(guide_vocabulary=True)
    payment_id = await paid(fake)
    assert (await read(fake, payment_id)).json()["status"] == "CHARGED"


async def test_paid_once(fake: FakePlastiq) -> None:
    """An intent that was paid cannot be paid again under another key."""
    intent_id = add_intent(fake)
    await pay(fake, intent_id, uuid4())
    for key in (uuid4(), None):
        response = await pay(fake, intent_id, key)
        expected = "paymentIntent must have the status CAPTURABLE, not CAPTURED"
        assert problem(response) == expected
    assert fake.charges == 1


async def test_expired_intent(fake: FakePlastiq) -> None:
    """An intent that has expired cannot be paid."""
    intent_id = add_intent(fake)
    fake.advance(timedelta(minutes=6).total_seconds())
    response = await pay(fake, intent_id)
    expected = "paymentIntent must have the status CAPTURABLE, not EXPIRED"
    assert problem(response) == expected
    assert fake.charges == 0


async def test_declined_card(fake: FakePlastiq) -> None:
    """A declined card charges nothing, and the refusal is stored under its key."""
    intent_id, key = add_intent(fake, number=DECLINED_CARD), uuid4()
    responses = [await pay(fake, intent_id, key) for _ in range(2)]
    for response in responses:
        assert response.status_code == 400
        assert response.json()["code"] == "PAYMENT_METHOD_DECLINED"
        assert DECLINED_CARD not in response.text
    replays = [response.headers.get("Idempotent-Replay") for response in responses]
    assert replays == [None, "true"]
    assert fake.charges == 0


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"paymentIntent": None}, "paymentIntent.id is required"),
        ({"paymentIntent": {}}, "paymentIntent.id is required"),
        (
            {"paymentIntent": {"recipient": {"id": NOWHERE}}},
            "paymentIntent.id is required: FakePlastiq takes payment intents by ID",
        ),
        ({"paymentIntent": "7"}, "paymentIntent must be an object"),
        ({"paymentIntent": {"id": "7"}}, "paymentIntent.id must be a UUID"),
        ({"paymentIntent": {"id": NOWHERE}}, "paymentIntent.id does not exist"),
        (
            {"paymentIntent": {"id": NOWHERE, "memo": "x"}},
            "paymentIntent.memo is unknown",
        ),
        ({"payer": None}, "payer must be an object"),
        ({"payer": {}}, "payer.id is required"),
        ({"payer": {"id": NOWHERE}}, "payer.id must be"),
        ({"payer": {"id": NOWHERE, "x": 1}}, "payer.x is unknown"),
        ({"amount": 1}, "amount is unknown"),
    ],
    ids=str,
)
async def test_invalid_body(
    changes: dict[str, object], text: str, fake: FakePlastiq
) -> None:
    """A body with anything else than the two IDs is refused, and nothing is charged."""
    response = await pay(fake, add_intent(fake), **changes)
    assert text in problem(response)
    assert fake.charges == 0


async def test_body_without_a_payer(fake: FakePlastiq) -> None:
    """The payer is required, although the API's document does not say so."""
    body = {"paymentIntent": {"id": str(add_intent(fake))}}
    response = await call(fake, "POST", "/payments", json=body)
    assert problem(response) == "payer is required"


async def test_inline_intent(fake: FakePlastiq) -> None:
    """A whole payment intent in place of its ID is refused with the reason."""
    inline = {"payer": {"id": str(fake.payer_id)}, "recipient": {"id": str(uuid4())}}
    response = await call(fake, "POST", "/payments", json=inline)
    assert "takes payment intents by ID" in problem(response)


async def test_intent_of_another_payer(fake: FakePlastiq) -> None:
    """A payer cannot pay another one's intent."""
    intent_id = add_intent(fake, payer_id=fake.add_payer())
    response = await pay(fake, intent_id)
    assert problem(response) == "paymentIntent.id does not exist"
    assert fake.charges == 0


# --- idempotency keys ---


@pytest.mark.parametrize("first_trace_id", [False, True])
async def test_replay(*, first_trace_id: bool, fake: FakePlastiq) -> None:
    """The same key with the same body brings the same payment and no second charge."""
    fake.replay_first_trace_id = first_trace_id
    assert fake.replay_first_trace_id is first_trace_id
    intent_id, key = add_intent(fake), uuid4()
    first, second = await pay(fake, intent_id, key), await pay(fake, intent_id, key)
    assert (second.status_code, second.json()) == (200, first.json())
    assert second.headers["Idempotent-Replay"] == "true"
    assert "Idempotent-Replay" not in first.headers
    expected = fake.requests[0 if first_trace_id else 1].trace_id
    assert second.headers["Trace-Id"] == str(expected)
    assert fake.charges == 1


async def test_key_with_another_body(fake: FakePlastiq) -> None:
    """A key cannot be used for another intent."""
    key = uuid4()
    await pay(fake, add_intent(fake), key)
    response = await pay(fake, add_intent(fake), key)
    assert problem(response) == "Idempotency-Key was used with another body"
    assert fake.charges == 1


@pytest.mark.parametrize("key", ["order-7", "fe278caa-e01d-5910-b975-5c19c21a6d8e"])
async def test_key_must_be_a_uuid4(key: str, fake: FakePlastiq) -> None:
    """A key that protects nothing is refused, and nothing is charged."""
    response = await pay(fake, add_intent(fake), key)
    assert problem(response) == "Idempotency-Key must be a UUID version 4"
    assert fake.charges == 0


# --- reading ---


async def test_retrieve(fake: FakePlastiq) -> None:
    """A payer reads a payment as it was created."""
    created = await pay(fake, add_intent(fake))
    response = await read(fake, created.json()["id"])
    assert (response.status_code, response.json()) == (200, created.json())


async def test_payment_of_another_payer(fake: FakePlastiq) -> None:
    """Another payer does not find the payment."""
    payment_id = await paid(fake)
    assert (await read(fake, payment_id, fake.add_payer())).status_code == 404


async def test_list(fake: FakePlastiq) -> None:
    """A listing has the payments of one payer, oldest first, by pages."""
    other = fake.add_payer()
    await pay(fake, add_intent(fake, payer_id=other), None, payer={"id": str(other)})
    ids = [await paid(fake) for _ in range(3)]
    query = {"payerId": str(fake.payer_id), "limit": "2", "offset": "1"}
    response = await call(fake, "GET", "/payments", params=query)
    page = response.json()
    assert [payment["id"] for payment in page["data"]] == ids[1:]
    assert page["pagination"] == {
        "offset": 1,
        "limit": 2,
        "total": 3,
        "hasNextPage": False,
    }


async def listed(fake: FakePlastiq, payer_id: UUID) -> list[str]:
    """Return the IDs of the payments that the fake lists."""
    query = {"payerId": str(payer_id)}
    page = (await call(fake, "GET", "/payments", params=query)).json()
    assert page["pagination"]["total"] == len(page["data"])
    return [payment["id"] for payment in page["data"]]


async def test_late_listing(fake: FakePlastiq) -> None:
    """A new payment is listed after a delay by the fake's clock, but found at once."""
    fake.listing_delay = 60
    assert fake.listing_delay == 60
    payment_id = await paid(fake)
    seen = []
    for seconds in (0, 59, 61):
        fake.advance(seconds)
        seen.append(await listed(fake, fake.payer_id))
        assert (await read(fake, payment_id)).status_code == 200
    assert seen == [[], [], [payment_id]]
    with pytest.raises(ValueError, match="seconds must not be negative, not -1"):
        fake.listing_delay = -1


async def test_listing_after_clock_change() -> None:
    """Without a delay, a payment is listed also if the clock goes back."""
    times = [1_800_000_000.0]
    fake = FakePlastiq(clock=lambda: times[-1])
    payment_id = await paid(fake)
    times.append(times[0] - 1)
    assert await listed(fake, fake.payer_id) == [payment_id]
    fake.listing_delay = 1
    assert await listed(fake, fake.payer_id) == []


async def test_without_payment_intents(fake: FakePlastiq) -> None:
    """Payments need not name their payment intents, as in the public API document."""
    assert fake.name_payment_intents is True
    fake.name_payment_intents = False
    created = (await pay(fake, add_intent(fake))).json()
    query = {"payerId": str(fake.payer_id)}
    page = (await call(fake, "GET", "/payments", params=query)).json()
    retrieved = (await read(fake, created["id"])).json()
    assert created == retrieved == page["data"][0]
    assert "paymentIntent" not in created


async def test_oldest_payments_are_dropped() -> None:
    """The fake keeps no more payments than its history is long."""
    fake = FakePlastiq(history=2)
    ids = [await paid(fake) for _ in range(3)]
    statuses = [(await read(fake, payment_id)).status_code for payment_id in ids]
    assert statuses == [404, 200, 200]
    assert fake.charges == 3
    assert await listed(fake, fake.payer_id) == ids[1:]
    other = fake.add_payer()
    body = {"payer": {"id": str(other)}}
    made = [
        (await pay(fake, add_intent(fake, payer_id=other), **body)).json()["id"]
        for _ in range(2)
    ]
    assert await listed(fake, fake.payer_id) == []
    assert await listed(fake, other) == made


# --- states and refunds ---

STATES = {
    "SUBMITTED": "CANCELLED",
    "CHARGED": "REFUNDED",
    "UNDER_REVIEW": "REFUNDED",
    **dict.fromkeys(["COMMITTED", "IN_TRANSIT", "DEPOSITED"]),
    **dict.fromkeys(["CANCELLED", "REFUNDED", "NOT_CAPTURED"]),
}


@pytest.mark.parametrize(("status", "then"), STATES.items())
async def test_refund(status: str, then: str | None, fake: FakePlastiq) -> None:
    """Money that is not on its way can be given back, once."""
    payment_id = await paid(fake)
    fake.advance_payment(UUID(payment_id), status)
    body = {"payerId": str(fake.payer_id)}
    results = [await refund(fake, payment_id, body) for _ in range(2)]
    assert [result.status_code for result in results] == [200, 200]
    first, second = [result.json() for result in results]
    assert first == {"status": "REFUNDED" if then else "REFUND_FAILED"}
    assert second == {"status": "REFUND_FAILED"}
    assert (await read(fake, payment_id)).json()["status"] == (then or status)
    assert (fake.charges, fake.refunds) == (1, 1 if then else 0)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "payerId is required"),
        ({"payerId": "7"}, "payerId must be a UUID"),
        ({"payerId": NOWHERE}, "payerId must be the payer of the payment"),
        ({"payerId": NOWHERE, "amount": 1}, "amount is unknown"),
        ([], "body must be a JSON object"),
    ],
    ids=str,
)
async def test_invalid_refund(body: object, text: str, fake: FakePlastiq) -> None:
    """A refund needs the payer of the payment, and nothing else."""
    response = await refund(fake, await paid(fake), body)
    assert problem(response) == text
    assert fake.refunds == 0


async def test_refund_to_a_deleted_payer(fake: FakePlastiq) -> None:
    """A payer who was deleted cannot be named, and gets nothing back."""
    payment_id = await paid(fake)
    await call(fake, "DELETE", f"/payers/{fake.payer_id}")
    response = await refund(fake, payment_id, {"payerId": str(fake.payer_id)})
    assert problem(response) == "payerId must be the payer of the payment"
    assert fake.refunds == 0


async def test_advance_payment(fake: FakePlastiq) -> None:
    """A test sets a status; an unknown one or an unknown payment is an error."""
    payment_id = await paid(fake)
    for status in STATES:
        fake.advance_payment(payment_id, status)
        assert (await read(fake, payment_id)).json()["status"] == status
    with pytest.raises(ValueError, match="status must be one of: CANCELLED, CHARGED,"):
        fake.advance_payment(payment_id, "deposited")
    with pytest.raises(ValueError, match="no payment with this ID"):
        fake.advance_payment(uuid4(), "DEPOSITED")


async def test_reset(fake: FakePlastiq) -> None:
    """A reset forgets payments, counts and the switches."""
    fake.replay_first_trace_id = True
    fake.name_payment_intents = False
    fake.listing_delay = 60
    payment_id = await paid(fake)
    await refund(fake, payment_id, {"payerId": str(fake.payer_id)})
    assert (fake.charges, fake.refunds) == (1, 1)
    fake.reset()
    assert (fake.charges, fake.refunds) == (0, 0)
    assert fake.replay_first_trace_id is False
    assert fake.name_payment_intents is True
    assert fake.listing_delay == 0
    assert (await read(fake, payment_id)).status_code == 404
