"""The sandbox as any HTTP client sees it: plain httpx, a process, no code of ours."""

from __future__ import annotations

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

    base_url = settings["PLASTIQ_BASE_URL"].removesuffix("/api")
    reset = sandbox.client.post(f"{base_url}/_sandbox/reset", json={})
    assert reset.status_code == 204

    assert sandbox.client.get(f"/payers/{added['id']}").status_code == 404
    assert sandbox.client.get(f"/payers/{payer['payerId']}").status_code == 200
    for path in (recipient, method):
        sandbox.call("GET", path, params=payer)
