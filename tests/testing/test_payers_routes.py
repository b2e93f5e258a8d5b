"""The fake's payers, over plain HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
import pytest

from plastiq_async.testing import FakePlastiq
from plastiq_async.testing._models.payers import DOCUMENT_TYPES, MAX_DOCUMENTS
from tests.testing.calls import call, post, problem

ADDRESS: dict[str, object] = {
    "line1": "1 Main Street",
    "city": "Springfield",
    "state": "IL",
    "postalCode": "62701",
    "country": "US",
}
NUMBER = "123-45-6789"
WHOLE: dict[str, object] = {
    "contact": {
        "firstName": "Ada",
        "lastName": "Lovelace",
        "email": "ada@example.com",
        "phone": "+1 202 555 0100",
    },
    "businessName": "Ada's Coffee",
    "businessAddress": {**ADDRESS, "line2": "Floor 2"},
    "identityDocuments": [
        {"type": "US_SSN", "value": NUMBER},
        {"type": "PASSPORT_NUMBER", "value": "C01X00T47", "countryOfIssuance": "DE"},
    ],
}
NOT_TEXT = "must be a string that is not blank"


async def create(fake: FakePlastiq, **changes: object) -> httpx.Response:
    """Create a payer with only a contact, and with what is given."""
    body = {"contact": {"email": "ada@example.com"}, **changes}
    return await call(fake, "POST", "/payers", json=body)


async def new_payer(fake: FakePlastiq, **changes: object) -> dict[str, Any]:
    """Create a payer, and return it as the fake shows it."""
    response = await create(fake, **changes)
    assert response.status_code == 200
    payer: dict[str, Any] = response.json()
    return payer


async def test_create() -> None:
    """A new payer has what was sent, except the values of identity documents."""
    fake = FakePlastiq(clock=lambda: 1_605_749_753.096)
    response = await call(fake, "POST", "/payers", json=WHOLE)
    assert response.status_code == 200
    payer = response.json()
    assert payer == {
        "id": payer["id"],
        "contact": WHOLE["contact"],
        "businessName": WHOLE["businessName"],
        "businessAddress": WHOLE["businessAddress"],
        "identityDocuments": [
            {"type": "US_SSN", "id": payer["identityDocuments"][0]["id"]},
            {"type": "PASSPORT_NUMBER", "id": payer["identityDocuments"][1]["id"]},
        ],
        "createdAt": "2020-11-19T01:35:53.096Z",
        "status": "ACTIVE",
    }
    assert len({UUID(each["id"]) for each in payer["identityDocuments"]}) == 2
    assert UUID(payer["id"]) in fake.payer_ids
    assert fake.requests[0].operation == "payers.create"
    assert NUMBER not in response.text
    assert "C01X00T47" not in response.text


async def test_created_payer_has_client_secrets() -> None:
    """A created payer can get a client secret, and a deleted one cannot."""
    fake = FakePlastiq()
    payer = {"id": (await new_payer(fake))["id"]}
    assert (await post(fake, payer=payer)).status_code == 200
    assert (await call(fake, "DELETE", f"/payers/{payer['id']}")).status_code == 204
    gone = await post(fake, payer=payer)
    assert problem(gone) == "payer.id must be the ID of an existing payer"


async def test_reference_with_an_unknown_field() -> None:
    """A reference to a payer has an ID and nothing else."""
    fake = FakePlastiq()
    payer = {"id": str(fake.payer_id), "name": "Ada"}
    assert problem(await post(fake, payer=payer)) == "payer.name is unknown"


@pytest.mark.parametrize("contact", [{"email": "a@example.com"}, {"phone": "1"}])
async def test_least_contact(contact: dict[str, str]) -> None:
    """An email or a phone is enough, and nothing else is required."""
    payer = await new_payer(FakePlastiq(), contact=contact)
    assert payer["contact"] == contact
    assert payer["identityDocuments"] == []
    assert payer.keys().isdisjoint({"businessName", "businessAddress"})


async def test_contact_is_required() -> None:
    """A creation without a contact is a 400."""
    fake = FakePlastiq()
    response = await call(fake, "POST", "/payers", json={"businessName": "A"})
    assert problem(response) == "contact is required"
    assert len(fake.payer_ids) == 1


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"id": "x"}, "id is unknown"),
        ({"status": "ACTIVE"}, "status is unknown"),
        ({"contact": None}, "contact must be an object"),
        ({"contact": {}}, "contact.email or contact.phone is required"),
        (
            {"contact": {"firstName": "Ada"}},
            "contact.email or contact.phone is required",
        ),
        ({"contact": {"email": ""}}, f"contact.email {NOT_TEXT}"),
        ({"contact": {"email": "a", "fax": "1"}}, "contact.fax is unknown"),
        ({"businessName": None}, f"businessName {NOT_TEXT}"),
        ({"businessName": " "}, f"businessName {NOT_TEXT}"),
        ({"businessAddress": "x"}, "businessAddress must be an object"),
        (
            {"businessAddress": {k: v for k, v in ADDRESS.items() if k != "city"}},
            "businessAddress.city is required",
        ),
        (
            {"businessAddress": {**ADDRESS, "line2": None}},
            f"businessAddress.line2 {NOT_TEXT}",
        ),
        ({"identityDocuments": None}, "identityDocuments must be a list"),
        ({"identityDocuments": {}}, "identityDocuments must be a list"),
        ({"identityDocuments": ["x"]}, "identityDocuments[0] must be an object"),
        (
            {
                "identityDocuments": [
                    {"type": "US_EIN", "value": "1"},
                    {"type": "EIN", "value": "1"},
                ]
            },
            f"identityDocuments[1].type must be one of: {', '.join(DOCUMENT_TYPES)}",
        ),
        (
            {"identityDocuments": [{"type": "US_EIN"}]},
            "identityDocuments[0].value is required",
        ),
        (
            {"identityDocuments": [{"value": "1"}]},
            "identityDocuments[0].type is required",
        ),
        (
            {"identityDocuments": [{"type": "US_EIN", "value": ""}]},
            f"identityDocuments[0].value {NOT_TEXT}",
        ),
        (
            {"identityDocuments": [{"type": "US_EIN", "value": "1", "id": "x"}]},
            "identityDocuments[0].id is unknown",
        ),
        (
            {
                "identityDocuments": [
                    {"type": "US_EIN", "value": "1", "countryOfIssuance": "USA"}
                ]
            },
            "identityDocuments[0].countryOfIssuance must be two capital letters",
        ),
    ],
)
async def test_refused_body(
    method: str, changes: dict[str, object], detail: str
) -> None:
    """A body that breaks the contract is a 400 that names the field, for both."""
    fake = FakePlastiq()
    payer = await new_payer(fake)
    path = f"/payers/{payer['id']}"
    if method == "POST":
        response = await create(fake, **changes)
    else:
        # Nothing changes if only a part is wrong.
        body = {"contact": {"phone": "1"}, "businessName": "New", **changes}
        response = await call(fake, "PATCH", path, json=body)
    assert problem(response) == detail
    assert len(fake.payer_ids) == 2
    assert (await call(fake, "GET", path)).json() == payer


async def test_update() -> None:
    """An update replaces what it gives, adds documents, and leaves the rest."""
    fake = FakePlastiq()
    payer = (await call(fake, "POST", "/payers", json=WHOLE)).json()
    path = f"/payers/{payer['id']}"
    assert (await call(fake, "PATCH", path, json={})).json() == payer
    changes = {
        "contact": {"phone": "1"},
        "businessName": "Bee",
        "businessAddress": ADDRESS,
        "identityDocuments": [{"type": "US_EIN", "value": "12-3456789"}],
    }
    response = await call(fake, "PATCH", path, json=changes)
    changed = response.json()
    assert response.status_code == 200
    assert "12-3456789" not in response.text
    first, second, third = changed["identityDocuments"]
    assert [first, second] == payer["identityDocuments"]
    assert third["type"] == "US_EIN"
    assert changed == {**payer, **changes, "identityDocuments": [first, second, third]}
    assert (await call(fake, "GET", path)).json() == changed


async def test_deleted() -> None:
    """After a deletion, every operation on the payer is a 404."""
    fake = FakePlastiq()
    path = f"/payers/{(await new_payer(fake))['id']}"
    response = await call(fake, "DELETE", path)
    assert (response.status_code, response.content) == (204, b"")
    for method in ("GET", "PATCH", "DELETE"):
        arguments = {"json": {"businessName": "A"}} if method == "PATCH" else {}
        assert (await call(fake, method, path, **arguments)).status_code == 404
    assert fake.payer_ids == {fake.payer_id}


@pytest.mark.parametrize("added", [True, False], ids=["added", "of the constructor"])
async def test_payer_without_a_creation(added: bool) -> None:
    """A payer that was added by its ID has a contact, and can be changed."""
    fake = FakePlastiq()
    payer_id = fake.add_payer() if added else fake.payer_id
    path = f"/payers/{payer_id}"
    payer = (await call(fake, "GET", path)).json()
    assert payer["id"] == str(payer_id)
    assert payer["contact"] == {"email": f"payer-{payer_id.hex[:8]}@example.com"}
    assert payer["status"] == "ACTIVE"
    fake.advance(5)
    await call(fake, "PATCH", path, json={"businessName": "A"})
    changed = (await call(fake, "GET", path)).json()
    assert changed == {**payer, "businessName": "A"}


async def test_removed_by_the_test() -> None:
    """A payer that a test takes out of the set does not exist."""
    fake = FakePlastiq()
    payer = await new_payer(fake)
    fake.payer_ids.remove(UUID(payer["id"]))
    assert (await call(fake, "GET", f"/payers/{payer['id']}")).status_code == 404


async def test_memory() -> None:
    """The fake keeps the created payers of its history, and all that were added."""
    fake = FakePlastiq(history=3)
    added = fake.add_payer()
    created = [UUID((await new_payer(fake))["id"]) for _ in range(5)]
    assert fake.payer_ids == {fake.payer_id, added, *created[2:]}
    path = f"/payers/{created[1]}"
    assert (await call(fake, "GET", path)).status_code == 404
    document = {"type": "US_EIN", "value": "1"}
    body = {"identityDocuments": [document] * (MAX_DOCUMENTS - 1)}
    path = f"/payers/{fake.payer_id}"
    counts = [
        len((await call(fake, "PATCH", path, json=body)).json()["identityDocuments"])
        for _ in range(2)
    ]
    assert counts == [MAX_DOCUMENTS - 1, MAX_DOCUMENTS]


async def test_reset() -> None:
    """After a reset, created payers are gone, and the first one is as before."""
    fake = FakePlastiq(clock=lambda: 1_700_000_000.0)
    path = f"/payers/{fake.payer_id}"
    before = (await call(fake, "GET", path)).json()
    await new_payer(fake)
    await call(fake, "DELETE", path)
    fake.reset()
    assert fake.payer_ids == {fake.payer_id}
    assert (await call(fake, "GET", path)).json() == before
