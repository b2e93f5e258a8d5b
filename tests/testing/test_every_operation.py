"""What the fake requires of every operation, over plain HTTP."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import attrs
import httpx
import pytest

from plastiq_async.testing import FakePlastiq
from tests.support.payment_methods import CARD_JSON, CVV
from tests.support.recipients import RECIPIENT_JSON
from tests.testing.calls import call, problem
from tests.testing.quotes import add, add_parties

ROUTES = {route.operation: route for route in FakePlastiq.routes}
WITH_BODY = [name for name, r in ROUTES.items() if r.method in {"PATCH", "POST"}]
WITH_ID = [name for name, route in ROUTES.items() if "{id}" in route.path]
WITH_PAYER = [name for name, route in ROUTES.items() if "payerId" in route.query]


@attrs.frozen
class Valid:
    """A valid request of one operation to a fake."""

    fake: FakePlastiq
    method: str
    path: str
    query: dict[str, str]
    body: dict[str, Any] | None

    async def send(self, **changes: Any) -> httpx.Response:
        """Send the request, with some of its arguments replaced."""
        arguments: dict[str, Any] = {"params": self.query, "json": self.body}
        path = changes.pop("path", self.path)
        return await call(self.fake, self.method, path, **arguments | changes)


@pytest.fixture
def fake() -> FakePlastiq:
    """Return a fake."""
    return FakePlastiq()


async def valid_request(fake: FakePlastiq, operation: str) -> Valid:
    """Add to the fake what a valid request needs, and return the request."""
    parties = await add_parties(fake)
    payer = {"id": str(parties.payer_id)}
    quote = parties.body()
    order = {
        "paymentIntent": {"id": str(await add(fake, "/payment-intents", quote))},
        "payer": payer,
    }
    card = {"type": "CARD", "data": CARD_JSON, "payer": payer}
    bodies: dict[str, dict[str, Any]] = {
        "client_secrets.create": {"payer": payer},
        "documents.create": {
            "type": "INVOICE",
            "fileType": "pdf",
            "filename": "a.pdf",
            "payer": payer,
            "recipient": {"id": str(parties.recipient_id)},
        },
        "payers.create": {"contact": {"phone": "4155550100"}},
        "payers.update": {"businessName": "Ada"},
        "payment_intents.create": quote,
        "payment_intents.update": {"details": {"memo": "October"}},
        "payment_methods.create": card,
        "payment_methods.update": {
            **card,
            "data": {"cvv": CVV, "cardHolderName": "Ada"},
        },
        "payments.create": order,
        "payments.refund": {"payerId": payer["id"]},
        "recipients.create": RECIPIENT_JSON,
        "recipients.update": {"businessName": "Beans"},
    }
    route = ROUTES[operation]
    path = route.path
    if operation in WITH_ID:
        ids = {
            "payers": parties.payer_id,
            "payment_intents": await add(fake, "/payment-intents", quote),
            "payment_methods": parties.method_id,
            "payments": await add(fake, "/payments", order),
            "recipients": parties.recipient_id,
        }
        path = path.replace("{id}", str(ids[operation.partition(".")[0]]))
    query = {"payerId": payer["id"]} if operation in WITH_PAYER else {}
    return Valid(fake, route.method, path, query, bodies.get(operation))


@pytest.mark.parametrize("operation", ROUTES)
async def test_token_and_query(operation: str, fake: FakePlastiq) -> None:
    """An access token is required, and an unknown query parameter is refused."""
    request = await valid_request(fake, operation)
    response = await request.send(headers={"Authorization": "Bearer another"})
    assert response.status_code == 401
    unknown = {**request.query, "colour": "red"}
    expected = "colour is not a query parameter of this operation"
    assert problem(await request.send(params=unknown)) == expected
    assert (await request.send()).is_success


@pytest.mark.parametrize("operation", WITH_BODY)
async def test_body(operation: str, fake: FakePlastiq) -> None:
    """A body is a JSON object, said to be JSON, without unknown fields."""
    request = await valid_request(fake, operation)
    assert request.body is not None
    json_type = {"Content-Type": "application/json"}
    for content, expected in {
        "": "body must be JSON",
        "null": "body must be a JSON object",
        "[]": "body must be a JSON object",
        '"x"': "body must be a JSON object",
        "1": "body must be a JSON object",
    }.items():
        response = await request.send(json=None, content=content, headers=json_type)
        assert problem(response) == expected
    text = {"Content-Type": "text/plain"}
    content = json.dumps(request.body)
    response = await request.send(json=None, content=content, headers=text)
    assert problem(response) == "Content-Type must be application/json"
    unknown = {**request.body, "colour": "red"}
    assert problem(await request.send(json=unknown)) == "colour is unknown"
    assert (await request.send()).is_success


@pytest.mark.parametrize("operation", WITH_ID)
async def test_id(operation: str, fake: FakePlastiq) -> None:
    """An ID in a path is a UUID in either case, of something that exists."""
    request = await valid_request(fake, operation)
    template = ROUTES[operation].path
    response = await request.send(path=template.replace("{id}", "7"))
    assert problem(response) == "id must be a UUID"
    response = await request.send(path=template.replace("{id}", str(uuid4())))
    assert response.status_code == 404
    assert response.json()["code"] == "NOT_FOUND_ERROR"
    resource, record_id, *rest = request.path[1:].split("/")
    path = "/".join(["", resource, record_id.upper(), *rest])
    assert (await request.send(path=path)).is_success


@pytest.mark.parametrize("operation", WITH_PAYER)
async def test_payer_in_the_query(operation: str, fake: FakePlastiq) -> None:
    """The payer in a query is the UUID of one who exists, in either case."""
    request = await valid_request(fake, operation)
    for value in ("", "7", f"{{{fake.payer_id}}}"):
        response = await request.send(params={"payerId": value})
        assert problem(response) == "payerId must be a UUID"
    twice = [("payerId", str(fake.payer_id))] * 2
    assert problem(await request.send(params=twice)) == "payerId must not be repeated"
    unknown = await request.send(params={"payerId": str(uuid4())})
    assert unknown.status_code == 404
    shouted = {"payerId": str(fake.payer_id).upper()}
    assert (await request.send(params=shouted)).is_success


@pytest.mark.parametrize(
    "operation", [name for name in WITH_PAYER if not name.startswith("recipients.")]
)
async def test_required_payer(operation: str, fake: FakePlastiq) -> None:
    """A query must name the payer, unless it is for recipients."""
    request = await valid_request(fake, operation)
    assert problem(await request.send(params={})) == "payerId is required"
