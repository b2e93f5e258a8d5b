"""The memory of a fake that serves requests for a long time."""

from __future__ import annotations

import gc
import tracemalloc
from uuid import uuid4

import httpx
import pytest

from plastiq_async.testing import FakePlastiq
from plastiq_async.testing._faults import MAX_ORDERS
from tests.support.payment_methods import CARD_JSON
from tests.support.recipients import RECIPIENT_JSON
from tests.testing.calls import body_for, client_for
from tests.testing.widgets import FakeWithWidgets

HISTORY = 20
ROUNDS = 50


async def one_payment(client: httpx.AsyncClient, payer_id: str) -> None:
    """Pay a new recipient with a new card, and refund it; leave a quote, too."""
    payer = {"id": payer_id}

    async def created(path: str, body: object, **headers: str) -> dict[str, str]:
        response = await client.post(path, json=body, headers=headers)
        assert response.status_code == 200, response.text
        return {"id": response.json()["id"]}

    card = {"type": "CARD", "data": CARD_JSON, "payer": payer}
    quote = {
        "payer": payer,
        "paymentMethod": await created("/payment-methods", card),
        "recipient": await created("/recipients", RECIPIENT_JSON),
        "targetAmount": {"value": 100, "currency": "USD"},
    }
    await created("/payment-intents", {**quote, "recipient": RECIPIENT_JSON})
    intent = await created("/payment-intents", quote)
    order = {"paymentIntent": intent, "payer": payer}
    key = {"Idempotency-Key": str(uuid4())}
    payment, replay = [await created("/payments", order, **key) for _ in range(2)]
    assert payment == replay
    refund = {"payerId": payer_id}
    await client.post(f"/payments/{payment['id']}/refunds", json=refund)


async def one_round(fake: FakePlastiq, client: httpx.AsyncClient) -> None:
    """Send one request of each kind that leaves something in the fake."""
    trace_id = {"Trace-Id": str(uuid4())}
    await client.post("/client-secrets", json=body_for(fake), headers=trace_id)
    await client.post("/client-secrets", content=bytes(3_000))
    await client.get(f"/nowhere/{uuid4()}?page={uuid4()}")
    key = {"Idempotency-Key": str(uuid4())}
    body = {"payer": {"id": str(fake.payer_id)}, "name": "A widget"}
    widget = await client.post("/widgets", json=body, headers=key)
    await client.delete(f"/widgets/{widget.json()['id']}")
    created = await client.post("/client-secrets", json=body_for(fake))
    fake.redeem(created.json()["clientSecret"])
    payer = {"contact": {"email": "a@example.com"}}
    for path in (f"/payers/{fake.payer_id}", "/categories"):
        await client.get(path)
    payers = [(await client.post("/payers", json=payer)).json() for _ in range(2)]
    await client.delete(f"/payers/{payers[0]['id']}")
    await one_payment(client, payers[1]["id"])
    fake.fail_next(500)
    fake.garble_next(b"x" * 1_000)
    fake.drop_next(after_processing=True)
    for _ in range(3):
        try:
            await client.post("/client-secrets", json=body_for(fake))
        except httpx.ReadError:
            continue
    fake.rotate_token(keep_old=True)
    client.headers["Authorization"] = f"Bearer {fake.access_token}"


@pytest.mark.slow
async def test_memory_is_bounded() -> None:
    """Once the history is full, requests of all kinds leave nothing behind."""
    fake = FakeWithWidgets(history=HISTORY)
    async with client_for(fake) as client:
        # asyncio keeps the timers of calls that are over until they are due.
        client.timeout = httpx.Timeout(None)
        tracemalloc.start()
        try:
            sizes = []
            for _ in range(4):
                for _ in range(ROUNDS):
                    await one_round(fake, client)
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
    # A round that left a record behind would leave more than 400 bytes.
    assert sizes[-1] - sizes[-2] < ROUNDS * 200


def test_rotated_tokens_are_forgotten() -> None:
    """At most two tokens are accepted, as the API has it: the new and the last one."""
    fake = FakePlastiq()
    tokens = [fake.access_token]
    tokens += [fake.rotate_token(keep_old=True) for _ in range(3)]
    assert [fake.accepts_token(token) for token in tokens] == [
        *(False, False),
        *(True, True),
    ]


def test_rotation_keeps_the_tokens_that_were_not_rotated() -> None:
    """The other tokens that a fake was created with stay valid."""
    fake = FakePlastiq(access_tokens=["first", "second"])
    fake.rotate_token(keep_old=True)
    fake.rotate_token()
    assert fake.accepts_token("second")
    assert not fake.accepts_token("first")


def test_pending_faults_are_bounded() -> None:
    """Orders that nobody takes do not pile up without end."""
    fake = FakePlastiq()
    for _ in range(MAX_ORDERS):
        fake.refuse_next(on="client_secrets.create")
    with pytest.raises(ValueError, match="No more than 1000 orders"):
        fake.refuse_next()
    assert fake.pending_faults == MAX_ORDERS
