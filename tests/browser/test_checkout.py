"""The checkout example in a real browser, which `nox -s browser` installs.

The page and its backend are real processes; the test advances the browser's clock.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from uuid import UUID

import pytest

from plastiq_async.testing import FakePlastiq
from tests.support.example_processes import EXAMPLES, serving
from tests.support.uvicorn_server import in_uvicorn

pytest.importorskip("playwright", reason="no playwright: see `nox -s browser`")
from playwright.sync_api import (  # imported late, because playwright may be missing
    Page,
    expect,
    sync_playwright,
)

CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("no chromium: see `nox -s browser`", allow_module_level=True)

pytestmark = pytest.mark.slow

READY = "The card form is ready."
FAILED = "The card form could not be prepared."


@pytest.fixture
def address(fake_plastiq: FakePlastiq, tmp_path: Path) -> Iterator[str]:
    """Run the application with the fake, and return the URL of its page."""
    command = [sys.executable, str(EXAMPLES / "checkout" / "app.py")]
    with in_uvicorn(fake_plastiq.app, lifespan="off") as api:
        settings = {
            "PLASTIQ_BASE_URL": f"{api}/api",
            "PLASTIQ_ACCESS_TOKEN": fake_plastiq.access_token,
            "PLASTIQ_PAYER_ID": str(fake_plastiq.payer_id),
        }
        with serving(command, tmp_path / "log", settings) as url:
            yield url


@pytest.fixture
def page() -> Iterator[Page]:
    """Open a browser page whose clock the test can advance."""
    with sync_playwright() as driver:
        # In a container, root cannot use Chromium's sandbox.
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )
        window = browser.new_page()
        window.clock.install()
        yield window
        browser.close()


def trace_id_on(page: Page) -> UUID:
    """Return the trace ID that the page shows."""
    return UUID(page.locator("#trace-id").inner_text())


def test_whole_story(address: str, page: Page, fake_plastiq: FakePlastiq) -> None:
    """The page gets a secret, counts down, and replaces the secret in time."""
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text))
    with page.expect_response("**/card-form") as waiting:
        page.goto(address)
    expect(page.get_by_role("status")).to_have_text(READY)

    # The browser's user agent, IP address and device ID have reached the API.
    (request,) = fake_plastiq.requests
    assert request.headers["user-agent"] == page.evaluate("navigator.userAgent")
    assert request.headers["end-user-ip"] == "127.0.0.1"
    (cookie,) = page.context.cookies()
    assert request.headers["end-user-device-id"] == cookie["value"]
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Lax"

    # The trace ID is the same everywhere; the secret is not shown on the page.
    answer = waiting.value
    assert request.trace_id == trace_id_on(page)
    assert answer.headers["trace-id"] == str(request.trace_id)
    assert answer.headers["cache-control"] == "no-store"
    secret = answer.json()["client_secret"]
    assert secret not in page.content()
    assert fake_plastiq.redeem(secret) == fake_plastiq.payer_id

    # The secret is not replaced after half of its lifetime, but at its end.
    timer = page.get_by_role("timer")
    expect(timer).to_have_text(re.compile(r"Valid for (60|59|58) seconds"))
    page.clock.run_for(30_000)
    expect(timer).to_have_text(re.compile(r"Valid for (30|29|28) seconds"))
    assert len(fake_plastiq.requests) == 1
    with page.expect_response("**/card-form"):
        page.clock.run_for(30_000)
    expect(timer).to_have_text(re.compile(r"Valid for (60|59|58) seconds"))
    expect(page.get_by_role("status")).to_have_text(READY)
    first, second = fake_plastiq.requests
    assert first.trace_id != second.trace_id == trace_id_on(page)
    assert second.headers["end-user-device-id"] == cookie["value"]
    assert problems == []


def test_failure_and_another_try(
    address: str, page: Page, fake_plastiq: FakePlastiq
) -> None:
    """On failure the page shows the trace ID, and a button tries again."""
    fake_plastiq.fail_next(403, message="an internal matter")
    page.goto(address)
    status = page.get_by_role("status")
    expect(status).to_have_text(FAILED)
    assert trace_id_on(page) == fake_plastiq.requests[0].trace_id
    assert "internal matter" not in page.content()
    page.get_by_role("button", name="Try again").click()
    expect(status).to_have_text(READY)
    assert trace_id_on(page) == fake_plastiq.requests[1].trace_id


def test_by_keyboard(address: str, page: Page, fake_plastiq: FakePlastiq) -> None:
    """The button can be focused and pressed with the keyboard."""
    fake_plastiq.fail_next(403)
    page.goto(address)
    expect(page.get_by_role("status")).to_have_text(FAILED)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text(READY)


def test_colours(address: str, page: Page) -> None:
    """The page has a light and a dark colour scheme, which differ."""
    backgrounds = set()
    schemes: list[Literal["light", "dark"]] = ["light", "dark"]
    paper = "getComputedStyle(document.querySelector('main')).backgroundColor"
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        page.goto(address)
        backgrounds.add(page.evaluate(paper))
    assert len(backgrounds) == 2
