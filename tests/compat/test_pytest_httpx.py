"""pytest-httpx: the responses of the default transport."""

from __future__ import annotations

import httpx
import pytest
from pytest_httpx import HTTPXMock

from plastiq_async import APIConnectionError, PermissionDeniedError, PlastiqSession
from tests.support.sessions import PAYER, TOKEN

BASE_URL = "https://plastiq.example/api"
CREATE = f"{BASE_URL}/client-secrets"


def respond(request: httpx.Request) -> httpx.Response:
    """Return a client secret and, as the API does, the trace ID of the request."""
    headers = {"Trace-Id": request.headers["Trace-Id"]}
    return httpx.Response(200, headers=headers, json={"clientSecret": "a secret"})


async def test_response(httpx_mock: HTTPXMock) -> None:
    """A callback returns the trace ID, so the mocked connection can be reused."""
    httpx_mock.add_callback(respond, url=CREATE, is_reusable=True)
    async with PlastiqSession(TOKEN, base_url=BASE_URL) as session:
        for _ in range(3):
            secret = await session.client_secrets.create(PAYER)
            assert secret.client_secret == "a secret"
            assert secret.response.attempts == 1
    requests = httpx_mock.get_requests()
    assert len(requests) == 3
    assert {request.headers["Authorization"] for request in requests} == {
        f"Bearer {TOKEN}"
    }


async def test_fixed_response(httpx_mock: HTTPXMock) -> None:
    """A fixed response, which has no trace ID, is enough for one call."""
    httpx_mock.add_response(url=CREATE, json={"clientSecret": "a secret"})
    async with PlastiqSession(TOKEN, base_url=BASE_URL) as session:
        secret = await session.client_secrets.create(PAYER)
    assert secret.client_secret == "a secret"
    assert secret.response.attempts == 1


@pytest.mark.usefixtures("quick_retries")
async def test_errors(httpx_mock: HTTPXMock) -> None:
    """Status codes and exceptions become this library's errors."""
    httpx_mock.add_response(403, json={"code": "FORBIDDEN"})
    httpx_mock.add_exception(httpx.ConnectError("refused"), is_reusable=True)
    async with PlastiqSession(TOKEN, base_url=BASE_URL) as session:
        with pytest.raises(PermissionDeniedError) as denied:
            await session.client_secrets.create(PAYER)
        with pytest.raises(APIConnectionError, match="refused") as refused:
            await session.client_secrets.create(PAYER)
    assert denied.value.code == "FORBIDDEN"
    assert refused.value.attempts == 3
