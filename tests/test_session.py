"""The session: settings, views and connections."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from plastiq_async import (
    APITimeoutError,
    ConfigurationError,
    PlastiqSession,
    ServiceUnavailableError,
)
from plastiq_async.testing import FakePlastiq
from tests.support.sessions import PAYER, TOKEN, fake_session, session_for
from tests.support.socket_server import Server
from tests.support.steps import answer


async def test_connection_is_kept() -> None:
    """Consecutive calls share a connection, and each has its own trace ID."""
    with Server(answer()) as server:
        async with session_for(server) as session:
            secrets = [await session.client_secrets.create(PAYER) for _ in range(3)]
    assert len(server.connections) == 1
    assert len({secret.trace_id for secret in secrets}) == 3


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({}, "https://connect.sandbox.plastiq.com/api/client-secrets"),
        (
            {"environment": "production"},
            "https://connect.plastiq.com/api/client-secrets",
        ),
        ({"base_url": "http://[::1]:8/"}, "http://[::1]:8/client-secrets"),
        ({"base_url": "http://127.0.0.1"}, "http://127.0.0.1/client-secrets"),
        (
            {"base_url": "https://gateway.test/a/b%20c/"},
            "https://gateway.test/a/b%20c/client-secrets",
        ),
    ],
)
async def test_url(options: dict[str, Any], url: str) -> None:
    """The path is appended to the base URL, which also sets the Host header."""
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"clientSecret": "x"})

    transport = httpx.MockTransport(handle)
    async with PlastiqSession(TOKEN, transport=transport, **options) as session:
        await session.client_secrets.create(PAYER)
    (request,) = seen
    assert str(request.url) == url
    assert request.headers["Host"] == url.split("/")[2]


@pytest.mark.parametrize("variable", [True, False])
def test_bad_host(variable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that only httpx rejects is a configuration error, too."""
    url = "https://xn--/api"
    options: dict[str, Any] = {} if variable else {"base_url": url}
    if variable:
        monkeypatch.setenv("PLASTIQ_BASE_URL", url)
    with pytest.raises(ConfigurationError, match=r"base_url|PLASTIQ_BASE_URL") as info:
        PlastiqSession(TOKEN, **options)
    assert "xn--" not in str(info.value)


async def test_options_of_a_view(fake_plastiq: FakePlastiq) -> None:
    """A view has its own options and does not change those of the session."""
    fake_plastiq.fail_next(503)
    fake_plastiq.delay_next(20, times=2)
    async with fake_session(fake_plastiq) as session:
        with pytest.raises(ServiceUnavailableError):
            await session.with_options(max_retries=0).client_secrets.create(PAYER)
        view = session.with_options(timeout=0.1)
        for one in (view.with_options(max_retries=1), view):
            with pytest.raises(APITimeoutError, match=r"0\.1 s"):
                await one.client_secrets.create(PAYER)
        await session.client_secrets.create(PAYER)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0},
        {"timeout": float("nan")},
        {"attempt_timeout": 0},
        {"attempt_timeout": float("inf")},
        {"max_retries": -1},
    ],
)
async def test_bad_options_of_a_view(
    options: dict[str, Any], fake_plastiq: FakePlastiq
) -> None:
    """A view's options are validated like the session's."""
    async with fake_session(fake_plastiq) as session:
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            session.with_options(**options)
    with pytest.raises(ConfigurationError, match=rf"^{next(iter(options))} must be"):
        PlastiqSession(TOKEN, **options)


async def test_no_cookies() -> None:
    """A cookie that one response sets is not sent with any other request."""
    with Server(answer(headers=[("Set-Cookie", "payer=1; Path=/")])) as server:
        async with session_for(server) as session:
            for _ in range(2):
                secret = await session.client_secrets.create(PAYER)
                assert "Set-Cookie" not in secret.response.headers
    assert [request.header("Cookie") for request in server.requests] == ["", ""]


def test_repr_of_an_incomplete_session() -> None:
    """A crash report of a constructor that raised can show the session."""
    assert repr(object.__new__(PlastiqSession)) == "<PlastiqSession (incomplete)>"
