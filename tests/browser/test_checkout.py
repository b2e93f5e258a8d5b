"""The checkout example with its backend and the fake, in a real browser.

`nox -s browser` installs the browser. The page and its backend are real processes; the
test advances the browser's clock.
"""

from __future__ import annotations

import re
import shutil
from uuid import UUID

import httpx
import pytest

from plastiq_async.testing import FakePlastiq
from tests.browser.conftest import Checkout
from tests.support.backend import TRACE_ID, Backend

pytest.importorskip("playwright", reason="no playwright: see `nox -s browser`")
from playwright.sync_api import (  # imported late, because playwright may be missing
    BrowserContext,
    Page,
    expect,
)

if shutil.which("chromium") is None:
    pytest.skip("no chromium: see `nox -s browser`", allow_module_level=True)

pytestmark = pytest.mark.slow

READY = "The card form is ready."
FAILED = "The card form is not available."


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


def test_slow_call_is_deducted_once(address: str, fake_plastiq: FakePlastiq) -> None:
    """The backend counts from the arrival of the request, as the page expects."""
    fake_plastiq.delay_next(0.5)
    response = httpx.post(f"{address}/card-form", trust_env=False)
    assert response.json()["expires_in"] >= 60


def test_slow_response_is_deducted(page_url: str, page: Page) -> None:
    """The page counts from when it sent the request."""
    backend = Backend(page)
    page.goto(page_url)
    backend.wait()
    page.clock.run_for(8_000)
    backend.respond(expires_in=60)
    expect(page.get_by_role("timer")).to_have_text(
        re.compile(r"Valid for (52|51|50) seconds")
    )


@pytest.mark.parametrize("has_response", [True, False])
def test_trace_id_of_an_earlier_request_is_not_shown(
    page_url: str, page: Page, *, has_response: bool
) -> None:
    """A request that failed without a trace ID leaves no other one on the page."""
    backend = Backend(page)
    page.goto(page_url)
    backend.respond(trace_id=TRACE_ID)
    expect(page.get_by_text(TRACE_ID)).to_be_visible()
    page.clock.run_for(60_000)
    if has_response:
        backend.respond(502)
    else:
        backend.hang_up()
    expect(page.get_by_role("status")).to_have_text(FAILED)
    expect(page.get_by_text("Trace ID")).not_to_be_visible()
    expect(page.get_by_text(TRACE_ID)).to_have_count(0)


def test_vendor_script(checkout: Checkout, context: BrowserContext) -> None:
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
    with checkout(VENDOR_SCRIPT_URL="https://vendor.test/script.js?a=1&b=2") as url:
        page.goto(url)
        frame = page.frame_locator("iframe")
        expect(frame.get_by_text("A card form")).to_be_visible()
        expect(page.get_by_role("status")).to_have_text(READY)
        page.wait_for_function("blocked.length > 0")
        assert page.evaluate("blocked") == ["https://other.test/script.js"]
