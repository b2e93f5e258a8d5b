"""The client secret of the checkout page: how often it is created and used."""

from __future__ import annotations

import re
import shutil

import pytest

from tests.browser.shop import Shop, pay, send_card, step_of

pytest.importorskip("playwright", reason="no playwright: see `nox -s browser`")
from playwright.sync_api import (  # imported late, because playwright may be missing
    Page,
    Route,
    expect,
)

if shutil.which("chromium") is None:
    pytest.skip("no chromium: see `nox -s browser`", allow_module_level=True)

pytestmark = pytest.mark.slow

TOKENIZE = "**/_sandbox/tokenize"


def expire(shop: Shop, page: Page, times: int) -> None:
    """Let the client secrets of the next requests expire on their way."""

    def delay(route: Route) -> None:
        shop.fake.advance(60)
        route.continue_()

    page.route(TOKENIZE, delay, times=times)


def test_payer_who_takes_long(shop: Shop, page: Page) -> None:
    """No secret is created before the payer acts, so the payer may take long."""
    page.goto(shop.url)
    expect(step_of(page)).to_have_text("Card")
    shop.fake.advance(3_600)
    assert shop.count("client_secrets.create") == 0
    send_card(page)
    pay(page)
    expect(step_of(page)).to_have_text("Receipt")
    assert shop.count("client_secrets.create") == 1
    assert shop.fake.charges == 1


def test_expired_secret_is_renewed(shop: Shop, page: Page) -> None:
    """If the secret expires on its way, the card is sent with another one."""
    page.goto(shop.url)
    expire(shop, page, times=1)
    send_card(page)
    pay(page)
    expect(step_of(page)).to_have_text("Receipt")
    assert shop.count("client_secrets.create") == 2
    assert shop.fake.charges == 1


def test_secret_is_renewed_once(shop: Shop, page: Page) -> None:
    """If the second secret expires, too, the payer decides whether to go on."""
    page.goto(shop.url)
    expire(shop, page, times=2)
    send_card(page)
    expect(page.get_by_role("alert")).to_have_text(re.compile("could not be checked"))
    assert shop.count("client_secrets.create") == 2
    assert shop.fake.charges == 0
    page.get_by_role("button", name="Continue").click()
    pay(page)
    expect(step_of(page)).to_have_text("Receipt")
    assert shop.fake.charges == 1


def test_refused_card(shop: Shop, page: Page) -> None:
    """A card that the vendor refuses is not tried again without the payer."""
    page.goto(shop.url)
    for _ in range(30):
        shop.fake.tokenize(shop_secret(shop, page))
    send_card(page)
    number = page.get_by_label("Card number")
    expect(number).to_have_accessible_description(re.compile("was not accepted"))
    expect(number).to_be_focused()
    assert shop.count("client_secrets.create") == 31
    assert shop.fake.charges == 0


def test_unreachable_vendor(shop: Shop, page: Page) -> None:
    """If the card cannot be sent, the page says so."""
    page.goto(shop.url)
    page.route(TOKENIZE, lambda route: route.abort(), times=1)
    send_card(page)
    expect(page.get_by_role("alert")).to_have_text(re.compile("could not be checked"))
    expect(page.locator("#trace")).not_to_be_visible()
    page.get_by_role("button", name="Continue").click()
    pay(page)
    expect(step_of(page)).to_have_text("Receipt")
    assert shop.fake.charges == 1


def shop_secret(shop: Shop, page: Page) -> str:
    """Return a client secret that the backend has created."""
    response = page.request.post(f"{page.url}/card-form")
    secret: str = response.json()["client_secret"]
    return secret
