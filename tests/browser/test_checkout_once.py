"""The checkout charges once, whatever the payer and the network do meanwhile."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.browser.shop import (
    Shop,
    hold,
    pay,
    pay_button,
    release,
    send_card,
    step_of,
    wait_until,
)
from tests.support.checkout import DECLINED, checkout, sandbox

pytest.importorskip("playwright", reason="no playwright: see `nox -s browser`")
from playwright.sync_api import (  # imported late, because playwright may be missing
    BrowserContext,
    Page,
    Route,
    expect,
)

if shutil.which("chromium") is None:
    pytest.skip("no chromium: see `nox -s browser`", allow_module_level=True)

pytestmark = pytest.mark.slow

LOST = "Your payment is not confirmed yet"


def quote(shop: Shop, page: Page) -> None:
    """Open the page, and get as far as the button that pays."""
    page.goto(shop.url)
    send_card(page)
    expect(pay_button(page)).to_be_visible()


def assert_paid_once(shop: Shop, page: Page) -> None:
    """Check that the page shows a receipt, and that one payment was charged."""
    expect(step_of(page)).to_have_text("Receipt")
    assert shop.fake.charges == 1
    assert len(set(shop.keys)) == 1


def test_double_click(shop: Shop, page: Page) -> None:
    """A double click on each button does what one click does."""
    page.goto(shop.url)
    send_card(page)
    pay_button(page).dblclick()
    assert_paid_once(shop, page)
    assert len(shop.keys) == 1


def test_double_click_on_continue(shop: Shop, page: Page) -> None:
    """A double click sends the card once."""
    page.goto(shop.url)
    held = hold(page, "**/card-form")
    send_card(page)
    page.get_by_role("button", name="Continue").dblclick(force=True)
    release(page, held)
    pay(page)
    assert_paid_once(shop, page)
    assert shop.count("client_secrets.create") == 1


def test_requests_at_the_same_time(shop: Shop, page: Page) -> None:
    """Even if the page asked twice, the order would be paid once."""
    quote(shop, page)
    shop.fake.delay_next(0.3, on="payments.create")
    statuses = page.evaluate(
        """async () => {
            const order = await (await fetch(`${location.pathname}/state`)).json();
            const request = () => fetch(`${location.pathname}/pay`, {
                method: "POST",
                headers: { "Content-Type": "application/json" },
                body: JSON.stringify({ intent_id: order.quote.intent_id }),
            });
            const responses = await Promise.all([request(), request(), request()]);
            return Promise.all(responses.map(async (one) => (await one.json()).step));
        }"""
    )
    assert statuses == ["paid"] * 3
    page.reload()
    assert_paid_once(shop, page)


def test_reload_in_every_state(shop: Shop, page: Page) -> None:
    """A reload shows the same step again, and pays nothing by itself."""
    page.goto(shop.url)
    address = page.url
    page.reload()
    expect(step_of(page)).to_have_text("Card")
    send_card(page, DECLINED)
    expect(pay_button(page)).to_be_visible()
    page.reload()
    expect(pay_button(page)).to_have_text("Pay $246.84")
    assert shop.keys == []
    pay(page)
    expect(page.get_by_text("This card was declined.")).to_be_visible()
    page.reload()
    expect(page.get_by_text("This card was declined.")).to_be_visible()
    assert shop.fake.charges == 0
    send_card(page)
    pay(page)
    expect(step_of(page)).to_have_text("Receipt")
    receipt = page.locator(".receipt").inner_text()
    for _ in range(2):
        page.reload()
        expect(step_of(page)).to_have_text("Receipt")
        assert page.locator(".receipt").inner_text() == receipt
    assert page.url == address
    assert shop.fake.charges == 1


def test_reload_while_paying(shop: Shop, page: Page) -> None:
    """A reload between the decision and its result goes on with the same key."""
    quote(shop, page)
    shop.fake.delay_next(5, on="payments.create")
    pay(page)
    wait_until(page, lambda: shop.keys)
    expect(page.get_by_role("status")).to_have_text("Paying…")
    page.reload()
    # The key is in use until the delay is over.
    expect(step_of(page)).to_have_text("Receipt", timeout=20_000)
    assert_paid_once(shop, page)


def test_back_button(shop: Shop, page: Page) -> None:
    """The back button leads to the receipt, not to another payment."""
    quote(shop, page)
    pay(page)
    expect(step_of(page)).to_have_text("Receipt")
    page.goto("about:blank")
    page.go_back()
    assert_paid_once(shop, page)
    page.go_back()  # to what was before the page
    page.go_forward()
    assert_paid_once(shop, page)


def test_page_as_it_was_left(shop: Shop, page: Page, context: BrowserContext) -> None:
    """A page that the browser brings back from memory asks for the state anew."""
    quote(shop, page)
    other = context.new_page()
    other.goto(page.url)
    pay(other)
    expect(step_of(other)).to_have_text("Receipt")
    page.evaluate(
        "dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))"
    )
    assert_paid_once(shop, page)


def test_lost_response_of_the_api(shop: Shop, page: Page) -> None:
    """A charge without a response is found by another try, with the same key."""
    quote(shop, page)
    shop.fake.drop_next(times=4, after_processing=True, on="payments.create")
    pay(page)
    expect(step_of(page)).to_have_text(LOST)
    expect(step_of(page)).to_be_focused()
    assert shop.fake.charges == 1
    page.get_by_role("button", name="Check again").click()
    assert_paid_once(shop, page)
    assert len(shop.keys) > 3


def test_lost_response_and_reload(shop: Shop, page: Page) -> None:
    """After a reload, the page finds out by itself what became of the payment."""
    quote(shop, page)
    shop.fake.drop_next(times=3, after_processing=True, on="payments.create")
    pay(page)
    expect(step_of(page)).to_have_text(LOST)
    page.reload()
    assert_paid_once(shop, page)


def test_outage(shop: Shop, page: Page) -> None:
    """While the API is out of order, the page keeps saying that it does not know."""
    quote(shop, page)
    shop.fake.refuse_next(times=6, on="payments.create")
    pay(page)
    expect(step_of(page)).to_have_text(LOST)
    page.get_by_role("button", name="Check again").click()
    alert = page.get_by_role("alert")
    expect(alert).to_have_text("There is still no confirmation.")
    assert shop.fake.charges == 0
    page.get_by_role("button", name="Check again").click()
    assert_paid_once(shop, page)


@pytest.mark.parametrize("arrives", [True, False])
def test_lost_response_of_the_backend(shop: Shop, page: Page, *, arrives: bool) -> None:
    """If the network fails between page and backend, another try tells the result."""

    def lose(route: Route) -> None:
        if arrives:
            route.fetch()
        route.abort("connectionreset")

    quote(shop, page)
    page.route("**/pay", lose, times=1)
    pay(page)
    expect(step_of(page)).to_have_text(LOST)
    assert shop.fake.charges == int(arrives)
    page.get_by_role("button", name="Check again").click()
    assert_paid_once(shop, page)


def test_two_tabs(shop: Shop, page: Page, context: BrowserContext) -> None:
    """A tab with an old quote pays neither that nor the one that it has not shown."""
    quote(shop, page)
    other = context.new_page()
    other.goto(page.url)
    other.get_by_role("button", name="Use another card").click()
    send_card(other, "5555555555554444")
    expect(other.get_by_text("ending in 4444")).to_be_visible()
    pay(page)
    expect(page.get_by_text("ending in 4444")).to_be_visible()
    assert shop.fake.charges == 0
    pay(page)
    expect(step_of(page)).to_have_text("Receipt")
    pay(other)
    assert_paid_once(shop, other)


def test_another_card_while_paying(
    shop: Shop, page: Page, context: BrowserContext
) -> None:
    """Once the payer has decided, no other card can be charged for the order."""
    quote(shop, page)
    other = context.new_page()
    other.goto(page.url)
    other.get_by_role("button", name="Use another card").click()
    shop.fake.drop_next(times=3, after_processing=True, on="payments.create")
    pay(page)
    expect(step_of(page)).to_have_text(LOST)
    send_card(other, "5555555555554444")
    expect(step_of(other)).to_have_text(LOST)
    other.get_by_role("button", name="Check again").click()
    assert_paid_once(shop, other)
    expect(other.locator(".receipt")).to_contain_text("ending in 4242")


def test_crash_of_the_backend(shop: Shop, page: Page, tmp_path: Path) -> None:
    """The order and its key survive a crash between the charge and its result."""
    with sandbox(shop.fake) as settings:
        settings["CHECKOUT_DATABASE"] = str(tmp_path / "orders.sqlite")
        with checkout(tmp_path / "log", settings) as url:
            quote(Shop(url, shop.fake), page)
            shop.fake.drop_next(times=3, after_processing=True, on="payments.create")
            pay(page)
            expect(step_of(page)).to_have_text(LOST)
        with checkout(tmp_path / "log", settings) as new_url:
            page.goto(page.url.replace(url, new_url))
            assert_paid_once(shop, page)
