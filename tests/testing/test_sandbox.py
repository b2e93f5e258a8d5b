"""The application that `python -m plastiq_async.sandbox` serves."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from plastiq_async.testing import FakePlastiq
from plastiq_async.testing._sandbox import make_sandbox_app
from tests.support.uvicorn_server import in_uvicorn
from tests.testing.calls import body_for

EXPOSED = {"Idempotent-Replay", "Retry-After", "Trace-Id"}


@pytest.fixture
def url(fake_plastiq: FakePlastiq) -> Iterator[str]:
    """Serve the application, and return its URL."""
    with in_uvicorn(make_sandbox_app(fake_plastiq), lifespan="off") as url:
        yield url


def preflight(url: str, origin: str, *, headers: str = "") -> httpx.Response:
    """Ask for permission to send a request, as a browser does."""
    return httpx.options(
        url,
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": headers,
        },
        trust_env=False,
    )


@pytest.mark.parametrize("path", ["/api/client-secrets", "/_sandbox/faults"])
@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost:3000",
        "https://shop.localhost",
        "http://127.0.0.1",
        "http://[::1]:1",
    ],
)
def test_pages_on_loopback_are_allowed(url: str, path: str, origin: str) -> None:
    """A page on loopback may send all headers of the API, without credentials."""
    headers = (
        "authorization,content-type,end-user-device-id,end-user-ip,"
        "idempotency-key,trace-id"
    )
    response = preflight(url + path, origin, headers=headers)
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == origin
    assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "null",
    ],
)
def test_pages_elsewhere_are_not_allowed(
    url: str, origin: str, fake_plastiq: FakePlastiq
) -> None:
    """A page of another origin may neither send such requests nor read responses."""
    response = preflight(f"{url}/_sandbox/reset", origin)
    assert response.status_code == 400
    assert "Access-Control-Allow-Origin" not in response.headers
    response = httpx.get(
        f"{url}/_sandbox/requests", headers={"Origin": origin}, trust_env=False
    )
    assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize("status", [200, 401, 503])
def test_responses_can_be_read(
    url: str, status: int, fake_plastiq: FakePlastiq
) -> None:
    """A page can read a response and its headers, those of errors included."""
    if status == 503:
        fake_plastiq.fail_next(503, retry_after=1)
    token = "wrong" if status == 401 else fake_plastiq.access_token
    response = httpx.post(
        f"{url}/api/client-secrets",
        json=body_for(fake_plastiq),
        headers={"Authorization": f"Bearer {token}", "Origin": "http://localhost:1"},
        trust_env=False,
    )
    assert response.status_code == status
    assert response.headers["Access-Control-Allow-Origin"] == "http://localhost:1"
    exposed = response.headers["Access-Control-Expose-Headers"]
    assert set(exposed.split(", ")) == EXPOSED


def test_paths_of_the_api_are_left_to_the_fake(url: str) -> None:
    """Everything outside the control endpoints is answered by the fake itself."""
    for path in ("/", "/_sandbox", "/api/_sandbox/reset", "/api/client-secrets/"):
        response = httpx.get(url + path, trust_env=False)
        assert response.status_code == 404
        assert response.headers["Trace-Id"] == response.json()["traceId"]
