"""What the checkout page looks like: sizes, colours, texts, accessibility."""

from __future__ import annotations

import shutil
from typing import Literal

import pytest

from tests.support.backend import TRACE_ID, Backend

pytest.importorskip("playwright", reason="no playwright: see `nox -s browser`")
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (  # imported late, because playwright may be missing
    Browser,
    Page,
    expect,
)

if shutil.which("chromium") is None:
    pytest.skip("no chromium: see `nox -s browser`", allow_module_level=True)

pytestmark = pytest.mark.slow

SCHEMES: list[Literal["light", "dark"]] = ["light", "dark"]
WIDTHS = [1280, 390]
FORM = "#form"


def layout(page: Page) -> dict[str, object]:
    """Return the place and size of what the payer sees."""
    return {name: page.locator(name).bounding_box() for name in ("main", "h1", FORM)}


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_jumps(page_url: str, page: Page, width: int) -> None:
    """The card has the same place and size in all states of the page."""
    backend = Backend(page)
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(page_url)
    backend.wait()
    before = layout(page)

    def assert_same(state: str) -> None:
        expect(page.locator(FORM)).to_have_attribute("data-state", state)
        assert layout(page) == before

    assert_same("loading")
    backend.respond(trace_id=TRACE_ID)
    assert_same("ready")
    for _ in range(3):
        page.clock.run_for(60_000)
        backend.wait()
        assert_same("loading")
        backend.respond(trace_id=TRACE_ID)
        assert_same("ready")
    page.clock.run_for(60_000)
    assert_same("expired")
    page.get_by_role("button", name="Continue").click()
    backend.respond(502)
    assert_same("failed")


def test_last_seconds(page_url: str, page: Page) -> None:
    """The last seconds differ in words and weight, and the last one is singular."""
    backend = Backend(page)
    page.goto(page_url)
    timer = page.get_by_role("timer")
    weight = "element => getComputedStyle(element).fontWeight"
    backend.respond(expires_in=30)
    expect(timer).to_contain_text("Valid for")
    assert timer.evaluate(weight) == "400"
    page.clock.run_for(21_000)
    expect(timer).to_contain_text("Expires in")
    assert timer.evaluate(weight) == "700"
    texts = []
    for _ in range(40):
        page.clock.run_for(250)
        texts.append(timer.inner_text())
    assert "Expires in 2 seconds" in texts
    assert "Expires in 1 second" in texts


def test_without_scripts(page_url: str, browser: Browser) -> None:
    """Without JavaScript the page says what to do, and does not say that it works."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_url)
    text = page.locator("main").inner_text()
    context.close()
    assert "turn on JavaScript" in text
    for word in ("Preparing", "Valid", "Trace ID", "Try again"):
        assert word not in text


def test_colours(page_url: str, page: Page) -> None:
    """The page has a light and a dark colour scheme, which differ."""
    Backend(page, expires_in=60)
    backgrounds = set()
    paper = "getComputedStyle(document.querySelector('main')).backgroundColor"
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        page.goto(page_url)
        backgrounds.add(page.evaluate(paper))
    assert len(backgrounds) == 2


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_accessibility(
    page_url: str, page: Page, width: int, scheme: Literal["light", "dark"]
) -> None:
    """Axe finds nothing in any state, and nothing is wider than the window."""
    backend = Backend(page)
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)

    def assert_accessible(state: str) -> None:
        expect(page.locator(FORM)).to_have_attribute("data-state", state)
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") <= width

    page.goto(page_url)
    backend.wait()
    assert_accessible("loading")
    backend.respond(trace_id=TRACE_ID)
    assert_accessible("ready")
    page.clock.run_for(45_000)
    assert_accessible("ready")
    page.clock.run_for(20_000)
    backend.respond(502)
    assert_accessible("failed")
    page.get_by_role("button", name="Try again").click()
    backend.wait()
    assert_accessible("loading")
    backend.respond(expires_in=60)
    for _ in range(3):
        expect(page.locator(FORM)).to_have_attribute("data-state", "ready")
        page.clock.run_for(65_000)
        backend.respond()
    expect(page.locator(FORM)).to_have_attribute("data-state", "ready")
    page.clock.run_for(65_000)
    assert_accessible("expired")
