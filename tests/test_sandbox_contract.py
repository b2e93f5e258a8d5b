"""The sandbox as any HTTP client sees it: plain httpx, a process, no code of ours."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import attrs
import httpx
import pytest

from tests.support.sandbox_process import read_settings, start

pytestmark = pytest.mark.slow

ADDRESS = {
    "line1": "1 Main St",
    "city": "Springfield",
    "state": "IL",
    "postalCode": "62701",
    "country": "US",
}
CARD = {
    "cardHolderName": "Ada Example",
    "accountNumber": "4242424242424242",
    "cvv": "123",
    "expirationMonth": "12",
    "expirationYear": "2099",
    "billingAddress": ADDRESS,
}
BANK = {
    "type": "ACH",
    "accountNumber": "3829473294723",
    "routingNumber": "021000021",
    "beneficiaryName": "Beans Inc.",
}
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# All of the public API document, version 1.0.0.
OPERATIONS = {
    "GET /categories",
    "POST /client-secrets",
    "POST /documents",
    "POST /payers",
    "GET /payers/{id}",
    "PATCH /payers/{id}",
    "DELETE /payers/{id}",
    "POST /payments",
    "GET /payments",
    "GET /payments/{id}",
    "POST /payments/{id}/refunds",
    "POST /payment-intents",
    "GET /payment-intents/{id}",
    "PATCH /payment-intents/{id}",
    "POST /payment-methods",
    "GET /payment-methods",
    "GET /payment-methods/{id}",
    "PATCH /payment-methods/{id}",
    "DELETE /payment-methods/{id}",
    "POST /recipients",
    "GET /recipients",
    "GET /recipients/{id}",
    "PATCH /recipients/{id}",
    "DELETE /recipients/{id}",
}


@attrs.frozen
class Sandbox:
    """A sandbox that runs as a process.

    Attributes:
        settings: What it printed to stdout.
        hints: The commands that it printed to stderr.
        client: A client with its base URL and access token.
    """

    settings: dict[str, str]
    hints: list[str]
    client: httpx.Client

    @property
    def control(self) -> str:
        """The URL of its own endpoints."""
        return self.settings["PLASTIQ_BASE_URL"].removesuffix("api") + "_sandbox"

    def call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """Send a request, which must succeed, and return the JSON object."""
        response = self.client.request(method, path, **options)
        assert response.status_code == 200, response.text
        body: dict[str, Any] = response.json()
        return body


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Run the sandbox on a free port."""
    with start("--port", "0") as process:
        try:
            settings = read_settings(process)
            assert process.stderr is not None
            process.stderr.readline()  # where it serves
            hints = [process.stderr.readline() for _ in range(3)]
            token = settings["PLASTIQ_ACCESS_TOKEN"]
            with httpx.Client(
                base_url=settings["PLASTIQ_BASE_URL"],
                headers={"Authorization": f"Bearer {token}"},
                trust_env=False,
            ) as client:
                yield Sandbox(settings, hints, client)
        finally:
            process.kill()


def test_take_a_payment(sandbox: Sandbox) -> None:
    """From the category to the refund, each step works with the results before it."""
    call = sandbox.call
    category = call("GET", "/categories")["data"][0]
    contact = {"email": "ada@example.com"}
    payer = {"id": call("POST", "/payers", json={"contact": contact})["id"]}
    recipient = call(
        "POST",
        "/recipients",
        json={
            "businessName": "Beans Inc.",
            "categoryId": category["id"],
            "businessAddress": ADDRESS,
            "contact": contact,
            "receivingMethod": BANK,
        },
    )
    card = {"type": "CARD", "data": CARD, "payer": payer}
    method = call("POST", "/payment-methods", json=card)
    assert method["status"] == "ACTIVE"
    intent = call(
        "POST",
        "/payment-intents",
        json={
            "payer": payer,
            "recipient": {"id": recipient["id"]},
            "paymentMethod": {"id": method["id"]},
            "targetAmount": {"value": 100, "currency": "USD"},
        },
    )
    assert intent["status"] == "CAPTURABLE"
    assert intent["sourceAmount"] == {"value": 102.85, "currency": "USD"}

    order = {"paymentIntent": {"id": intent["id"]}, "payer": payer}
    key = {"Idempotency-Key": str(uuid4())}
    payment = call("POST", "/payments", json=order, headers=key)
    again = sandbox.client.post("/payments", json=order, headers=key)
    assert again.headers["Idempotent-Replay"] == "true"
    assert again.json() == payment

    (listed,) = call("GET", "/payments", params={"payerId": payer["id"]})["data"]
    assert listed == payment

    path = f"/payments/{payment['id']}"
    refund = call("POST", f"{path}/refunds", json={"payerId": payer["id"]})
    assert refund["status"] == "REFUNDED"
    paid = call("GET", path, params={"payerId": payer["id"]})
    assert paid["status"] == "CANCELLED"


def test_every_operation(sandbox: Sandbox) -> None:
    """A client that knows only the API document can perform all of its operations."""
    call = sandbox.call
    contact = {"email": "ada@example.com"}
    payer = {"id": call("POST", "/payers", json={"contact": contact})["id"]}
    query = {"payerId": payer["id"]}
    of_payer = f"/payers/{payer['id']}"
    changed = call("PATCH", of_payer, json={"businessName": "Ada's"})
    assert call("GET", of_payer) == changed
    assert call("POST", "/client-secrets", json={"payer": payer})["clientSecret"]

    category = call("GET", "/categories")["data"][0]
    body = {
        "businessName": "Beans",
        "categoryId": category["id"],
        "businessAddress": ADDRESS,
        "contact": contact,
        "receivingMethod": BANK,
        "payer": payer,
    }
    recipient = {"id": call("POST", "/recipients", json=body)["id"]}
    of_recipient = f"/recipients/{recipient['id']}"
    change = {"businessName": "Beans Inc.", "payer": payer}
    changed = call("PATCH", of_recipient, json=change)
    assert call("GET", of_recipient, params=query) == changed
    assert changed in call("GET", "/recipients", params=query)["data"]

    card = {"type": "CARD", "data": CARD, "payer": payer}
    method = {"id": call("POST", "/payment-methods", json=card)["id"]}
    of_method = f"/payment-methods/{method['id']}"
    data = {"cvv": "123", "cardHolderName": "Ada Lovelace"}
    changed = call("PATCH", of_method, json={**card, "data": data})
    assert call("GET", of_method, params=query) == changed
    assert call("GET", "/payment-methods", params=query)["data"] == [changed]

    quote = {
        "payer": payer,
        "recipient": recipient,
        "paymentMethod": method,
        "targetAmount": {"value": 100, "currency": "USD"},
    }
    intent = {"id": call("POST", "/payment-intents", json=quote)["id"]}
    of_intent = f"/payment-intents/{intent['id']}"
    amount = {"targetAmount": {"value": 200, "currency": "USD"}}
    changed = call("PATCH", of_intent, json=amount)
    assert call("GET", of_intent, params=query) == changed

    document = {
        "type": "INVOICE",
        "fileType": "pdf",
        "filename": "invoice.pdf",
        "payer": payer,
        "paymentIntent": intent,
    }
    place = call("POST", "/documents", json=document)
    stored = httpx.post(
        place["uploadURL"],
        data=place["metadata"],
        files={"file": b"%PDF-1.7"},
        trust_env=False,
    )
    assert stored.status_code == 201

    order = {"paymentIntent": intent, "payer": payer}
    key = {"Idempotency-Key": str(uuid4())}
    payment = call("POST", "/payments", json=order, headers=key)
    of_payment = f"/payments/{payment['id']}"
    assert call("GET", of_payment, params=query) == payment
    assert call("GET", "/payments", params=query)["data"] == [payment]
    assert call("POST", f"{of_payment}/refunds", json=query)["status"] == "REFUNDED"

    for path, scope in ((of_method, {}), (of_recipient, query), (of_payer, {})):
        assert sandbox.client.delete(path, params=scope).status_code == 204

    sent = call("GET", f"{sandbox.control}/requests")["requests"]
    done = {f"{one['method']} {UUID.sub('{id}', one['path'])}" for one in sent}
    assert {one for one in done if "/_uploads/" not in one} == {
        one.replace(" ", " /api", 1) for one in OPERATIONS
    }


def test_card_of_a_browser(sandbox: Sandbox) -> None:
    """A card comes in with a client secret, is charged, and the money arrives."""
    call, settings, control = sandbox.call, sandbox.settings, sandbox.control
    payer = {"id": settings["PLASTIQ_PAYER_ID"]}
    secret = call("POST", "/client-secrets", json={"payer": payer})["clientSecret"]
    with httpx.Client(trust_env=False) as browser:  # without the access token
        body = {"clientSecret": secret, "data": CARD}
        card = browser.post(f"{control}/tokenize", json=body).json()
        assert browser.post(f"{control}/tokenize", json=body).status_code == 409
    intent = call(
        "POST",
        "/payment-intents",
        json={
            "payer": payer,
            "recipient": {"id": settings["PLASTIQ_RECIPIENT_ID"]},
            "paymentMethod": {"id": card["paymentMethodId"]},
            "targetAmount": {"value": 100, "currency": "USD"},
        },
    )
    order = {"paymentIntent": {"id": intent["id"]}, "payer": payer}
    key = {"Idempotency-Key": str(uuid4())}
    payment = call("POST", "/payments", json=order, headers=key)
    call(
        "POST",
        f"{control}/advance",
        json={"paymentId": payment["id"], "status": "DEPOSITED"},
    )
    path = f"/payments/{payment['id']}"
    paid = call("GET", path, params={"payerId": payer["id"]})
    assert paid["status"] == "DEPOSITED"


def test_hints(sandbox: Sandbox) -> None:
    """The printed commands work as they are: categories, a quote, the seeded card."""
    results: list[Any] = []
    for line in sandbox.hints:
        command, url, option, header, *body = shlex.split(line)
        assert (command, option, *body[:1]) in {
            ("curl", "-H"),
            ("curl", "-H", "--json"),
        }
        name, value = header.split(": ")
        response = httpx.request(
            "POST" if body else "GET",
            url,
            headers={name: value, "Content-Type": "application/json"},
            content=body[1] if body else None,
            trust_env=False,
        )
        assert response.status_code == 200, response.text
        results.append(response.json())
    categories, quote, methods = results
    settings = sandbox.settings
    assert categories["data"][0]["id"] == settings["PLASTIQ_CATEGORY_ID"]
    assert quote["status"] == "CAPTURABLE"
    assert [method["id"] for method in methods["data"]] == [
        settings["PLASTIQ_PAYMENT_METHOD_ID"]
    ]


def test_reset(sandbox: Sandbox) -> None:
    """A reset forgets what was added, and brings back what was there at the start."""
    settings = sandbox.settings
    payer = {"payerId": settings["PLASTIQ_PAYER_ID"]}
    recipient = f"/recipients/{settings['PLASTIQ_RECIPIENT_ID']}"
    method = f"/payment-methods/{settings['PLASTIQ_PAYMENT_METHOD_ID']}"
    added = sandbox.call("POST", "/payers", json={"contact": {"phone": "1"}})
    for path in (recipient, method, f"/payers/{payer['payerId']}"):
        assert sandbox.client.delete(path).status_code == 204

    reset = sandbox.client.post(f"{sandbox.control}/reset", json={})
    assert reset.status_code == 204

    assert sandbox.client.get(f"/payers/{added['id']}").status_code == 404
    assert sandbox.client.get(f"/payers/{payer['payerId']}").status_code == 200
    for path in (recipient, method):
        sandbox.call("GET", path, params=payer)
