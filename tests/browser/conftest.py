"""Fixtures of the browser tests: the checkout example, and pages of a real browser."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from plastiq_async.testing import FakePlastiq
from tests.support.example_processes import EXAMPLES, serving
from tests.support.uvicorn_server import in_uvicorn

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM = shutil.which("chromium")
COMMAND = [sys.executable, str(EXAMPLES / "checkout" / "app.py")]


class Checkout(Protocol):
    """Runs the checkout example with additional settings, and yields its URL."""

    def __call__(self, **settings: str) -> AbstractContextManager[str]:
        """Run the example."""
        ...


@pytest.fixture
def checkout(fake_plastiq: FakePlastiq, tmp_path: Path) -> Checkout:
    """Return a function that runs the checkout example with the fake."""

    @contextmanager
    def run(**settings: str) -> Iterator[str]:
        with in_uvicorn(fake_plastiq.app, lifespan="off") as api:
            settings = {
                "PLASTIQ_BASE_URL": f"{api}/api",
                "PLASTIQ_ACCESS_TOKEN": fake_plastiq.access_token,
                "PLASTIQ_PAYER_ID": str(fake_plastiq.payer_id),
                **settings,
            }
            with serving(COMMAND, tmp_path / "log", settings) as url:
                yield url

    return run


@pytest.fixture
def address(checkout: Checkout) -> Iterator[str]:
    """Run the checkout example, and return the URL of its page."""
    with checkout() as url:
        yield url


@pytest.fixture(scope="session")
def page_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the checkout example without an API, for tests with a `Backend`."""
    settings = {
        "PLASTIQ_BASE_URL": "http://127.0.0.1:9/api",
        "PLASTIQ_ACCESS_TOKEN": "a-token",
    }
    with serving(COMMAND, tmp_path_factory.mktemp("checkout") / "log", settings) as url:
        yield url


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
def page(context: BrowserContext) -> Page:
    """Return a page whose clock the test can advance."""
    page = context.new_page()
    page.clock.install()
    return page
