"""The routes of `/payment-methods`, over plain HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from plastiq_async.testing import FakePlastiq
from plastiq_async.testing._models.payment_methods import PaymentMethods
from tests.support.payment_methods import (
    ACCOUNT_NUMBER,
    ADDRESS_JSON,
    BANK_ACCOUNT_JSON,
    CARD_JSON,
    CARD_NUMBER,
    CVV,
)
from tests.testing.calls import call, problem

NOW = datetime(2030, 4, 30, 12, tzinfo=UTC)
STAMP = "2030-04-30T12:00:00.000Z"
TEXAS: dict[str, Any] = {"billingAddress": {**ADDRESS_JSON, "state": "TX"}}
DATA = {"CARD": CARD_JSON, "BANK_ACCOUNT": BANK_ACCOUNT_JSON}
MISSING = object()


@pytest.fixture
def fake() -> FakePlastiq:
    """Return a fake whose clock stands still, near the end of April 2030."""
    return FakePlastiq(clock=NOW.timestamp)


def without(data: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return `data` with `changes`, of which those that are `MISSING` are removed."""
    changed = {**data, **changes}
    return {name: value for name, value in changed.items() if value is not MISSING}


def body_of(
    fake: FakePlastiq, data: object, *, kind: str = "CARD", payer_id: object = None
) -> dict[str, Any]:
    """Return a request body, by default for the first payer."""
    payer = {"id": str(payer_id or fake.payer_id)}
    return {"type": kind, "data": data, "payer": payer}


async def add(
    fake: FakePlastiq, kind: str = "CARD", payer_id: object = None, **changes: object
) -> httpx.Response:
    """Add a payment method; `changes` override the fields of its data."""
    data = without(DATA[kind], changes)
    body = body_of(fake, data, kind=kind, payer_id=payer_id)
    return await call(fake, "POST", "/payment-methods", json=body)


async def added(
    fake: FakePlastiq, kind: str = "CARD", payer_id: object = None, **changes: object
) -> dict[str, Any]:
    """Add a payment method, and return its JSON."""
    response = await add(fake, kind, payer_id, **changes)
    assert response.status_code == 200
    method: dict[str, Any] = response.json()
    return method


async def get(fake: FakePlastiq, method_id: object, **query: str) -> httpx.Response:
    """Read a payment method."""
    return await call(fake, "GET", f"/payment-methods/{method_id}", params=query)


async def patch(
    fake: FakePlastiq, method_id: object, body: dict[str, Any]
) -> httpx.Response:
    """Change a payment method."""
    return await call(fake, "PATCH", f"/payment-methods/{method_id}", json=body)


async def test_card(fake: FakePlastiq) -> None:
    """A card comes back without number, cvv and holder, and can be read again."""
    response = await add(fake)
    method = response.json()
    assert method == {
        "id": str(UUID(method["id"])),
        "type": "CARD",
        "data": {
            "last4": "4242",
            "brand": "Visa",
            "subType": "CREDIT",
            "expirationMonth": "04",
            "expirationYear": "2099",
            "billingAddress": ADDRESS_JSON,
            "createdAt": STAMP,
        },
        "status": "ACTIVE",
        "statusReasons": [],
    }
    read = await get(fake, method["id"], payerId=str(fake.payer_id))
    assert (read.status_code, read.json()) == (200, method)
    assert CARD_NUMBER not in response.text
    assert CVV not in response.text.replace(method["id"], "")


async def test_bank_account(fake: FakePlastiq) -> None:
    """A bank account comes back without its number."""
    response = await add(fake, "BANK_ACCOUNT")
    method = response.json()
    assert method == {
        "id": str(UUID(method["id"])),
        "type": "BANK_ACCOUNT",
        "data": {
            "accountHolderName": "Ada Lovelace",
            "accountLastFour": "6789",
            "routingNumber": "021000021",
            "accountType": "CHECKING",
            "billingAddress": ADDRESS_JSON,
            "createdAt": STAMP,
        },
        "status": "ACTIVE",
        "statusReasons": [],
    }
    assert ACCOUNT_NUMBER not in response.text


async def test_bank_account_of_no_type(fake: FakePlastiq) -> None:
    """The type of a bank account is optional."""
    method = await added(fake, "BANK_ACCOUNT", accountType=MISSING)
    assert "accountType" not in method["data"]


@pytest.mark.parametrize(
    ("number", "brand"),
    [
        ("4000000000000002", "Visa"),
        ("5555555555554444", "Mastercard"),
        ("2223003122003222", "Mastercard"),
        ("378282246310005", "American Express"),
        ("6011111111111117", "Discover"),
        ("9999999999999995", "Unknown"),
    ],
)
async def test_brand(number: str, brand: str, fake: FakePlastiq) -> None:
    """The brand follows from the first digit."""
    data = (await added(fake, accountNumber=number))["data"]
    assert (data["brand"], data["last4"]) == (brand, number[-4:])


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"colour": "red"}, "colour is unknown"),
        ({"type": MISSING}, "type is required"),
        ({"type": "BANKACCOUNT"}, "type must be one of: CARD, BANK_ACCOUNT"),
        ({"type": ["CARD"]}, "type must be one of: CARD, BANK_ACCOUNT"),
        ({"data": MISSING}, "data is required"),
        ({"data": []}, "data must be an object"),
        ({"payer": MISSING}, "payer is required"),
        ({"payer": {"id": "x"}}, "payer.id must be a UUID"),
        ({"payer": {"id": str(uuid4())}}, "payer.id must be the ID of an existing"),
        ({"data": BANK_ACCOUNT_JSON}, "data.accountHolderName is unknown"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_body(
    method: str, changes: dict[str, object], detail: str, fake: FakePlastiq
) -> None:
    """A 400 for a body names the field, and nothing is stored or changed."""
    before = await added(fake)
    path = f"/payment-methods/{before['id']}" if method == "PATCH" else None
    data = {"cvv": CVV, "expirationYear": "2098"} if path else CARD_JSON
    body = without(body_of(fake, data), changes)
    response = await call(fake, method, path or "/payment-methods", json=body)
    assert response.status_code == 400
    assert response.json()["errors"][0]["details"].startswith(detail)
    assert list(fake._state.of(PaymentMethods).by_id) == [UUID(before["id"])]
    after = await get(fake, before["id"], payerId=str(fake.payer_id))
    assert after.json() == before


TEXT = "must be a string that is not blank"
CARD_NUMBERS, ACCOUNT_NUMBERS = "must be 12 to 19 digits", "must be 4 to 17 digits"
MONTHS, YEARS = "must be two digits from 01 to 12", "must be four digits"


@pytest.mark.parametrize(
    ("kind", "field", "value", "problem_with_it"),
    [
        ("CARD", "number", "4242", "is unknown"),
        ("CARD", "accountType", "CHECKING", "is unknown"),
        *(("CARD", name, MISSING, "is required") for name in CARD_JSON),
        ("CARD", "cardHolderName", " ", TEXT),
        ("CARD", "cardHolderName", None, TEXT),
        ("CARD", "accountNumber", "4" * 11, CARD_NUMBERS),
        ("CARD", "accountNumber", "4" * 20, CARD_NUMBERS),
        ("CARD", "accountNumber", "4242 4242 4242 4242", CARD_NUMBERS),
        ("CARD", "accountNumber", 4242424242424242, CARD_NUMBERS),
        ("CARD", "cvv", "12", "must be 3 or 4 digits"),
        ("CARD", "cvv", "12345", "must be 3 or 4 digits"),
        ("CARD", "expirationMonth", "00", MONTHS),
        ("CARD", "expirationMonth", "13", MONTHS),
        ("CARD", "expirationMonth", "4", MONTHS),
        ("CARD", "expirationYear", "99", YEARS),
        ("CARD", "expirationYear", 2099, YEARS),
        ("CARD", "billingAddress", "1 Main St", "must be an object"),
        *(
            ("BANK_ACCOUNT", name, MISSING, "is required")
            for name in BANK_ACCOUNT_JSON
            if name != "accountType"
        ),
        ("BANK_ACCOUNT", "cvv", "123", "is unknown"),
        ("BANK_ACCOUNT", "accountHolderName", "", TEXT),
        ("BANK_ACCOUNT", "accountNumber", "123", ACCOUNT_NUMBERS),
        ("BANK_ACCOUNT", "accountNumber", "1" * 18, ACCOUNT_NUMBERS),
        ("BANK_ACCOUNT", "routingNumber", "1234567", "must be 8 or 9 digits"),
        ("BANK_ACCOUNT", "routingNumber", "0210-0002", "must be 8 or 9 digits"),
        ("BANK_ACCOUNT", "accountType", "BROKERAGE", "must be one of: CHECKING"),
        ("BANK_ACCOUNT", "accountType", None, "must be one of: CHECKING, SAVINGS"),
    ],
)
async def test_data(
    kind: str, field: str, value: object, problem_with_it: str, fake: FakePlastiq
) -> None:
    """A 400 for the data names the field."""
    detail = problem(await add(fake, kind, **{field: value}))
    assert detail.startswith(f"data.{field} {problem_with_it}")


async def test_address(fake: FakePlastiq) -> None:
    """The billing address is a complete one."""
    address = without(ADDRESS_JSON, {"city": MISSING})
    response = await add(fake, billingAddress=address)
    assert problem(response) == "data.billingAddress.city is required"


@pytest.mark.parametrize("month", ["03", "04"])
async def test_expired_card(month: str, fake: FakePlastiq) -> None:
    """A card is valid until the end of its month by the fake's clock."""
    response = await add(fake, expirationMonth=month, expirationYear="2030")
    assert response.status_code == (400 if month == "03" else 200)
    if month == "04":
        fake.advance(12 * 60 * 60)  # to the first of May
        response = await add(fake, expirationMonth=month, expirationYear="2030")
    body = response.json()
    assert response.status_code == 400
    assert body["code"] == "CREATE_PAYMENT_METHOD_FAILED"
    assert body["message"] == "The card has expired"


# --- cards of Texas ---


@pytest.mark.parametrize("state", ["TX", "tx", " Texas "])
async def test_texas(state: str, fake: FakePlastiq) -> None:
    """A card of Texas is inactive until its payer has an identity document."""
    address = {**ADDRESS_JSON, "state": state}
    method = await added(fake, billingAddress=address)
    assert method["status"] == "INACTIVE"
    (reason,) = method["statusReasons"]
    assert reason["code"] == "PAYMENT_METHOD_REQUIRES_TIN"
    document = {"type": "US_EIN", "value": "123456789"}
    path = f"/payers/{fake.payer_id}"
    await call(fake, "PATCH", path, json={"identityDocuments": [document]})
    healed = (await get(fake, method["id"], payerId=str(fake.payer_id))).json()
    assert healed == {**method, "status": "ACTIVE", "statusReasons": []}


async def test_bank_account_of_texas(fake: FakePlastiq) -> None:
    """A bank account of Texas needs no identity document."""
    assert (await added(fake, "BANK_ACCOUNT", **TEXAS))["status"] == "ACTIVE"


async def test_move_out_of_texas(fake: FakePlastiq) -> None:
    """A card that moves out of Texas becomes active."""
    method = await added(fake, **TEXAS)
    data = {"cvv": CVV, "billingAddress": ADDRESS_JSON}
    response = await patch(fake, method["id"], body_of(fake, data))
    assert response.json()["status"] == "ACTIVE"


# --- whose it is ---


async def test_another_payer(fake: FakePlastiq) -> None:
    """Another payer cannot read or change the payment method."""
    other = str(fake.add_payer())
    method_id = (await added(fake))["id"]
    assert (await get(fake, method_id, payerId=other)).status_code == 404
    data = {"cvv": CVV, "cardHolderName": "Eve"}
    response = await patch(fake, method_id, body_of(fake, data, payer_id=other))
    assert problem(response) == "payer.id must be the payer of the payment method"


async def test_deleted_payer(fake: FakePlastiq) -> None:
    """The payment methods of a deleted payer cannot be read, but deleted."""
    payer_id = str(fake.add_payer())
    path = f"/payment-methods/{(await added(fake, payer_id=payer_id))['id']}"
    await call(fake, "DELETE", f"/payers/{payer_id}")
    for read in (path, "/payment-methods"):
        response = await call(fake, "GET", f"{read}?payerId={payer_id}")
        assert response.status_code == 404
    assert (await call(fake, "DELETE", path)).status_code == 204


async def test_listing(fake: FakePlastiq) -> None:
    """A listing has the payment methods of one payer, oldest first, in pages."""
    other = str(fake.add_payer())
    methods = [await added(fake, kind) for kind in ("CARD", "BANK_ACCOUNT", "CARD")]
    foreign = await added(fake, payer_id=other)
    query = {"payerId": str(fake.payer_id), "offset": "1", "limit": "1"}
    page = (await call(fake, "GET", "/payment-methods", params=query)).json()
    assert page == {
        "data": [methods[1]],
        "pagination": {"offset": 1, "limit": 1, "total": 3, "hasNextPage": True},
    }
    page = (await call(fake, "GET", f"/payment-methods?payerId={other}")).json()
    assert page["data"] == [foreign]


# --- changes ---


@pytest.mark.parametrize(
    ("kind", "changes", "shown"),
    [
        (
            "CARD",
            {"expirationMonth": "12", "expirationYear": "2031"},
            {"expirationMonth": "12", "expirationYear": "2031"},
        ),
        ("CARD", {"cardHolderName": "Augusta"}, {}),
        ("BANK_ACCOUNT", {"routingNumber": "021000089"}, None),
        ("BANK_ACCOUNT", {"accountHolderName": "Augusta"}, None),
    ],
)
async def test_update(
    kind: str, changes: dict[str, str], shown: dict[str, str] | None, fake: FakePlastiq
) -> None:
    """A PATCH changes what it has, and nothing else."""
    before = await added(fake, kind)
    data = {"cvv": CVV, **changes} if kind == "CARD" else changes
    response = await patch(fake, before["id"], body_of(fake, data, kind=kind))
    shown = changes if shown is None else shown
    after = {**before, "data": {**before["data"], **shown}}
    assert (response.status_code, response.json()) == (200, after)
    read = await get(fake, before["id"], payerId=str(fake.payer_id))
    assert read.json() == after
    record = fake._state.of(PaymentMethods).by_id[UUID(before["id"])]
    assert changes.items() <= record.data.items()
    assert "cvv" not in record.data


@pytest.mark.parametrize(
    ("kind", "data", "detail"),
    [
        ("CARD", {"cardHolderName": "Augusta"}, "data.cvv is required"),
        ("CARD", {"cvv": CVV}, "data must have at least one of: cardHolderName, "),
        ("CARD", {"cvv": CVV, "accountNumber": "4" * 16}, "data.accountNumber is unkn"),
        ("CARD", {"cvv": "1", "expirationYear": "2098"}, "data.cvv must be 3 or 4"),
        ("CARD", {"cvv": CVV, "expirationYear": "98"}, "data.expirationYear must be"),
        ("BANK_ACCOUNT", {}, "data must have at least one of: accountHolderName, "),
        ("BANK_ACCOUNT", {"accountType": "SAVINGS"}, "data.accountType is unknown"),
        ("BANK_ACCOUNT", {"routingNumber": "1"}, "data.routingNumber must be 8 or 9"),
    ],
)
async def test_update_refused(
    kind: str, data: dict[str, object], detail: str, fake: FakePlastiq
) -> None:
    """A 400 for a change names the field."""
    method_id = (await added(fake, kind))["id"]
    response = await patch(fake, method_id, body_of(fake, data, kind=kind))
    assert problem(response).startswith(detail)


async def test_update_of_another_type(fake: FakePlastiq) -> None:
    """A PATCH cannot change the type."""
    method_id = (await added(fake))["id"]
    data = {"routingNumber": "021000089"}
    response = await patch(fake, method_id, body_of(fake, data, kind="BANK_ACCOUNT"))
    assert problem(response) == "type must be that of the payment method"


async def test_update_to_an_expired_card(fake: FakePlastiq) -> None:
    """A PATCH cannot make a card expire in the past."""
    method_id = (await added(fake))["id"]
    data = {"cvv": CVV, "expirationYear": "2029"}
    response = await patch(fake, method_id, body_of(fake, data))
    assert response.status_code == 400
    assert response.json()["code"] == "CREATE_PAYMENT_METHOD_FAILED"


async def test_delete(fake: FakePlastiq) -> None:
    """A deleted payment method is gone, and no query is accepted."""
    method_id = (await added(fake))["id"]
    path = f"/payment-methods/{method_id}"
    response = await call(fake, "DELETE", f"{path}?payerId={fake.payer_id}")
    assert problem(response) == "payerId is not a query parameter of this operation"
    response = await call(fake, "DELETE", path)
    assert (response.status_code, response.content) == (204, b"")
    data = {"cvv": CVV, "cardHolderName": "Eve"}
    for again in (
        await call(fake, "DELETE", path),
        await get(fake, method_id, payerId=str(fake.payer_id)),
        await patch(fake, method_id, body_of(fake, data)),
    ):
        assert again.status_code == 404


# --- limits ---


async def test_cards_in_a_day(fake: FakePlastiq) -> None:
    """A payer adds 30 cards in 24 hours, deleted ones included, and no more."""
    first = await added(fake)
    await call(fake, "DELETE", f"/payment-methods/{first['id']}")
    fake.advance(60)
    for _ in range(29):
        await added(fake)
    refused = await add(fake)
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == str(24 * 60 * 60 - 60)
    (detail,) = refused.json()["errors"]
    assert detail == {"details": "payer has added 30 cards in 24 hours"}
    await added(fake, "BANK_ACCOUNT")
    await added(fake, payer_id=fake.add_payer())
    fake.advance(24 * 60 * 60 - 60)
    await added(fake)
    assert (await add(fake)).status_code == 429


async def test_memory_is_bounded() -> None:
    """The fake keeps as many payment methods, and counts for as many payers, as set."""
    fake = FakePlastiq(history=3)
    methods = [await added(fake, payer_id=fake.add_payer()) for _ in range(5)]
    store = fake._state.of(PaymentMethods)
    assert [str(one) for one in store.by_id] == [one["id"] for one in methods[2:]]
    assert len(store.cards_added) == 3


async def test_nothing_secret_in_the_record(fake: FakePlastiq) -> None:
    """The repr of a record shows no number."""
    await added(fake)
    (record,) = fake._state.of(PaymentMethods).by_id.values()
    assert record.number == CARD_NUMBER
    assert CARD_NUMBER not in repr(record)
    assert CVV not in repr(record.data)
