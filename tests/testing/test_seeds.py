"""`SeededFake`, the fake that the sandbox serves."""

from __future__ import annotations

import pytest

from plastiq_async.testing._seeds import SeededFake
from tests.support.payment_methods import CARD_JSON
from tests.testing.calls import call


@pytest.fixture
def fake() -> SeededFake:
    """Return a new fake."""
    return SeededFake()


async def test_seeds(fake: SeededFake) -> None:
    """A payment can be quoted with the IDs alone, also after a reset."""
    body = {
        "payer": {"id": str(fake.payer_id)},
        "recipient": {"id": str(fake.recipient_id)},
        "paymentMethod": {"id": str(fake.payment_method_id)},
        "targetAmount": {"value": 100, "currency": "USD"},
    }
    for _ in range(2):
        response = await call(fake, "POST", "/payment-intents", json=body)
        assert response.json()["status"] == "CAPTURABLE"
        fake.reset()


async def test_category(fake: SeededFake) -> None:
    """The category is one of the listed ones, and that of the recipient."""
    listed = await call(fake, "GET", "/categories")
    assert str(fake.category_id) in {one["id"] for one in listed.json()["data"]}
    recipient = await call(fake, "GET", f"/recipients/{fake.recipient_id}")
    assert recipient.json()["categoryId"] == str(fake.category_id)


async def test_the_card_does_not_count(fake: SeededFake) -> None:
    """The payer may add as many cards in a day as without the seeded one."""
    payer = {"id": str(fake.payer_id)}
    body = {"type": "CARD", "data": CARD_JSON, "payer": payer}
    for expected in (*[200] * 30, 429):
        response = await call(fake, "POST", "/payment-methods", json=body)
        assert response.status_code == expected
