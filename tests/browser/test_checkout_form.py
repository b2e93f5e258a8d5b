"""The checkout page by keyboard and screen reader: fields, errors, focus, messages."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from tests.browser.shop import (
    FIELDS,
    Shop,
    fill_in,
    hold,
    pay,
    pay_button,
    release,
    send_card,
    step_of,
)
from tests.support.checkout import DECLINED

pytest.importorskip("playwright", reason="no playwright: see `nox -s browser`")
from playwright.sync_api import (  # imported late, because playwright may be missing
    Page,
    expect,
)

if shutil.which("chromium") is None:
    pytest.skip("no chromium: see `nox -s browser`", allow_module_level=True)

pytestmark = pytest.mark.slow

AUTOCOMPLETE = {
    "Cardholder name": "cc-name",
    "Card number": "cc-number",
    "Expires (MM/YY)": "cc-exp",
    "Security code": "cc-csc",
    "Street and number": "billing address-line1",
    "City": "billing address-level2",
    "State or province": "billing address-level1",
    "Postal code": "billing postal-code",
    "Country": "billing country",
}
NUMERIC = ("Card number", "Expires (MM/YY)", "Security code")


def type_card(page: Page, number: str) -> None:
    """Fill in the form from the field that has the focus, and send it, by keyboard."""
    for label, text in {**FIELDS, "Card number": number}.items():
        field = page.get_by_label(label)
        expect(field).to_be_focused()
        expect(field).to_have_css("outline-style", "solid")
        page.keyboard.press("Control+a")
        page.keyboard.type(text)
        page.keyboard.press("Tab")
    expect(page.get_by_label("Country")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Continue")).to_be_focused()
    page.keyboard.press("Enter")


def test_by_keyboard(shop: Shop, page: Page) -> None:
    """A declined card, another one and the receipt need no mouse."""
    page.goto(shop.url)
    expect(step_of(page)).to_have_text("Card")
    page.keyboard.press("Tab")
    type_card(page, DECLINED)
    expect(step_of(page)).to_have_text("Check and pay")
    expect(step_of(page)).to_be_focused()
    page.keyboard.press("Tab")
    expect(pay_button(page)).to_be_focused()
    page.keyboard.press("Space")
    expect(page.get_by_label("Card number")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    type_card(page, FIELDS["Card number"])
    expect(step_of(page)).to_have_text("Check and pay")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(step_of(page)).to_have_text("Receipt")
    expect(step_of(page)).to_be_focused()
    assert shop.fake.charges == 1


def test_enter_sends_the_form(shop: Shop, page: Page) -> None:
    """Enter in a field does what the button does."""
    page.goto(shop.url)
    fill_in(page)
    page.get_by_label("Security code").press("Enter")
    expect(pay_button(page)).to_be_visible()
    assert shop.fake.charges == 0


def test_fields(shop: Shop, page: Page) -> None:
    """A browser can fill in each field, and none has a name to be submitted by."""
    page.goto(shop.url)
    for label, autocomplete in AUTOCOMPLETE.items():
        field = page.get_by_label(label, exact=True)
        expect(field).to_have_attribute("autocomplete", autocomplete)
        expect(field).not_to_have_attribute("name", re.compile(""))
    for label in NUMERIC:
        expect(page.get_by_label(label)).to_have_attribute("inputmode", "numeric")
    assert page.get_by_role("textbox").count() == len(FIELDS)


def test_empty_form(shop: Shop, page: Page) -> None:
    """Each empty field has a message of its own, and the first one gets the focus."""
    page.goto(shop.url)
    page.get_by_role("button", name="Continue").click()
    for label in FIELDS:
        field = page.get_by_label(label)
        expect(field).to_have_accessible_description(re.compile("^Enter "))
        expect(field).to_have_attribute("aria-invalid", "true")
    first = page.get_by_label("Cardholder name")
    expect(first).to_be_focused()
    first.fill("Ada Example")
    expect(first).to_have_accessible_description("")
    expect(first).to_have_attribute("aria-invalid", "false")
    assert shop.fake.requests == []


@pytest.mark.parametrize(
    ("label", "text", "message"),
    [
        ("Card number", "4242 4242", "A card number has 12 to 19 digits."),
        ("Card number", "4242x4242y4242", "A card number has 12 to 19 digits."),
        ("Expires", "13/30", "Enter month and year, such as 08/29."),
        ("Expires", "129", "Enter month and year, such as 08/29."),
        ("Expires", "01/20", "This card has expired."),
        ("Security code", "12", "A security code has 3 or 4 digits."),
    ],
)
def test_wrong_field(
    shop: Shop, page: Page, label: str, text: str, message: str
) -> None:
    """A mistake is explained at its field before the card is sent."""
    page.goto(shop.url)
    send_card(page, **{label: text})
    field = page.get_by_label(label)
    expect(field).to_have_accessible_description(message)
    expect(field).to_be_focused()
    field.fill(next(value for key, value in FIELDS.items() if key.startswith(label)))
    expect(field).to_have_accessible_description("")
    assert shop.fake.requests == []


@pytest.mark.parametrize(
    ("number", "expires", "month"),
    [
        ("4242 4242 4242 4242", "8/99", "08"),
        ("4242-4242-4242-4242", "08 / 2099", "08"),
        ("4242424242424242 ", "1299", "12"),
    ],
)
def test_spellings(
    shop: Shop, page: Page, number: str, expires: str, month: str
) -> None:
    """Numbers and dates may be written as they are on the card."""
    page.goto(shop.url)
    with page.expect_request("**/_sandbox/tokenize") as sent:
        send_card(page, number, Expires=expires)
    card = json.loads(sent.value.post_data or "")["data"]
    assert card["accountNumber"] == FIELDS["Card number"]
    assert (card["expirationMonth"], card["expirationYear"]) == (month, "2099")
    expect(pay_button(page)).to_be_visible()
    assert shop.fake.charges == 0


def test_messages(shop: Shop, page: Page) -> None:
    """What the page does meanwhile is announced, and the button says that it waits."""
    page.goto(shop.url)
    status = page.get_by_role("status")
    held = hold(page, "**/card-form")
    fill_in(page)
    button = page.get_by_role("button", name="Continue")
    button.click()
    expect(status).to_have_text("Checking your card…")
    expect(button).to_have_attribute("aria-disabled", "true")
    expect(button).to_be_focused()
    release(page, held)
    expect(pay_button(page)).to_be_visible()
    expect(status).to_be_empty()
    held = hold(page, "**/pay")
    pay(page)
    expect(status).to_have_text("Paying…")
    release(page, held)
    expect(step_of(page)).to_have_text("Receipt")
    expect(status).to_be_empty()
    assert shop.fake.charges == 1


def test_new_quote_is_announced(shop: Shop, page: Page) -> None:
    """The heading that gets the focus says why there is another quote."""
    page.goto(shop.url)
    send_card(page)
    expect(pay_button(page)).to_be_visible()
    expect(step_of(page)).to_have_accessible_description("")
    shop.fake.advance(301)
    pay(page)
    expect(step_of(page)).to_have_accessible_description(re.compile("had expired"))
    expect(step_of(page)).to_be_focused()
    assert shop.fake.charges == 0
