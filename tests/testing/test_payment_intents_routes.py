"""The fake's payment intents, over plain HTTP."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Context, Decimal, Inexact, localcontext
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from plastiq_async.testing import FakePlastiq
from plastiq_async.testing._models.payment_intents import PaymentIntents
from tests.support.payment_methods import BANK_ACCOUNT_JSON
from tests.support.recipients import RECIPIENT_JSON
from tests.testing.calls import call, problem
from tests.testing.quotes import (
    TEXAN_CARD,
    add_method,
    add_parties,
    quote,
)

UNKNOWN = "0e2dcb1c-bd21-4ba5-b2c8-0e7ea0ac2a5d"
AMOUNT_RANGE = (
    "targetAmount.value must be from 1 to 99999999.99 with at most two decimals"
)
NOW = datetime(2020, 11, 19, 1, 35, 53, 96_000, tzinfo=UTC)


@pytest.fixture
def fake() -> FakePlastiq:
    """Return a fake whose clock moves only by hand."""
    return FakePlastiq(clock=NOW.timestamp)


def read(response: httpx.Response) -> Any:
    """Return the body of a success, with exact numbers."""
    assert response.status_code == 200, response.text
    return json.loads(response.content, parse_float=Decimal)


def usd(value: str | int | Decimal) -> dict[str, object]:
    """Return an amount as the API shows it."""
    return {"value": Decimal(value), "currency": "USD"}


async def quoted(fake: FakePlastiq, **changes: object) -> str:
    """Create a payment intent, and return its path."""
    intent = read(await quote(fake, await add_parties(fake), **changes))
    return f"/payment-intents/{intent['id']}"


async def retrieve(fake: FakePlastiq, path: str) -> Any:
    """Read a payment intent as the first payer."""
    params = {"payerId": str(fake.payer_id)}
    return read(await call(fake, "GET", path, params=params))


# --- create ---


async def test_create(fake: FakePlastiq) -> None:
    """A payment intent has its references, amounts, fees and the times of the clock."""
    parties = await add_parties(fake)
    details = {"accountName": "Ada", "accountNumber": "0042", "memo": "October"}
    response = await quote(fake, parties, details=details, metadata={"order": [7]})
    intent = read(response)
    UUID(intent.pop("id"))
    assert intent == {
        **parties.body(targetAmount=usd(100), details=details),
        "fees": [
            {"amount": usd("2.85"), "type": "PLASTIQ_SERVICE_FEE", "rate": "2.85%"}
        ],
        "sourceAmount": usd("102.85"),
        "status": "CAPTURABLE",
        "statusReasons": [],
        "deliveryDate": "2020-11-22",
        "createdAt": "2020-11-19T01:35:53.096Z",
        "expiresAt": "2020-11-19T01:40:53.096Z",
    }


@pytest.mark.parametrize(
    ("amount", "fee"),
    [
        ("1", "0.03"),
        ("100.10", "2.85"),
        ("20", "0.57"),
        # 0.285 and 2.565: half a cent is rounded up, from an even cent, too.
        ("10", "0.29"),
        ("90", "2.57"),
        ("99999999.99", "2850000.00"),
    ],
)
async def test_fee_of_a_card(amount: str, fee: str, fake: FakePlastiq) -> None:
    """A card costs 2.85 %, rounded half up to cents, on top of the target amount."""
    body = {"value": "AMOUNT", "currency": "USD"}
    parties = await add_parties(fake)
    content = json.dumps(parties.body(targetAmount=body)).replace('"AMOUNT"', amount)
    headers = {"Content-Type": "application/json"}
    intent = read(
        await call(fake, "POST", "/payment-intents", content=content, headers=headers)
    )
    assert [one["amount"] for one in intent["fees"]] == [usd(fee)]
    assert intent["sourceAmount"] == usd(Decimal(amount) + Decimal(fee))
    assert intent["targetAmount"] == usd(amount)


async def test_decimal_context_of_the_test(fake: FakePlastiq) -> None:
    """Amounts are exact, whatever the decimal context of the code under test is."""
    parties = await add_parties(fake)
    with localcontext(Context(prec=3, traps=[Inexact])):
        amount = {"value": 99999999, "currency": "USD"}
        response = await quote(fake, parties, targetAmount=amount)
    intent = read(response)
    assert intent["fees"][0]["amount"] == usd("2849999.97")
    assert intent["sourceAmount"] == usd("102849998.97")


async def test_no_fee_of_a_bank_account(fake: FakePlastiq) -> None:
    """A bank account costs nothing."""
    intent = read(await quote(fake, await add_parties(fake, BANK_ACCOUNT_JSON)))
    assert intent["fees"] == []
    assert intent["sourceAmount"] == intent["targetAmount"] == usd(100)


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"isExpedited": True}, "isExpedited is unknown"),
        ({"payer": None}, "payer must be an object"),
        ({"payer": {"id": "x"}}, "payer.id must be a UUID"),
        ({"payer": {"id": UNKNOWN}}, "payer.id must be the ID of an existing payer"),
        ({"payer": {"id": UNKNOWN, "x": 1}}, "payer.x is unknown"),
        ({"paymentMethod": None}, "paymentMethod must be an object"),
        ({"paymentMethod": {"id": UNKNOWN}}, "paymentMethod.id does not exist"),
        ({"paymentMethod": {"id": UNKNOWN, "x": 1}}, "paymentMethod.x is unknown"),
        ({"recipient": None}, "recipient must be an object"),
        ({"recipient": UNKNOWN}, "recipient must be an object"),
        ({"recipient": {"id": UNKNOWN}}, "recipient.id does not exist"),
        ({"recipient": {"id": None}}, "recipient.id must be a UUID"),
        ({"recipient": {"id": UNKNOWN, "x": 1}}, "recipient.x is unknown"),
        ({"targetAmount": None}, "targetAmount must be an object"),
        ({"targetAmount": 100}, "targetAmount must be an object"),
        ({"targetAmount": {"value": 1}}, "targetAmount.currency is required"),
        (
            {"targetAmount": {"value": 1, "currency": "CAD"}},
            "targetAmount.currency must be USD",
        ),
        (
            {"targetAmount": {"value": 1, "currency": "USD", "x": 1}},
            "targetAmount.x is unknown",
        ),
        ({"details": None}, "details must be an object"),
        ({"details": {"memo": 7}}, "details.memo must be a string that is not blank"),
        ({"details": {"note": "x"}}, "details.note is unknown"),
        ({"metadata": []}, "metadata must be an object"),
    ],
)
async def test_body_is_checked(
    changes: dict[str, object], detail: str, fake: FakePlastiq
) -> None:
    """A 400 names the field that is wrong."""
    response = await quote(fake, await add_parties(fake), **changes)
    assert problem(response) == detail


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (None, "targetAmount.value must be a number"),
        ("100", "targetAmount.value must be a number"),
        (True, "targetAmount.value must be a number"),
        (0, AMOUNT_RANGE),
        (0.99, AMOUNT_RANGE),
        (-1, AMOUNT_RANGE),
        (100_000_000, AMOUNT_RANGE),
        (1.001, AMOUNT_RANGE),
        (1e30, AMOUNT_RANGE),
    ],
)
async def test_amount_is_checked(value: object, detail: str, fake: FakePlastiq) -> None:
    """An amount is a number of the contract's range, with at most two decimals."""
    parties = await add_parties(fake)
    amount = {"value": value, "currency": "USD"}
    assert problem(await quote(fake, parties, targetAmount=amount)) == detail
    path = f"/payment-intents/{read(await quote(fake, parties))['id']}"
    patched = await call(fake, "PATCH", path, json={"targetAmount": amount})
    assert problem(patched) == detail


async def test_method_of_another_payer(fake: FakePlastiq) -> None:
    """A payment method must be the payer's."""
    parties = await add_parties(fake)
    method = {"id": str(await add_method(fake, payer_id=fake.add_payer()))}
    response = await quote(fake, parties, paymentMethod=method)
    assert problem(response) == "paymentMethod.id must be a payment method of the payer"


async def test_recipient_of_another_payer(fake: FakePlastiq) -> None:
    """A recipient that is scoped to a payer can be paid by this payer alone."""
    scope = {"id": str(fake.add_payer())}
    response = await quote(fake, await add_parties(fake, payer=scope))
    expected = "recipient.id must be a recipient that the payer can pay"
    assert problem(response) == expected
    own = await add_parties(fake, payer={"id": str(fake.payer_id)})
    assert read(await quote(fake, own))["status"] == "CAPTURABLE"


# --- with a new recipient ---


async def recipients_of(fake: FakePlastiq) -> list[str]:
    """Return the IDs of the recipients that the first payer can pay."""
    params = {"payerId": str(fake.payer_id)}
    listing = read(await call(fake, "GET", "/recipients", params=params))
    return [recipient["id"] for recipient in listing["data"]]


@pytest.mark.parametrize("scoped", [False, True])
async def test_new_recipient(scoped: bool, fake: FakePlastiq) -> None:
    """A recipient in the body is created, once per request, as for its own route."""
    parties = await add_parties(fake)
    scope = {"payer": {"id": str(fake.payer_id)}} if scoped else {}
    intents = [
        read(await quote(fake, parties, recipient={**RECIPIENT_JSON, **scope}))
        for _ in range(2)
    ]
    created = {intent["recipient"]["id"] for intent in intents}
    assert len(created) == 2
    assert set(await recipients_of(fake)) == {str(parties.recipient_id), *created}


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"businessName": ""}, "recipient.businessName must be a string"),
        ({"contact": {}}, "recipient.contact.email is required"),
        ({"receivingMethod": None}, "recipient.receivingMethod must be an object"),
        ({"payer": {"id": UNKNOWN}}, "recipient.payer.id must be"),
        ({"x": 1}, "recipient.x is unknown"),
    ],
)
async def test_new_recipient_is_checked(
    changes: dict[str, object], detail: str, fake: FakePlastiq
) -> None:
    """A recipient that breaks the contract is a 400, and nothing is created."""
    parties = await add_parties(fake)
    response = await quote(fake, parties, recipient={**RECIPIENT_JSON, **changes})
    assert detail in problem(response)
    assert await recipients_of(fake) == [str(parties.recipient_id)]


async def test_new_recipient_of_another_payer(fake: FakePlastiq) -> None:
    """A new recipient cannot be scoped to another payer than the one who pays."""
    parties = await add_parties(fake)
    scope = {"payer": {"id": str(fake.add_payer())}}
    response = await quote(fake, parties, recipient={**RECIPIENT_JSON, **scope})
    assert problem(response) == "recipient.payer.id must be the payer"
    assert await recipients_of(fake) == [str(parties.recipient_id)]


async def test_no_new_recipient_of_a_refused_request(fake: FakePlastiq) -> None:
    """A request that is refused for another reason creates no recipient."""
    parties = await add_parties(fake)
    changes: dict[str, object] = {"recipient": RECIPIENT_JSON, "metadata": 7}
    assert problem(await quote(fake, parties, **changes))
    assert await recipients_of(fake) == [str(parties.recipient_id)]


# --- retrieve ---


async def test_retrieve(fake: FakePlastiq) -> None:
    """A payment intent can be read by its payer."""
    created = read(await quote(fake, await add_parties(fake)))
    assert await retrieve(fake, f"/payment-intents/{created['id']}") == created


@pytest.mark.parametrize("whose", ["unknown", "foreign", "of a deleted payer"])
async def test_not_found(whose: str, fake: FakePlastiq) -> None:
    """An unknown payment intent, and one of another or a deleted payer, is a 404."""
    path = await quoted(fake)
    payer_id = fake.add_payer() if whose == "foreign" else fake.payer_id
    if whose == "unknown":
        path = f"/payment-intents/{uuid4()}"
    if whose == "of a deleted payer":
        await call(fake, "DELETE", f"/payers/{payer_id}")
    response = await call(fake, "GET", path, params={"payerId": str(payer_id)})
    assert response.status_code == 404
    if whose != "foreign":
        assert (await call(fake, "PATCH", path, json={})).status_code == 404


# --- status ---


@pytest.mark.parametrize(
    ("guide_vocabulary", "status"), [(False, "UNCAPTURABLE"), (True, "NOT_CAPTURABLE")]
)
async def test_card_that_requires_a_document(
    guide_vocabulary: bool, status: str
) -> None:
    """A card of Texas cannot be charged until its payer has an identity document."""
    fake = FakePlastiq(guide_vocabulary=guide_vocabulary)
    intent = read(await quote(fake, await add_parties(fake, TEXAN_CARD)))
    assert intent["status"] == status
    assert intent["statusReasons"] == [
        {
            "code": "TEXAS_COMPLIANCE_BLOCK",
            "message": "The payer needs an identity document",
        }
    ]
    document = {"type": "US_EIN", "value": "123456789"}
    body = {"identityDocuments": [document]}
    read(await call(fake, "PATCH", f"/payers/{fake.payer_id}", json=body))
    healed = await retrieve(fake, f"/payment-intents/{intent['id']}")
    assert healed == {**intent, "status": "CAPTURABLE", "statusReasons": []}


async def test_expiry(fake: FakePlastiq) -> None:
    """A payment intent expires after five minutes by the fake's clock."""
    path = await quoted(fake)
    fake.advance(299)
    assert (await retrieve(fake, path))["status"] == "CAPTURABLE"
    fake.advance(1)
    intent = await retrieve(fake, path)
    assert intent["status"] == "EXPIRED"
    assert [one["code"] for one in intent["statusReasons"]] == [
        "DELIVERY_EXPIRATION_BLOCK"
    ]
    body = {"targetAmount": {"value": 1, "currency": "USD"}}
    response = await call(fake, "PATCH", path, json=body)
    assert problem(response) == "the payment intent is EXPIRED and cannot be changed"
    assert await retrieve(fake, path) == intent


async def test_captured(fake: FakePlastiq) -> None:
    """A payment intent that was paid stays so, and cannot be changed."""
    path = await quoted(fake)
    (record,) = fake._state.of(PaymentIntents).by_id.values()
    record.captured = True
    fake.advance(300)
    intent = await retrieve(fake, path)
    assert (intent["status"], intent["statusReasons"]) == ("CAPTURED", [])
    response = await call(fake, "PATCH", path, json={"details": {"memo": "x"}})
    assert problem(response) == "the payment intent is CAPTURED and cannot be changed"
    assert await retrieve(fake, path) == intent


@pytest.mark.parametrize("what", ["method", "recipient"])
async def test_deleted_reference(what: str, fake: FakePlastiq) -> None:
    """What was deleted can be neither charged nor paid."""
    parties = await add_parties(fake)
    path = f"/payment-intents/{read(await quote(fake, parties))['id']}"
    method, recipient = parties.method_id, parties.recipient_id
    deleted = (
        f"/payment-methods/{method}" if what == "method" else f"/recipients/{recipient}"
    )
    assert (await call(fake, "DELETE", deleted)).status_code == 204
    intent = await retrieve(fake, path)
    assert intent["status"] == "UNCAPTURABLE"
    assert [one["code"] for one in intent["statusReasons"]] == ["REFERENCE_DELETED"]
    assert "does not exist" in problem(await quote(fake, parties))


# --- update ---


async def test_update(fake: FakePlastiq) -> None:
    """A change of the amount changes the fees, and leaves everything else."""
    path = await quoted(fake, details={"memo": "October"})
    before = await retrieve(fake, path)
    fake.advance(60)
    body = {"targetAmount": {"value": 20.5, "currency": "USD"}}
    after = read(await call(fake, "PATCH", path, json=body))
    assert after == {
        **before,
        "targetAmount": usd("20.5"),
        "sourceAmount": usd("21.08"),
        "fees": [{**before["fees"][0], "amount": usd("0.58")}],
    }
    assert await retrieve(fake, path) == after


async def test_update_of_details(fake: FakePlastiq) -> None:
    """Given details replace those of before, and metadata is not shown."""
    path = await quoted(fake, details={"memo": "October", "accountNumber": "7"})
    before = await retrieve(fake, path)
    body = {"details": {"memo": "November"}, "metadata": {"a": None}}
    after = read(await call(fake, "PATCH", path, json=body))
    assert after == {**before, "details": {"memo": "November"}}
    assert read(await call(fake, "PATCH", path, json={})) == after


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"payer": {"id": UNKNOWN}}, "payer is unknown"),
        ({"targetAmount": None}, "targetAmount must be an object"),
        ({"details": {"x": "y"}}, "details.x is unknown"),
        ({"metadata": "x"}, "metadata must be an object"),
    ],
)
async def test_update_is_checked(
    body: dict[str, object], detail: str, fake: FakePlastiq
) -> None:
    """A change that breaks the contract is a 400, and changes nothing."""
    path = await quoted(fake)
    before = await retrieve(fake, path)
    good = {"targetAmount": {"value": 20, "currency": "USD"}}
    response = await call(fake, "PATCH", path, json={**good, **body})
    assert problem(response) == detail
    assert await retrieve(fake, path) == before


# --- memory ---


async def test_history() -> None:
    """The oldest payment intents are forgotten beyond the fake's history."""
    fake = FakePlastiq(history=2)
    parties = await add_parties(fake)
    ids = [read(await quote(fake, parties))["id"] for _ in range(3)]
    params = {"payerId": str(fake.payer_id)}
    statuses = [
        (await call(fake, "GET", f"/payment-intents/{one}", params=params)).status_code
        for one in ids
    ]
    assert statuses == [404, 200, 200]


async def test_reset(fake: FakePlastiq) -> None:
    """A reset forgets payment intents."""
    path = await quoted(fake)
    fake.reset()
    params = {"payerId": str(fake.payer_id)}
    assert (await call(fake, "GET", path, params=params)).status_code == 404
