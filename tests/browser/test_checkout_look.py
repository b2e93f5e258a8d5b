"""What the checkout page looks like: accessibility, width, colours, in each state."""

from __future__ import annotations

import shutil
from typing import Literal

import pytest

from tests.browser.shop import Shop, pay, pay_button, send_card, step_of
from tests.support.checkout import DECLINED

pytest.importorskip("playwright", reason="no playwright: see `nox -s browser`")
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (  # imported late, because playwright may be missing
    Page,
    expect,
)

if shutil.which("chromium") is None:
    pytest.skip("no chromium: see `nox -s browser`", allow_module_level=True)

pytestmark = pytest.mark.slow

SCHEMES: list[Literal["light", "dark"]] = ["light", "dark"]


def assert_accessible(page: Page) -> None:
    """Check that axe finds nothing, and that nothing is wider than the window."""
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_accessibility(
    shop: Shop, page: Page, width: int, scheme: Literal["light", "dark"]
) -> None:
    """Axe finds nothing in any state, and nothing is wider than the window."""
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    fake = shop.fake

    page.route("**/state", lambda route: None)
    page.goto(shop.url)
    expect(page.get_by_role("status")).to_have_text("Loading your order…")
    assert_accessible(page)
    page.unroute("**/state")

    page.route("**/state", lambda route: route.abort(), times=1)
    page.reload()
    expect(step_of(page)).to_have_text("Your order could not be loaded")
    assert_accessible(page)

    page.get_by_role("button", name="Try again").click()
    expect(step_of(page)).to_have_text("Card")
    assert_accessible(page)

    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("Enter the card number.")).to_be_visible()
    assert_accessible(page)

    fake.fail_next(403)
    send_card(page)
    expect(page.get_by_role("alert")).not_to_be_empty()
    assert_accessible(page)

    fake.delay_next(5, on="client_secrets.create")
    send_card(page, DECLINED)
    expect(page.get_by_role("status")).to_have_text("Checking your card…")
    assert_accessible(page)

    expect(pay_button(page)).to_be_visible(timeout=15_000)
    assert_accessible(page)

    pay(page)
    expect(page.get_by_text("This card was declined.")).to_be_visible()
    assert_accessible(page)

    send_card(page)
    expect(pay_button(page)).to_be_visible()
    fake.advance(301)
    pay(page)
    expect(page.get_by_text("The quote had expired")).to_be_visible()
    assert_accessible(page)

    fake.drop_next(times=6, after_processing=True, on="payments.create")
    pay(page)
    check = page.get_by_role("button", name="Check again")
    expect(check).to_be_visible()
    assert_accessible(page)

    check.click()
    expect(page.get_by_role("alert")).not_to_be_empty()
    assert_accessible(page)

    check.click()
    expect(step_of(page)).to_have_text("Receipt")
    assert_accessible(page)
    assert fake.charges == 1


def test_colours(shop: Shop, page: Page) -> None:
    """The page has a light and a dark colour scheme, which differ."""
    backgrounds = set()
    paper = "getComputedStyle(document.querySelector('main')).backgroundColor"
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        page.goto(shop.url)
        backgrounds.add(page.evaluate(paper))
    assert len(backgrounds) == 2
