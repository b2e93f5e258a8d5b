"""What the fake rejects where the API's documentation leaves a case open."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from plastiq_async.testing import FakePlastiq
from tests.support.sessions import ANY_CONTEXT
from tests.testing.calls import body_for, problem, served


@pytest.fixture(params=["memory", "socket"])
def client(
    request: pytest.FixtureRequest, fake_plastiq: FakePlastiq
) -> Iterator[httpx.AsyncClient]:
    """Return a client of the fake, in memory and over a socket."""
    options: dict[str, Any] = {
        "headers": {"Authorization": f"Bearer {fake_plastiq.access_token}"},
        "verify": ANY_CONTEXT,
    }
    if request.param == "memory":
        transport = fake_plastiq.transport
        yield httpx.AsyncClient(
            transport=transport, base_url=fake_plastiq.base_url, **options
        )
        return
    with served(fake_plastiq) as base_url:
        yield httpx.AsyncClient(base_url=base_url, trust_env=False, **options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"type": None}, "type must be one of: CARD"),
        ({"payer": None}, "payer must be an object"),
        ({"payer": {"id": None}}, "payer.id must be a UUID"),
    ],
)
async def test_null_is_not_absence(
    client: httpx.AsyncClient,
    fake_plastiq: FakePlastiq,
    changes: dict[str, object],
    message: str,
) -> None:
    """A null is rejected, also where the field may be left out."""
    async with client:
        body = body_for(fake_plastiq, **changes)
        assert problem(await client.post("/client-secrets", json=body)) == message
        del body["type"]
        body["payer"] = {"id": str(fake_plastiq.payer_id)}
        response = await client.post("/client-secrets", json=body)
        assert response.status_code == 200


@pytest.mark.parametrize(
    ("name", "empty"),
    [
        ("End-User-Ip", "End-User-Ip must be an IP address"),
        ("User-Agent", "User-Agent is required"),
        ("End-User-Device-Id", None),
        ("Trace-Id", None),
    ],
)
async def test_empty_headers(
    client: httpx.AsyncClient, fake_plastiq: FakePlastiq, name: str, empty: str | None
) -> None:
    """An empty header is rejected if its value has a form, and ignored otherwise."""
    async with client:
        response = await client.post(
            "/client-secrets", json=body_for(fake_plastiq), headers={name: ""}
        )
    if empty is None:
        assert response.status_code == 200
    else:
        assert problem(response) == empty


def test_nul_in_a_header(fake_plastiq: FakePlastiq) -> None:
    """The HTTP server itself rejects a NUL byte, without a trace ID."""
    with served(fake_plastiq) as base_url:
        address = httpx.URL(base_url)
        assert address.port is not None
        with socket.create_connection((address.host, address.port), 30) as client:
            client.sendall(
                b"POST /api/client-secrets HTTP/1.1\r\nHost: localhost\r\n"
                b"User-Agent: a\0b\r\nContent-Length: 0\r\n\r\n"
            )
            response = client.makefile("rb").read().lower()
    assert response.startswith(b"http/1.1 400")
    assert b"content-type: text/plain" in response
    assert b"trace-id" not in response
    assert fake_plastiq.requests == []
