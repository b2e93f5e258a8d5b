"""A payment on the checkout page: example, sandbox and browser are all real.

`nox -s browser` installs the browser.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from tests.browser.shop import (
    FIELDS,
    Shop,
    pay,
    pay_button,
    send_card,
    step_of,
    trace_id_on,
)
from tests.support.checkout import CARD, COMMAND, DECLINED, checkout, sandbox
from tests.support.example_processes import serving

pytest.importorskip("playwright", reason="no playwright: see `nox -s browser`")
from playwright.sync_api import (  # imported late, because playwright may be missing
    Browser,
    BrowserContext,
    Page,
    expect,
)

if shutil.which("chromium") is None:
    pytest.skip("no chromium: see `nox -s browser`", allow_module_level=True)

pytestmark = pytest.mark.slow


def test_paid(shop: Shop, page: Page) -> None:
    """The page shows the fees before the payer pays, and then a receipt."""
    sent: list[tuple[str, str]] = []
    page.on("request", lambda one: sent.append((one.url, one.post_data or "")))
    page.goto(shop.url)
    expect(step_of(page)).to_have_text("Card")
    send_card(page)
    amounts = page.locator("#amounts div")
    expect(amounts).to_have_text(
        ["Invoice 2041$240.00", "Service fee (2.85%)$6.84", "Total$246.84"]
    )
    expect(page.get_by_text("Pay with Visa ending in 4242.")).to_be_visible()
    assert shop.fake.charges == 0
    expect(pay_button(page)).to_have_text("Pay $246.84")
    pay(page)
    expect(step_of(page)).to_have_text("Receipt")
    expect(amounts.last).to_have_text("Total$246.84")
    receipt = page.locator(".receipt div")
    expect(receipt.nth(0)).to_have_text("CardVisa ending in 4242")
    expect(receipt.nth(1)).to_have_text("StatusSUBMITTED")
    assert shop.fake.charges == 1
    assert len(shop.keys) == 1

    # The trace ID is that of the request that charged.
    (paid,) = (one for one in shop.fake.requests if one.operation == "payments.create")
    assert paid.trace_id == trace_id_on(page)

    # The API knows the payer's browser in all calls.
    (cookie,) = page.context.cookies()
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Lax"
    for request in shop.fake.requests:
        assert request.headers["user-agent"] == page.evaluate("navigator.userAgent")
        assert request.headers["end-user-ip"] == "127.0.0.1"
        assert request.headers["end-user-device-id"] == cookie["value"]

    # The card went to the stand-in for the vendor's script, and nowhere else.
    holders = [url for url, body in sent if CARD in url + body]
    assert [url.split("/", 3)[3] for url in holders] == ["_sandbox/tokenize"]
    assert not any(CARD.encode() in request.body for request in shop.fake.requests)
    assert CARD not in page.content()


def test_secret_is_for_one_browser(shop: Shop) -> None:
    """The response with the client secret is not stored, and not for other orders."""
    with httpx.Client(trust_env=False, follow_redirects=True) as client:
        order = client.get(shop.url).url
        response = client.post(f"{order}/card-form", json={})
        assert response.headers["cache-control"] == "no-store"
        assert shop.fake.redeem(response.json()["client_secret"]) == shop.fake.payer_id
        nobody = UUID(int=0)
        assert client.post(f"{shop.url}/orders/{nobody}/card-form").status_code == 404


def test_declined(shop: Shop, page: Page) -> None:
    """After a decline, another card pays with a new key."""
    page.goto(shop.url)
    send_card(page, DECLINED)
    pay(page)
    number = page.get_by_label("Card number")
    expect(number).to_have_accessible_description(
        "This card was declined. Use another card."
    )
    expect(number).to_be_focused()
    expect(number).to_have_value("")
    assert shop.fake.charges == 0

    # The message and the order survive a reload.
    page.reload()
    expect(number).to_have_accessible_description(re.compile("declined"))
    send_card(page)
    pay(page)
    expect(step_of(page)).to_have_text("Receipt")
    assert shop.fake.charges == 1
    first, second = shop.keys
    assert first != second


def test_only_declined(shop: Shop, page: Page) -> None:
    """A card that is declined again and again is never charged."""
    page.goto(shop.url)
    for _ in range(2):
        send_card(page, DECLINED)
        pay(page)
        expect(page.get_by_text("This card was declined.")).to_be_visible()
    assert shop.fake.charges == 0
    assert len(set(shop.keys)) == 2


def test_card_that_cannot_be_used(shop: Shop, page: Page) -> None:
    """If the quote says that it cannot be paid, the page asks for another card."""
    page.goto(shop.url)
    send_card(page, State="TX")
    number = page.get_by_label("Card number")
    expect(number).to_have_accessible_description(
        re.compile("cannot be made with this")
    )
    send_card(page)
    pay(page)
    expect(step_of(page)).to_have_text("Receipt")
    assert shop.fake.charges == 1


def test_another_card_before_paying(shop: Shop, page: Page) -> None:
    """The payer can use another card after the quote, which is the one charged."""
    page.goto(shop.url)
    send_card(page)
    page.get_by_role("button", name="Use another card").click()
    expect(step_of(page)).to_be_focused()
    for label in ("Card number", "Expires", "Security code"):
        expect(page.get_by_label(label)).to_have_value("")
    expect(page.get_by_label("City")).to_have_value(FIELDS["City"])
    send_card(page, "5555555555554444")
    expect(page.get_by_text("ending in 4444")).to_be_visible()
    pay(page)
    expect(page.locator(".receipt")).to_contain_text("ending in 4444")
    assert shop.fake.charges == 1


def test_expired_quote(shop: Shop, page: Page) -> None:
    """A quote that expires is not paid; the payer sees another one, and decides."""
    page.goto(shop.url)
    send_card(page)
    expect(pay_button(page)).to_be_visible()
    shop.fake.advance(301)
    pay(page)
    expect(page.get_by_text("The quote had expired")).to_be_visible()
    assert shop.fake.charges == 0
    expect(pay_button(page)).to_have_attribute("aria-disabled", "false")
    pay(page)
    expect(step_of(page)).to_have_text("Receipt")
    assert shop.fake.charges == 1
    first, second = shop.keys
    assert first != second


def test_status_changes(shop: Shop, page: Page) -> None:
    """The receipt shows the status as it is when the page is opened."""
    page.goto(shop.url)
    send_card(page)
    pay(page)
    expect(page.get_by_text("Your payment was accepted.")).to_be_visible()
    payment_id = page.locator("#payment-id").inner_text()
    shop.fake.advance_payment(payment_id, "DEPOSITED")
    page.reload()
    expect(page.get_by_text("Your payment has arrived.")).to_be_visible()
    shop.fake.fail_next(403, on="payments.retrieve")
    page.reload()
    expect(page.locator(".receipt")).to_contain_text("DEPOSITED")
    assert shop.fake.charges == 1


def test_failure_and_another_try(shop: Shop, page: Page) -> None:
    """A failure is announced with the trace ID, and the same button tries again."""
    page.goto(shop.url)
    shop.fake.fail_next(403, message="an internal matter")
    send_card(page)
    alert = page.get_by_role("alert")
    expect(alert).to_have_text(re.compile("could not be checked. You have not paid"))
    assert trace_id_on(page) == shop.fake.requests[-1].trace_id
    assert "internal matter" not in page.content()
    page.get_by_role("button", name="Continue").click()
    pay(page)
    expect(step_of(page)).to_have_text("Receipt")
    expect(alert).to_be_empty()
    assert shop.fake.charges == 1


def test_order_that_cannot_be_loaded(shop: Shop, page: Page) -> None:
    """If the state of the order does not arrive, a button asks for it again."""
    page.route("**/state", lambda route: route.abort())
    page.goto(shop.url)
    expect(step_of(page)).to_have_text("Your order could not be loaded")
    page.unroute("**/state")
    page.get_by_role("button", name="Try again").click()
    expect(step_of(page)).to_have_text("Card")
    expect(step_of(page)).to_be_focused()
    assert shop.fake.charges == 0


def test_without_scripts(shop: Shop, browser: Browser) -> None:
    """Without JavaScript the page says what to do, and has no field to fill in."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(shop.url)
    assert "turn on JavaScript" in page.locator("main").inner_text()
    expect(page.get_by_role("textbox")).to_have_count(0)
    context.close()


def test_documented_command(page: Page, tmp_path: Path) -> None:
    """The example runs under the sandbox's command, with the settings of that."""
    command = [sys.executable, "-m", "plastiq_async.sandbox", *COMMAND]
    with serving(command, tmp_path / "log") as url:
        page.goto(url)
        send_card(page)
        pay(page)
        expect(step_of(page)).to_have_text("Receipt")
        tokenize_url = page.locator("main").get_attribute("data-tokenize-url") or ""
        listing = tokenize_url.replace("tokenize", "requests")
        requests = httpx.get(listing, trust_env=False).json()["requests"]
    operations = [request["operation"] for request in requests]
    assert operations.count("payments.create") == 1


def test_vendor_script(shop: Shop, context: BrowserContext, tmp_path: Path) -> None:
    """The policy lets in the script of the setting and its frames, and no other."""
    page = context.new_page()
    page.add_init_script(
        "window.blocked = [];"
        "addEventListener('securitypolicyviolation',"
        "  (event) => blocked.push(event.blockedURI));"
    )
    script = (
        "const frame = document.createElement('iframe');"
        "frame.src = 'https://vendor.test/frame';"
        "document.body.append(frame);"
        "const other = document.createElement('script');"
        "other.src = 'https://other.test/script.js';"
        "document.body.append(other);"
    )
    context.route(
        "https://vendor.test/script.js?a=1&b=2",
        lambda route: route.fulfill(body=script, content_type="text/javascript"),
    )
    context.route(
        "https://vendor.test/frame",
        lambda route: route.fulfill(body="A card form", content_type="text/html"),
    )
    context.route("https://other.test/**", lambda route: route.abort())
    vendor = {"VENDOR_SCRIPT_URL": "https://vendor.test/script.js?a=1&b=2"}
    with (
        sandbox(shop.fake) as settings,
        checkout(tmp_path / "log", settings | vendor) as url,
    ):
        page.goto(url)
        frame = page.frame_locator("iframe")
        expect(frame.get_by_text("A card form")).to_be_visible()
        page.wait_for_function("blocked.length > 0")
        assert page.evaluate("blocked") == ["https://other.test/script.js"]


def test_card_goes_to_the_local_fake_only(page: Page, tmp_path: Path) -> None:
    """With another API, the page has no stand-in to send the card to."""
    settings = {
        "PLASTIQ_BASE_URL": "https://api.example/api",
        "PLASTIQ_ACCESS_TOKEN": "a-token",
        "PLASTIQ_PAYER_ID": str(UUID(int=1)),
        "PLASTIQ_RECIPIENT_ID": str(UUID(int=2)),
    }
    with checkout(tmp_path / "log", settings) as url:
        page.goto(url)
        expect(step_of(page)).to_have_text("Card")
        policy = httpx.get(page.url, trust_env=False).headers["content-security-policy"]
        assert "connect-src 'self';" in policy
        assert page.locator("main").get_attribute("data-tokenize-url") == ""

        sent: list[str] = []
        page.on("request", lambda one: sent.append(f"{one.url} {one.post_data}"))
        page.route(
            "**/card-form",
            lambda route: route.fulfill(json={"client_secret": "a-secret"}),
        )
        send_card(page)
        alert = page.get_by_role("alert")
        expect(alert).to_have_text(re.compile("could not be checked"))
        assert [one.rsplit("/", 1)[1] for one in sent] == ["card-form {}"]
