"""A backend of the checkout page that responds when a test says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

TRACE_ID = "fe278caa-e01d-4910-b975-5c19c21a6d8e"


class Backend:
    """Takes over the page's requests for a client secret.

    Args:
        page: The page, before it is opened.
        expires_in: Value of `expires_in` in each response, sent at once; None holds
            the requests until the test responds.
    """

    def __init__(self, page: Page, expires_in: float | None = None) -> None:
        self._page = page
        self._expires_in = expires_in
        self._held: list[Route] = []
        page.add_init_script(
            "const realFetch = fetch;"
            "window.started = [];"
            "window.fetch = (...request) => {"
            "  started.push(performance.now());"
            "  return realFetch(...request);"
            "};"
        )
        page.route("**/card-form", self._take)

    @property
    def started(self) -> list[float]:
        """Times of the requests by the page's clock, in milliseconds."""
        started: list[float] = self._page.evaluate("started")
        return started

    def respond(
        self, status: int = 200, *, expires_in: float = 60, trace_id: str | None = None
    ) -> None:
        """Respond to the request that is held, or to the next one.

        Args:
            status: Status code; an error has no JSON body.
            expires_in: Seconds until the secret expires.
            trace_id: Value of `Trace-Id`; by default there is none.
        """
        route = self._next()
        headers = {} if trace_id is None else {"Trace-Id": trace_id}
        if status == 200:
            body = {"client_secret": "a secret", "expires_in": expires_in}
            route.fulfill(json=body, headers=headers)
        else:
            route.fulfill(status=status, headers=headers, body="<h1>Bad gateway</h1>")

    def hang_up(self) -> None:
        """Close the connection of the request that is held, or of the next one."""
        self._next().abort("connectionreset")

    def wait(self) -> None:
        """Wait for the next request, and hold it."""
        while not self._held:
            self._page.wait_for_timeout(10)

    def _next(self) -> Route:
        self.wait()
        return self._held.pop(0)

    def _take(self, route: Route) -> None:
        self._held.append(route)
        if self._expires_in is not None:
            self.respond(expires_in=self._expires_in)
