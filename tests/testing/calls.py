"""Plain httpx calls to a fake, for all tests of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx

from plastiq_async.testing import FakePlastiq
from tests.support.uvicorn_server import in_uvicorn

PATH = "/api/client-secrets"
TRACE_ID = "FE278CAA-e01d-4910-b975-5c19c21a6d8e"


def body_for(fake: FakePlastiq, **changes: object) -> dict[str, object]:
    """Make a valid body, with some of its members replaced."""
    return {"payer": {"id": str(fake.payer_id)}, "type": "CARD", **changes}


def client_for(fake: FakePlastiq, **headers: str) -> httpx.AsyncClient:
    """Make a client that sends what the contract asks for."""
    return httpx.AsyncClient(
        transport=fake.transport,
        base_url=fake.base_url,
        headers={"Authorization": f"Bearer {fake.access_token}", **headers},
    )


async def post(fake: FakePlastiq, **changes: object) -> httpx.Response:
    """Ask for a client secret."""
    async with client_for(fake) as client:
        return await client.post("/client-secrets", json=body_for(fake, **changes))


async def call(
    fake: FakePlastiq, method: str, path: str, **arguments: Any
) -> httpx.Response:
    """Send one request to the fake."""
    async with client_for(fake) as client:
        return await client.request(method, path, **arguments)


async def create(fake: FakePlastiq) -> str:
    """Ask for a client secret, and return its value."""
    response = await post(fake)
    value: str = response.json()["clientSecret"]
    return value


@contextmanager
def served(fake: FakePlastiq) -> Iterator[str]:
    """Serve a fake on a real socket, lifespan included, and give its base URL."""
    with in_uvicorn(fake.app) as url:
        yield f"{url}/api"


def problem(response: httpx.Response) -> str:
    """Return the one detail of a validation error, after checking the rest."""
    body = response.json()
    assert response.status_code == 400
    assert body["code"] == "VALIDATION_ERROR"
    assert body["message"] == "Validation error"
    assert body["traceId"] == response.headers["Trace-Id"]
    assert UUID(body["traceId"]).version == 4
    (detail,) = body["errors"]
    text: str = detail["details"]
    return text
