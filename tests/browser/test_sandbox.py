"""The local fake, called by web pages in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from plastiq_async.testing import FakePlastiq
from plastiq_async.testing._sandbox import make_sandbox_app
from tests.support.uvicorn_server import in_uvicorn

pytest.importorskip("playwright", reason="no playwright: see `nox -s browser`")
from playwright.sync_api import (  # imported late, because playwright may be missing
    BrowserContext,
    Page,
)

if shutil.which("chromium") is None:
    pytest.skip("no chromium: see `nox -s browser`", allow_module_level=True)

pytestmark = pytest.mark.slow

CALL = """async ([url, token, body]) => {
    const headers = {"Content-Type": "application/json"};
    if (token) headers["Authorization"] = `Bearer ${token}`;
    try {
        const response = await fetch(url, {method: "POST", headers, body});
        const traceId = response.headers.get("Trace-Id");
        return [response.status, traceId, await response.json()];
    } catch (error) {
        return [0, null, {}];
    }
}"""


SEND = """async ([url, body]) => {
    const headers = {"Content-Type": "text/plain"};
    const response = await fetch(url, {method: "POST", mode: "no-cors", headers, body});
    return response.type;
}"""


@pytest.fixture
def url(fake_plastiq: FakePlastiq) -> Iterator[str]:
    """Serve the local fake, and return its URL."""
    with in_uvicorn(make_sandbox_app(fake_plastiq), lifespan="off") as url:
        yield url


def open_page(context: BrowserContext, origin: str) -> Page:
    """Open an empty page of an origin that no server has."""
    context.route(f"{origin}/", lambda route: route.fulfill(body="<p>A page</p>"))
    page = context.new_page()
    page.goto(f"{origin}/")
    # While there are routes, Playwright answers the preflight requests of CORS itself.
    context.unroute_all()
    return page


def test_page_on_loopback(
    url: str, context: BrowserContext, fake_plastiq: FakePlastiq
) -> None:
    """A page on loopback creates a secret, sends a card, and orders a fault."""
    page = open_page(context, "http://localhost:3000")
    body = f'{{"payer": {{"id": "{fake_plastiq.payer_id}"}}}}'
    call = [f"{url}/api/client-secrets", fake_plastiq.access_token, body]
    status, trace_id, secret = page.evaluate(CALL, call)
    assert status == 200
    assert trace_id == str(fake_plastiq.requests[0].trace_id)
    assert secret["clientSecret"] in fake_plastiq.secrets
    card = f'{{"clientSecret": "{secret["clientSecret"]}"}}'
    status, _, method = page.evaluate(CALL, [f"{url}/_sandbox/tokenize", None, card])
    assert (status, list(method)) == (200, ["paymentMethodId"])
    order = '{"fault": "fail", "status": 503}'
    status, _, _ = page.evaluate(CALL, [f"{url}/_sandbox/faults", None, order])
    assert status == 200
    assert page.evaluate(CALL, call)[0] == 503


def test_page_of_a_stranger(
    url: str, context: BrowserContext, fake_plastiq: FakePlastiq
) -> None:
    """A page of another site can neither use the fake nor control it."""
    page = open_page(context, "https://stranger.test")
    payer_id = fake_plastiq.add_payer()
    for path in ("/api/client-secrets", "/_sandbox/reset", "/_sandbox/tokenize"):
        call = [url + path, fake_plastiq.access_token, "{}"]
        assert page.evaluate(CALL, call) == [0, None, {}]
    # The browser sends these without asking the server first.
    order = '{"fault": "fail", "status": 503}'
    for path, body in (("/_sandbox/reset", "{}"), ("/_sandbox/faults", order)):
        assert page.evaluate(SEND, [url + path, body]) == "opaque"
    assert fake_plastiq.pending_faults == 0
    assert payer_id in fake_plastiq.payer_ids
    assert fake_plastiq.requests == []
