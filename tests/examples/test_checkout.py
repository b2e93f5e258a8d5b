"""The backend of the checkout example, as a process; `tests/browser` has the page."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import attrs
import httpx
import pytest

from tests.support.checkout import DECLINED, checkout, keys_of, sandbox
from tests.support.example_processes import EXAMPLES
from tests.support.internals import SeededFake, forget_keys, is_loopback

pytestmark = pytest.mark.slow


@attrs.frozen
class Backend:
    """The backend, as the page of one order uses it.

    Attributes:
        fake: The fake that the backend uses.
        client: A client whose base URL is that of the order.
    """

    fake: SeededFake
    client: httpx.Client

    def quote(self, number: str = "4242424242424242") -> dict[str, Any]:
        """Send a card as the page does, and return the order."""
        secret = self.client.post("/card-form", json={}).json()["client_secret"]
        method_id = self.fake.tokenize(secret, {"accountNumber": number})
        body = {"payment_method_id": str(method_id)}
        order: dict[str, Any] = self.client.post("/quote", json=body).json()
        return order

    def pay(self, order: dict[str, Any]) -> httpx.Response:
        """Decide to pay the quote of an order."""
        decision = {"intent_id": order["quote"]["intent_id"]}
        return self.client.post("/pay", json=decision)

    @property
    def order(self) -> dict[str, Any]:
        """The order as it is stored."""
        order: dict[str, Any] = self.client.get("/state").json()
        return order


@contextmanager
def open_order(url: str, fake: SeededFake) -> Iterator[Backend]:
    """Make a new order, and yield its backend."""
    location = httpx.get(url, trust_env=False).headers["location"]
    with httpx.Client(base_url=url + location, trust_env=False) as client:
        yield Backend(fake, client)


@pytest.fixture(scope="module")
def shop(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, SeededFake]]:
    """Run the example and the sandbox for all tests."""
    fake = SeededFake()
    log = tmp_path_factory.mktemp("checkout") / "log"
    with sandbox(fake) as settings, checkout(log, settings) as url:
        yield url, fake


@pytest.fixture
def backend(shop: tuple[str, SeededFake]) -> Iterator[Backend]:
    """Return the backend, with a new order."""
    url, fake = shop
    fake.reset()
    with open_order(url, fake) as backend:
        yield backend


def test_order(backend: Backend) -> None:
    """The page gets exact amounts, and neither the key nor the IDs of others."""
    assert backend.order == {
        "amount": "240.00",
        "step": "card",
        "notice": None,
        "quote": None,
        "receipt": None,
    }
    order = backend.quote()
    assert order["step"] == "quote"
    assert order["quote"] == {
        "intent_id": order["quote"]["intent_id"],
        "card": "Visa ending in 4242",
        "fees": [{"label": "Service fee (2.85%)", "amount": "6.84"}],
        "total": "246.84",
    }
    response = backend.pay(order)
    assert response.headers["cache-control"] == "no-store"
    paid = response.json()
    assert paid["receipt"]["status"] == "SUBMITTED"
    assert paid["receipt"]["trace_id"] == response.headers["trace-id"]
    assert paid == backend.order == backend.pay(order).json()
    assert backend.fake.charges == 1
    assert keys_of(backend.fake)[0] not in response.text


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        *(("127.0.0.1:8642", True), ("127.1.2.3", True), ("[::1]:8642", True)),
        *(("[::ffff:127.0.0.1]", True), ("localhost:1", True), ("LOCALHOST.", True)),
        *(("plastiq.localhost:8642", True), ("api.example", False)),
        *(("localhost.example", False), ("notlocalhost", False), ("10.0.0.1", False)),
        *(("[2001:db8::1]", False), ("", False)),
    ],
)
def test_stand_in_url(
    host: str, loopback: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page sends cards to an API on loopback, in the library's sense, only."""
    monkeypatch.syspath_prepend(EXAMPLES / "checkout")
    app = importlib.import_module("app")
    for name in ("app", "orders", "paying"):
        del sys.modules[name]
    expected = f"http://{host}/_sandbox/tokenize" if loopback else ""
    assert app.stand_in_url(f"http://{host}/api") == expected
    assert loopback == is_loopback(urlsplit(f"http://{host}").hostname or "")


def test_unknown_order(backend: Backend) -> None:
    """Nothing can be asked about an order that does not exist."""
    url = str(backend.client.base_url).rsplit("/", 2)[0]
    for path in ("", "/state"):
        response = httpx.get(f"{url}/{uuid4()}{path}", trust_env=False)
        assert response.status_code == 404


def test_other_quote_is_not_paid(backend: Backend) -> None:
    """Only the quote that the payer has seen is paid."""
    old = backend.quote()
    new = backend.quote()
    assert backend.pay(old).json() == new
    assert backend.fake.charges == 0
    assert backend.pay(new).json()["step"] == "paid"
    assert backend.fake.charges == 1


def test_method_of_somebody_else(backend: Backend) -> None:
    """A card that is not the payer's is refused, and the order stays as it is."""
    body = {"payment_method_id": str(uuid4())}
    assert backend.client.post("/quote", json=body).status_code == 502
    assert backend.order["step"] == "card"


def test_no_other_card_once_decided(backend: Backend) -> None:
    """While the result is not known, the order takes no other card."""
    order = backend.quote()
    backend.fake.drop_next(times=3, after_processing=True, on="payments.create")
    assert backend.pay(order).status_code == 502
    paying = backend.order
    assert paying["step"] == "paying"
    assert backend.quote() == paying
    assert backend.pay(order).json()["step"] == "paid"
    assert backend.fake.charges == 1
    assert len(set(keys_of(backend.fake))) == 1


def test_quote_that_arrives_late(backend: Backend) -> None:
    """A quote that was asked for before the payment does not replace its result."""
    order = backend.quote()
    backend.fake.delay_next(3, on="payment_intents.create")
    with ThreadPoolExecutor() as pool:
        late = pool.submit(backend.quote)
        while backend.fake.pending_faults:
            time.sleep(0.01)
        paid = backend.pay(order).json()
        assert paid["step"] == "paid"
        assert late.result() == paid
    assert backend.order == paid
    assert backend.fake.charges == 1


@pytest.mark.parametrize("named", [True, False])
def test_forgotten_key(backend: Backend, *, named: bool) -> None:
    """If the API has forgotten the key of a charge, the payment is found by reading."""
    backend.fake.name_payment_intents = named
    order = backend.quote()
    backend.fake.drop_next(times=3, after_processing=True, on="payments.create")
    backend.pay(order)
    forget_keys(backend.fake)
    paid = backend.pay(order).json()
    assert paid["step"] == "paid"
    assert backend.fake.charges == 1


def test_payment_of_another_order(shop: tuple[str, SeededFake]) -> None:
    """A payment that only looks like that of an order stays with its own order."""
    url, fake = shop
    fake.reset()
    with open_order(url, fake) as first, open_order(url, fake) as second:
        fake.name_payment_intents = False
        fake.listing_delay = 30
        card = {"payment_method_id": str(fake.payment_method_id)}
        quote, twin = (
            one.client.post("/quote", json=card).json() for one in (first, second)
        )
        paid = first.pay(quote).json()
        fake.advance(30)  # now the first payment is listed, but not yet the second
        fake.drop_next(times=3, after_processing=True, on="payments.create")
        second.pay(twin)
        forget_keys(fake)
        for _ in range(2):
            assert second.pay(twin).status_code == 502
            assert second.order["step"] == "paying"
            fake.advance(30)  # now both are listed
        assert first.order == paid
        assert fake.charges == 2


def test_quote_expires_before_it_arrives(backend: Backend) -> None:
    """A quote that expired unpaid is replaced; the payer has to decide again."""
    order = backend.quote()
    backend.fake.refuse_next(times=3, on="payments.create")
    assert backend.pay(order).status_code == 502
    backend.fake.advance(301)
    new = backend.pay(order).json()
    assert (new["step"], new["notice"]) == ("quote", "expired")
    assert new["quote"]["intent_id"] != order["quote"]["intent_id"]
    assert backend.fake.charges == 0
    assert backend.pay(new).json()["step"] == "paid"
    assert backend.fake.charges == 1


def test_quote_expires_after_it_was_paid(backend: Backend) -> None:
    """The time limit of a quote does not matter to a payment that was made."""
    order = backend.quote()
    backend.fake.drop_next(times=3, after_processing=True, on="payments.create")
    backend.pay(order)
    backend.fake.advance(301)
    assert backend.pay(order).json()["step"] == "paid"
    assert backend.fake.charges == 1


def test_refusal_without_a_reason(backend: Backend) -> None:
    """A refusal that is no decline keeps the key, because it proves nothing."""
    order = backend.quote()
    backend.fake.fail_next(400, code="VALIDATION_ERROR", on="payments.create")
    assert backend.pay(order).status_code == 502
    assert backend.order["step"] == "paying"
    assert backend.pay(order).json()["step"] == "paid"
    assert backend.fake.charges == 1
    assert len(set(keys_of(backend.fake))) == 1


def test_declined(backend: Backend) -> None:
    """A declined card is never charged, and the next one has a key of its own."""
    order = backend.quote(DECLINED)
    declined = backend.pay(order).json()
    assert (declined["step"], declined["notice"]) == ("card", "declined")
    assert backend.pay(order).json() == declined
    assert backend.fake.charges == 0
    assert backend.pay(backend.quote()).json()["step"] == "paid"
    assert backend.fake.charges == 1
    assert len(set(keys_of(backend.fake))) == len(keys_of(backend.fake)) == 2
