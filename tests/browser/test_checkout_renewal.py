"""When the checkout page renews its client secret, and where the focus is then."""

from __future__ import annotations

import shutil
from itertools import pairwise

import pytest

from tests.support.backend import Backend

pytest.importorskip("playwright", reason="no playwright: see `nox -s browser`")
from playwright.sync_api import (  # imported late, because playwright may be missing
    Page,
    expect,
)

if shutil.which("chromium") is None:
    pytest.skip("no chromium: see `nox -s browser`", allow_module_level=True)

pytestmark = pytest.mark.slow

FORM = "#form"
SECOND = 990  # milliseconds, because the clock of a browser is rounded


def run(page: Page, seconds: int, *, step: int = 1) -> None:
    """Advance the clock step by step, and let each response arrive meanwhile."""
    for _ in range(0, seconds, step):
        page.clock.run_for(1_000 * step)
        # One round trip to the test's process, in which it responds.
        page.wait_for_timeout(5)


def set_hidden(page: Page, *, hidden: bool) -> None:
    """Hide the page as another tab does, or show it again."""
    page.evaluate(
        """hidden => {
            const define = (name, value) =>
                Object.defineProperty(document, name, { value, configurable: true });
            define("hidden", hidden);
            define("visibilityState", hidden ? "hidden" : "visible");
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def expire(page: Page, backend: Backend, times: int) -> None:
    """Let secrets expire, and respond to the requests for others but the last."""
    for number in range(times):
        expect(page.locator(FORM)).to_have_attribute("data-state", "ready")
        page.clock.run_for(60_000)
        if number < times - 1:
            backend.respond()


def focused(page: Page) -> str:
    """Return the text or the ID of the focused element."""
    text: str = page.evaluate(
        "(({ id, tagName, textContent }) =>"
        " tagName === 'BUTTON' ? textContent : id || tagName)(document.activeElement)"
    )
    return text


def test_renews_a_few_times_and_then_asks(page_url: str, page: Page) -> None:
    """In 10 minutes the page renews three times; then the payer must ask for more."""
    backend = Backend(page, expires_in=60)
    page.goto(page_url)
    run(page, 600, step=10)
    assert len(backend.started) == 4
    expect(page.get_by_role("status")).to_have_text("The card form has expired.")
    page.get_by_role("button", name="Continue").click()
    run(page, 600, step=10)
    assert len(backend.started) == 8


def test_renews_only_while_visible(page_url: str, page: Page) -> None:
    """A hidden page waits, and requests a secret once it is visible again."""
    backend = Backend(page, expires_in=60)
    page.goto(page_url)
    expect(page.locator(FORM)).to_have_attribute("data-state", "ready")
    set_hidden(page, hidden=True)
    run(page, 600, step=10)
    assert len(backend.started) == 1
    set_hidden(page, hidden=False)
    expect(page.locator(FORM)).to_have_attribute("data-state", "ready")
    assert len(backend.started) == 2
    # Coming and going while the secret is valid requests nothing.
    for hidden in (True, False, True, False):
        set_hidden(page, hidden=hidden)
    run(page, 30)
    assert len(backend.started) == 2


def test_page_that_is_opened_in_the_background(page_url: str, page: Page) -> None:
    """A page that nobody has seen yet requests nothing until somebody does."""
    backend = Backend(page, expires_in=60)
    page.add_init_script(
        "Object.defineProperty("
        "  document, 'hidden', { value: true, configurable: true });"
    )
    page.goto(page_url)
    run(page, 120, step=10)
    assert backend.started == []
    set_hidden(page, hidden=False)
    expect(page.locator(FORM)).to_have_attribute("data-state", "ready")
    assert len(backend.started) == 1


@pytest.mark.parametrize("expires_in", [0, -5, 0.001])
def test_useless_secrets_are_no_storm(
    page_url: str, page: Page, expires_in: float
) -> None:
    """If each secret has expired already, the pauses grow, and the page gives up."""
    backend = Backend(page, expires_in=expires_in)
    page.goto(page_url)
    run(page, 60)
    pauses = [later - earlier for earlier, later in pairwise(backend.started)]
    assert len(pauses) == 3
    assert pauses == sorted(pauses)
    assert pauses[0] >= SECOND
    assert pauses[-1] >= 4 * SECOND


def test_impatient_payer_is_no_storm(page_url: str, page: Page) -> None:
    """A button that is pressed all the time sends a request a second at most."""
    backend = Backend(page)
    page.goto(page_url)
    backend.respond(502)
    for _ in range(5):
        button = page.get_by_role("button", name="Try again")
        expect(button).not_to_be_disabled()
        for _ in range(3):
            button.click(force=True)
        run(page, 8)
        backend.respond(502)
    pauses = [later - earlier for earlier, later in pairwise(backend.started)]
    assert len(pauses) == 5
    assert all(pause >= SECOND for pause in pauses)


def test_answer_without_a_time_is_a_failure(page_url: str, page: Page) -> None:
    """A response that lacks the time of expiry is not taken for a secret."""
    page.route("**/card-form", lambda route: route.fulfill(json={}))
    page.goto(page_url)
    expect(page.locator(FORM)).to_have_attribute("data-state", "failed")


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [("secret", "form"), ("error", "Try again"), ("no response", "Try again")],
)
def test_focus_after_another_try(
    page_url: str, page: Page, outcome: str, expected: str
) -> None:
    """The button keeps the focus while the page waits; the form gets it in the end."""
    backend = Backend(page)
    page.goto(page_url)
    backend.respond(502)
    page.get_by_role("button", name="Try again").focus()
    page.keyboard.press("Enter")
    page.clock.run_for(1_000)
    backend.wait()
    expect(page.locator(FORM)).to_have_attribute("data-state", "loading")
    assert focused(page) == "Try again"
    if outcome == "no response":
        backend.hang_up()
    else:
        backend.respond(200 if outcome == "secret" else 502)
    expect(page.locator(FORM)).not_to_have_attribute("data-state", "loading")
    assert focused(page) == expected


def test_focus_when_the_secret_expires(page_url: str, page: Page) -> None:
    """The form keeps the focus while secrets are renewed; then the button gets it."""
    backend = Backend(page)
    page.goto(page_url)
    backend.respond()
    page.locator(FORM).focus()
    expire(page, backend, 4)
    expect(page.get_by_role("button", name="Continue")).to_be_focused()
    page.keyboard.press("Enter")
    backend.wait()
    assert focused(page) == "Continue"
    backend.respond()
    expect(page.locator(FORM)).to_be_focused()
    page.clock.run_for(60_000)
    backend.respond(502)
    expect(page.get_by_role("button", name="Try again")).to_be_focused()


def test_focus_is_not_taken_away(page_url: str, page: Page) -> None:
    """A field that the payer fills in keeps the focus, whatever happens."""
    backend = Backend(page)
    page.goto(page_url)
    backend.respond()
    page.evaluate(
        "const field = document.createElement('input');"
        "document.getElementById('form').append(field);"
        "field.id = 'number';"
        "field.focus();"
    )
    expire(page, backend, 3)
    backend.respond(502)
    expect(page.locator(FORM)).to_have_attribute("data-state", "failed")
    assert focused(page) == "number"
