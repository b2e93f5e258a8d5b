"""The checkout of examples/, in a real browser, which `nox -s browser` installs.

The page and its backend are real processes; time is the browser's own clock, moved on.
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
from tests.processes import EXAMPLES, serving
from tests.serving import in_uvicorn

pytest.importorskip("playwright", reason="no playwright: see `nox -s browser`")
from playwright.sync_api import (  # only now it is known to be there
    Page,
    expect,
    sync_playwright,
)

CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("no chromium: see `nox -s browser`", allow_module_level=True)

READY = "The card form is ready."
FAILED = "The card form could not be prepared."


@pytest.fixture
def address(fake_plastiq: FakePlastiq, tmp_path: Path) -> Iterator[str]:
    """Run the application against the fake; give the address of its page."""
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
    """Open a browser window whose clock the test can move."""
    with sync_playwright() as driver:
        # In a container, root has no sandbox of the kernel's.
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
    """The page gets a secret, counts down, and gets another one in time."""
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text))
    with page.expect_response("**/card-form") as waiting:
        page.goto(address)
    expect(page.get_by_role("status")).to_have_text(READY)

    # The browser's own agent, address and device have reached the API.
    (request,) = fake_plastiq.requests
    assert request.headers["user-agent"] == page.evaluate("navigator.userAgent")
    assert request.headers["end-user-ip"] == "127.0.0.1"
    (cookie,) = page.context.cookies()
    assert request.headers["end-user-device-id"] == cookie["value"]
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Lax"

    # It is one trace ID all the way, and the secret is the payer's and not on the page.
    answer = waiting.value
    assert request.trace_id == trace_id_on(page)
    assert answer.headers["trace-id"] == str(request.trace_id)
    assert answer.headers["cache-control"] == "no-store"
    secret = answer.json()["client_secret"]
    assert secret not in page.content()
    assert fake_plastiq.redeem(secret) == fake_plastiq.payer_id

    # Half of its time later there is no other; after all of it there is.
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
    """A failure is said with its trace ID, and a button tries again."""
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
    """The button can be reached and pressed without a mouse."""
    fake_plastiq.fail_next(403)
    page.goto(address)
    expect(page.get_by_role("status")).to_have_text(FAILED)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text(READY)


def test_colours(address: str, page: Page) -> None:
    """There is a light and a dark page, which differ."""
    backgrounds = set()
    schemes: list[Literal["light", "dark"]] = ["light", "dark"]
    paper = "getComputedStyle(document.querySelector('main')).backgroundColor"
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        page.goto(address)
        backgrounds.add(page.evaluate(paper))
    assert len(backgrounds) == 2
