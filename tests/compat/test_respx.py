"""respx: the routes of the default transport."""

from __future__ import annotations

import httpx
import pytest
import respx

from plastiq_async import APIConnectionError, PermissionDeniedError, PlastiqSession
from tests.support.sessions import PAYER, TOKEN

BASE_URL = "https://plastiq.example/api"


def respond(request: httpx.Request) -> httpx.Response:
    """Return a client secret and, as the API does, the trace ID of the request."""
    headers = {"Trace-Id": request.headers["Trace-Id"]}
    return httpx.Response(200, headers=headers, json={"clientSecret": "a secret"})


async def test_response() -> None:
    """A side effect returns the trace ID, so the mocked connection can be reused."""
    with respx.mock(base_url=BASE_URL) as router:
        route = router.post("/client-secrets").mock(side_effect=respond)
        async with PlastiqSession(TOKEN, base_url=BASE_URL) as session:
            for _ in range(3):
                secret = await session.client_secrets.create(PAYER)
                assert secret.client_secret == "a secret"
                assert secret.response.attempts == 1
    assert route.call_count == 3
    assert {call.request.headers["Authorization"] for call in route.calls} == {
        f"Bearer {TOKEN}"
    }


async def test_fixed_response() -> None:
    """A fixed response, which has no trace ID, is enough for one call."""
    with respx.mock(base_url=BASE_URL) as router:
        router.post("/client-secrets").respond(json={"clientSecret": "a secret"})
        async with PlastiqSession(TOKEN, base_url=BASE_URL) as session:
            secret = await session.client_secrets.create(PAYER)
    assert secret.client_secret == "a secret"
    assert secret.response.attempts == 1


@pytest.mark.usefixtures("quick_retries")
async def test_errors() -> None:
    """Status codes and exceptions of a route become this library's errors."""
    with respx.mock(base_url=BASE_URL) as router:
        route = router.post("/client-secrets")
        async with PlastiqSession(TOKEN, base_url=BASE_URL) as session:
            route.respond(403, json={"code": "FORBIDDEN"})
            with pytest.raises(PermissionDeniedError) as denied:
                await session.client_secrets.create(PAYER)
            route.mock(side_effect=httpx.ConnectError("refused"))
            with pytest.raises(APIConnectionError, match="refused") as refused:
                await session.client_secrets.create(PAYER)
            route.mock(side_effect=respond)
            await session.client_secrets.create(PAYER)
    assert denied.value.code == "FORBIDDEN"
    assert refused.value.attempts == 3
