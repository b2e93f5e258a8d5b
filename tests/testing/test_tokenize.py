"""`FakePlastiq.tokenize`, which stands in for the vendor's script in the browser."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from plastiq_async.testing import (
    FakePlastiq,
    RedeemError,
    SecretExpiredError,
    SecretUnknownError,
    SecretUsedError,
)
from tests.support.payment_methods import ADDRESS_JSON, CARD_JSON
from tests.testing.calls import call, create

DECLINED = "4000000000000002"


async def read(fake: FakePlastiq, method_id: UUID) -> dict[str, Any]:
    """Return the JSON of a payment method."""
    query = {"payerId": str(fake.payer_id)}
    response = await call(fake, "GET", f"/payment-methods/{method_id}", params=query)
    assert response.status_code == 200
    method: dict[str, Any] = response.json()
    return method


async def test_tokenize() -> None:
    """The payer of the secret gets the test card, which is usable."""
    fake = FakePlastiq()
    method = await read(fake, fake.tokenize(await create(fake)))
    assert (method["type"], method["status"]) == ("CARD", "ACTIVE")
    assert (method["data"]["last4"], method["data"]["brand"]) == ("4242", "Visa")


async def test_given_fields() -> None:
    """Fields that are given replace those of the test card."""
    fake = FakePlastiq()
    address = {**ADDRESS_JSON, "state": "TX"}
    card = {"accountNumber": DECLINED, "billingAddress": address}
    method = await read(fake, fake.tokenize(await create(fake), card))
    assert (method["data"]["last4"], method["status"]) == ("0002", "INACTIVE")
    method = await read(fake, fake.tokenize(await create(fake), CARD_JSON))
    assert method["data"]["expirationYear"] == "2099"


async def test_test_card_never_expires() -> None:
    """The test card is valid by the fake's clock, whatever that is."""
    fake = FakePlastiq()
    fake.advance(10 * 366 * 24 * 60 * 60)
    method = await read(fake, fake.tokenize(await create(fake)))
    assert method["data"]["expirationYear"] == str(fake.now.year + 1)


@pytest.mark.parametrize(
    ("card", "problem"),
    [
        ({"accountNumber": "4242-s3cr3t"}, "data.accountNumber must be 12 to 19"),
        ({"number": DECLINED}, "data.number is unknown"),
        ({"expirationYear": "2001"}, "data.expirationYear .* in the past"),
    ],
)
async def test_refused_card(card: dict[str, object], problem: str) -> None:
    """A card that the API would refuse is a ValueError, and uses up the secret."""
    fake = FakePlastiq()
    client_secret = await create(fake)
    with pytest.raises(ValueError, match=problem) as info:
        fake.tokenize(client_secret, card)
    assert "s3cr3t" not in str(info.value)
    assert info.value.__context__ is None
    with pytest.raises(SecretUsedError):
        fake.tokenize(client_secret)


async def test_deleted_payer() -> None:
    """A card cannot be added to a payer who was deleted after the secret was made."""
    fake = FakePlastiq()
    secret = await create(fake)
    await call(fake, "DELETE", f"/payers/{fake.payer_id}")
    with pytest.raises(ValueError, match=r"payer\.id must be the ID of an existing"):
        fake.tokenize(secret)


async def test_too_many_cards() -> None:
    """The limit of cards in a day holds, too."""
    fake = FakePlastiq()
    for _ in range(30):
        fake.tokenize(await create(fake))
    with pytest.raises(ValueError, match="payer has added 30 cards in 24 hours"):
        fake.tokenize(await create(fake))


@pytest.mark.parametrize("age", [0, 59, 60])
async def test_secret(age: int) -> None:
    """A secret can be used once, within 60 seconds, and only if it was issued."""
    fake = FakePlastiq(clock=lambda: 1_900_000_000)
    client_secret = await create(fake)
    fake.advance(age)
    wrong: type[RedeemError] = SecretUsedError
    if age < 60:
        fake.tokenize(client_secret)
    else:
        wrong = SecretExpiredError
    with pytest.raises(wrong):
        fake.tokenize(client_secret)
    with pytest.raises(SecretUnknownError):
        fake.tokenize("unknown")
