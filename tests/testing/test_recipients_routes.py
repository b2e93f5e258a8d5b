"""The routes of `/recipients`, over plain HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from plastiq_async.testing import FakePlastiq
from plastiq_async.testing._models.recipients import Recipients
from tests.support.recipients import (
    ACCOUNT_NUMBER,
    RECEIVING_METHODS_JSON,
    RECIPIENT_JSON,
)
from tests.testing.calls import call, problem

NOW = datetime(2030, 4, 30, 12, tzinfo=UTC)
MISSING = object()
COMPLETE = {
    "line1": "1 Main St",
    "line2": "Floor 2",
    "city": "Austin",
    "state": "TX",
    "postalCode": "78701",
    "country": "US",
}
LONG_NAME = "x" * 36


@pytest.fixture
def fake() -> FakePlastiq:
    """Return a fake whose clock stands still."""
    return FakePlastiq(clock=NOW.timestamp)


def changed(data: object, changes: dict[str, Any]) -> dict[str, Any]:
    """Return `data` with `changes`, of which those that are `MISSING` are removed."""
    assert isinstance(data, dict)
    every = {**data, **changes}
    return {name: value for name, value in every.items() if value is not MISSING}


async def create(fake: FakePlastiq, **changes: object) -> httpx.Response:
    """Create a recipient; `changes` override the members of the body."""
    body = changed(RECIPIENT_JSON, changes)
    return await call(fake, "POST", "/recipients", json=body)


async def created(fake: FakePlastiq, **changes: object) -> dict[str, Any]:
    """Create a recipient, and return its JSON."""
    response = await create(fake, **changes)
    assert response.status_code == 200
    recipient: dict[str, Any] = response.json()
    return recipient


async def scoped(fake: FakePlastiq, payer_id: UUID) -> dict[str, Any]:
    """Create a recipient that only this payer can pay, and return its JSON."""
    return await created(fake, payer={"id": str(payer_id)})


async def get(
    fake: FakePlastiq, recipient_id: object, payer_id: object = None
) -> httpx.Response:
    """Read a recipient."""
    params = {} if payer_id is None else {"payerId": str(payer_id)}
    return await call(fake, "GET", f"/recipients/{recipient_id}", params=params)


async def patch(
    fake: FakePlastiq, recipient_id: object, **body: object
) -> httpx.Response:
    """Change a recipient."""
    return await call(fake, "PATCH", f"/recipients/{recipient_id}", json=body)


async def delete(
    fake: FakePlastiq, recipient_id: object, payer_id: object = None
) -> httpx.Response:
    """Delete a recipient."""
    params = {} if payer_id is None else {"payerId": str(payer_id)}
    return await call(fake, "DELETE", f"/recipients/{recipient_id}", params=params)


async def listed(fake: FakePlastiq, **query: object) -> list[str]:
    """Return the IDs of the recipients on a page."""
    params = {name: str(value) for name, value in query.items()}
    response = await call(fake, "GET", "/recipients", params=params)
    assert response.status_code == 200
    return [recipient["id"] for recipient in response.json()["data"]]


# --- create ---


async def test_create(fake: FakePlastiq) -> None:
    """The response has all that was sent, but the account number."""
    recipient = await created(fake)
    assert UUID(recipient.pop("id")).version == 4
    assert recipient == {
        **RECIPIENT_JSON,
        "receivingMethod": {
            "type": "ACH",
            "accountLastFour": "4723",
            "routingNumber": "021000021",
            "beneficiaryName": "Beans Inc.",
        },
        "createdAt": "2030-04-30T12:00:00.000Z",
        "status": "ACTIVE",
    }


@pytest.mark.parametrize("kind", RECEIVING_METHODS_JSON)
async def test_receiving_methods(kind: str, fake: FakePlastiq) -> None:
    """Each kind of receiving method comes back without its account number."""
    sent = RECEIVING_METHODS_JSON[kind]
    response = await create(fake, receivingMethod=sent)
    expected = {key: sent[key] for key in sent if key != "accountNumber"}
    if kind != "CHECK":
        expected["accountLastFour"] = "4723"
    assert response.json()["receivingMethod"] == expected
    assert ACCOUNT_NUMBER not in response.text
    assert ACCOUNT_NUMBER not in repr(fake._state.of(Recipients).by_id)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("ACH", {"accountNumber": "1" * 6}),
        ("ACH", {"accountNumber": "1" * 17}),
        ("EFT", {"routingNumber": "00301094"}),
        ("WIRE", {"accountNumber": "A", "routingNumber": "CHASUS33XXX"}),
        ("CHECK", {"country": "CA", "line2": "Floor 2"}),
        ("ACH", {"beneficiaryName": "x" * 35}),
    ],
)
async def test_limits_of_receiving_methods(
    kind: str, changes: dict[str, object], fake: FakePlastiq
) -> None:
    """Values at the limits of the contract are accepted."""
    method = RECEIVING_METHODS_JSON[kind] | changes
    assert (await create(fake, receivingMethod=method)).status_code == 200


@pytest.mark.parametrize(
    ("kind", "changes", "detail"),
    [
        ("ACH", {"type": MISSING}, "type must be one of: ACH, CHECK, EFT, WIRE"),
        ("ACH", {"type": "ach"}, "type must be one of: ACH, CHECK, EFT, WIRE"),
        ("ACH", {"type": ["ACH"]}, "type must be one of: ACH, CHECK, EFT, WIRE"),
        ("ACH", {"country": "US"}, "country is unknown"),
        ("ACH", {"accountNumber": MISSING}, "accountNumber is required"),
        ("ACH", {"accountNumber": 123456789}, "accountNumber must be 6 to 17 digits"),
        ("ACH", {"accountNumber": "12345"}, "accountNumber must be 6 to 17 digits"),
        ("ACH", {"routingNumber": "02100002"}, "routingNumber must be 9 digits"),
        ("EFT", {"accountNumber": "1-2"}, "accountNumber must be 1 to 17 digits"),
        ("EFT", {"routingNumber": "0030109"}, "routingNumber must be 8 or 9 digits"),
        (
            "WIRE",
            {"accountNumber": "1" * 36},
            "accountNumber must be 1 to 35 letters and digits",
        ),
        (
            "WIRE",
            {"routingNumber": "CHASUS3"},
            "routingNumber must be 8 to 11 letters and digits",
        ),
        ("WIRE", {"country": "CA"}, "country must be US"),
        ("WIRE", {"country": MISSING}, "country is required"),
        (
            "EFT",
            {"beneficiaryName": LONG_NAME},
            "beneficiaryName must have at most 35 characters",
        ),
        ("ACH", {"beneficiaryName": MISSING}, "beneficiaryName is required"),
        ("CHECK", {"city": MISSING}, "city is required"),
        ("CHECK", {"accountNumber": ACCOUNT_NUMBER}, "accountNumber is unknown"),
        ("CHECK", {"country": "USA"}, "country must be two capital letters"),
        ("CHECK", {"normalize": True}, "normalize is unknown"),
    ],
)
async def test_invalid_receiving_method(
    kind: str, changes: dict[str, Any], detail: str, fake: FakePlastiq
) -> None:
    """Fields that are not those of the type, or beyond their limits, are a 400."""
    method = changed(RECEIVING_METHODS_JSON[kind], changes)
    response = await create(fake, receivingMethod=method)
    assert problem(response) == f"receivingMethod.{detail}"


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"colour": "red"}, "colour is unknown"),
        ({"businessName": MISSING}, "businessName is required"),
        ({"businessName": None}, "businessName must be a string that is not blank"),
        ({"categoryId": MISSING}, "categoryId is required"),
        ({"categoryId": {"id": str(uuid4())}}, "categoryId must be a UUID"),
        (
            {"categoryId": str(uuid4())},
            "categoryId must be the ID of an existing category",
        ),
        ({"businessAddress": MISSING}, "businessAddress is required"),
        (
            {"businessAddress": {"line1": "1 Main St"}},
            "businessAddress.country is required",
        ),
        (
            {"businessAddress": {**COMPLETE, "type": "CHECK"}},
            "businessAddress.type is unknown",
        ),
        ({"contact": MISSING}, "contact is required"),
        ({"contact": {"phone": "4155550100"}}, "contact.email is required"),
        ({"receivingMethod": MISSING}, "receivingMethod is required"),
        ({"receivingMethod": []}, "receivingMethod must be an object"),
        ({"payer": None}, "payer must be an object"),
        ({"payer": {"id": "x"}}, "payer.id must be a UUID"),
        (
            {"payer": {"id": str(uuid4())}},
            "payer.id must be the ID of an existing payer",
        ),
    ],
)
async def test_invalid_body(
    changes: dict[str, Any], detail: str, fake: FakePlastiq
) -> None:
    """A 400 names the field, and nothing is created."""
    assert problem(await create(fake, **changes)) == detail
    assert await listed(fake) == []


# --- retrieve, update, delete ---


async def test_retrieve(fake: FakePlastiq) -> None:
    """A recipient is read as it was created, with any payer that exists."""
    recipient = await created(fake)
    for payer_id in (None, fake.payer_id):
        assert (await get(fake, recipient["id"], payer_id)).json() == recipient


async def test_update(fake: FakePlastiq) -> None:
    """What is given replaces what was there, and the rest stays."""
    recipient = await created(fake)
    changes: dict[str, object] = {
        "businessName": "Tea Inc.",
        "businessAddress": COMPLETE,
        "contact": {"email": "eve@example.com"},
    }
    for name, value in changes.items():
        recipient[name] = value
        response = await patch(fake, recipient["id"], **{name: value})
        assert response.status_code == 200
        assert response.json() == recipient
    assert (await get(fake, recipient["id"])).json() == recipient
    assert (await patch(fake, recipient["id"])).json() == recipient


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"categoryId": str(uuid4())}, "categoryId is unknown"),
        (
            {"receivingMethod": RECEIVING_METHODS_JSON["ACH"]},
            "receivingMethod is unknown",
        ),
        ({"businessName": ""}, "businessName must be a string that is not blank"),
        ({"contact": {"firstName": "Eve"}}, "contact.email is required"),
        ({"businessAddress": {"country": "US"}}, "businessAddress.line1 is required"),
        (
            {"payer": {"id": str(uuid4())}},
            "payer.id must be the ID of an existing payer",
        ),
    ],
)
async def test_invalid_update(
    body: dict[str, Any], detail: str, fake: FakePlastiq
) -> None:
    """A 400 names the field, and nothing changes."""
    recipient = await created(fake)
    response = await patch(fake, recipient["id"], **{"businessName": "Tea", **body})
    assert problem(response) == detail
    assert (await get(fake, recipient["id"])).json() == recipient


async def test_delete(fake: FakePlastiq) -> None:
    """After a DELETE, reading, changing and deleting are a 404."""
    recipient_id = (await created(fake))["id"]
    response = await delete(fake, recipient_id)
    assert (response.status_code, response.content) == (204, b"")
    assert (await get(fake, recipient_id)).status_code == 404
    assert (await patch(fake, recipient_id, businessName="A")).status_code == 404
    assert (await delete(fake, recipient_id)).status_code == 404
    assert await listed(fake) == []


# --- scope ---


async def test_scope(fake: FakePlastiq) -> None:
    """A scoped recipient does not exist for other payers, nor without its own."""
    owner, other = fake.payer_id, fake.add_payer()
    recipient = await scoped(fake, owner)
    recipient_id = recipient["id"]
    assert recipient["payer"] == {"id": str(owner)}
    for payer_id in (None, other, uuid4()):
        assert (await get(fake, recipient_id, payer_id)).status_code == 404
        assert (await delete(fake, recipient_id, payer_id)).status_code == 404
    assert (await patch(fake, recipient_id, businessName="A")).status_code == 404
    response = await patch(fake, recipient_id, payer={"id": str(other)})
    assert response.status_code == 404
    assert (await get(fake, recipient_id, owner)).json() == recipient
    response = await patch(
        fake, recipient_id, payer={"id": str(owner)}, businessName="A"
    )
    assert response.json() == {**recipient, "businessName": "A"}
    assert (await delete(fake, recipient_id, owner)).status_code == 204


async def test_payer_of_an_unscoped_recipient(fake: FakePlastiq) -> None:
    """A payer in an update does not scope the recipient."""
    recipient_id = (await created(fake))["id"]
    payer = {"id": str(fake.payer_id)}
    response = await patch(fake, recipient_id, payer=payer)
    assert "payer" not in response.json()
    assert (await get(fake, recipient_id)).status_code == 200
    assert (await get(fake, recipient_id, uuid4())).status_code == 404


async def test_list(fake: FakePlastiq) -> None:
    """A payer's own recipients come first, then those of everybody."""
    other = fake.add_payer()
    everybodys = [(await created(fake))["id"]]
    own = [(await scoped(fake, fake.payer_id))["id"]]
    foreign = [(await scoped(fake, other))["id"]]
    everybodys.append((await created(fake))["id"])
    own.append((await scoped(fake, fake.payer_id))["id"])
    assert await listed(fake) == everybodys
    assert await listed(fake, payerId=fake.payer_id) == own + everybodys
    assert await listed(fake, payerId=other) == foreign + everybodys
    page = await listed(fake, payerId=fake.payer_id, offset=1, limit=2)
    assert page == [own[1], everybodys[0]]
    response = await call(fake, "GET", f"/recipients?payerId={uuid4()}")
    assert response.status_code == 404
    assert problem(await call(fake, "GET", "/recipients?limit=0")).startswith("limit")


async def test_history() -> None:
    """The oldest recipients are dropped beyond the history."""
    fake = FakePlastiq(history=2)
    ids = [(await created(fake))["id"] for _ in range(3)]
    assert await listed(fake) == ids[1:]
    fake.reset()
    assert await listed(fake) == []
