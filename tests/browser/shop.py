"""What a payer does on the checkout page, and what the page shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from uuid import UUID

import attrs

from tests.support.checkout import CARD, keys_of
from tests.support.internals import SeededFake

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page, Route

FIELDS: Mapping[str, str] = {
    "Cardholder name": "Ada Example",
    "Card number": CARD,
    "Expires (MM/YY)": "12/99",
    "Security code": "737",
    "Street and number": "1 Main Street",
    "City": "Springfield",
    "State or province": "IL",
    "Postal code": "62701",
}
"""Labels of the text fields, in their order, and what a payer enters."""


@attrs.frozen
class Shop:
    """The running checkout example.

    Attributes:
        url: URL of the example.
        fake: The fake that it uses.
    """

    url: str
    fake: SeededFake

    @property
    def keys(self) -> list[str]:
        """Idempotency keys of the requests to pay, oldest first."""
        return keys_of(self.fake)

    def count(self, operation: str) -> int:
        """Return the number of requests for an operation."""
        return [request.operation for request in self.fake.requests].count(operation)


def fill_in(page: Page, number: str = CARD, **changes: str) -> None:
    """Fill in the card form; the names of `changes` are beginnings of labels."""
    for label, text in {**FIELDS, "Card number": number}.items():
        given = (new for start, new in changes.items() if label.startswith(start))
        page.get_by_label(label).fill(next(given, text))


def send_card(page: Page, number: str = CARD, **changes: str) -> None:
    """Fill in the card form, and send it."""
    fill_in(page, number, **changes)
    page.get_by_role("button", name="Continue").click()


def pay_button(page: Page) -> Locator:
    """Return the button that pays."""
    return page.get_by_role("button", name=re.compile(r"^Pay \$"))


def pay(page: Page) -> None:
    """Press the button that pays."""
    pay_button(page).click()


def hold(page: Page, url: str) -> list[Route]:
    """Hold the requests of a page to a URL, and return those that have come so far."""
    held: list[Route] = []

    def keep(route: Route) -> None:
        held.append(route)

    page.route(url, keep)
    return held


def release(page: Page, held: list[Route]) -> None:
    """Send the only request that is held, once it has come."""
    wait_until(page, lambda: held)
    (route,) = held
    route.continue_()


def wait_until(page: Page, condition: Callable[[], object]) -> None:
    """Wait, at most ten seconds, for what the page does not show."""
    for _ in range(1000):
        if condition():
            return
        page.wait_for_timeout(10)
    raise TimeoutError


def step_of(page: Page) -> Locator:
    """Return the heading of the step that the page shows."""
    return page.get_by_role("heading", level=2)


def trace_id_on(page: Page) -> UUID:
    """Return the trace ID that the page shows."""
    return UUID(page.locator("code:visible").last.inner_text())
