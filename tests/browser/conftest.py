"""Fixtures of the browser tests: the checkout example, and pages of a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.shop import Shop
from tests.support.checkout import checkout, sandbox
from tests.support.internals import SeededFake

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="session")
def running_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Run the sandbox and the checkout example."""
    fake = SeededFake()
    log = tmp_path_factory.mktemp("checkout") / "log"
    with sandbox(fake) as settings, checkout(log, settings) as url:
        yield Shop(url, fake)


@pytest.fixture
def shop(running_shop: Shop) -> Iterator[Shop]:
    """Return the running example, whose fake has seen no request, for one payment."""
    running_shop.fake.reset()
    yield running_shop
    assert running_shop.fake.charges <= 1


# Not for the whole session, because the driver's event loop runs until it ends.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run a browser."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        arguments = [
            "--no-sandbox",  # in a container, root cannot use Chromium's sandbox
            # Without a user to ask, no page that a test makes up could use loopback.
            "--disable-features=LocalNetworkAccessChecks",
        ]
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Return a profile of the browser without cookies."""
    context = browser.new_context()
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """Return a page; at the end, no script of it has failed or was blocked."""
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))

    def listen(message: ConsoleMessage) -> None:
        # Responses that are errors are reported here, too.
        if "Content Security Policy" in message.text:
            problems.append(message.text)

    page.on("console", listen)
    yield page
    assert problems == []
