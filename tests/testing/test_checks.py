"""The checks that every request goes through."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import UUID

import anyio
import anyio.lowlevel
import pytest

from plastiq_async.testing import FakePlastiq
from plastiq_async.testing._checks import MAX_BODY_BYTES
from tests.testing.calls import (
    PATH,
    TRACE_ID,
    body_for,
    call,
    client_for,
    post,
    problem,
)

if TYPE_CHECKING:
    from starlette.types import Message


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer wrong", "Basic fake-access-token"],
)
async def test_wrong_authorization(authorization: str) -> None:
    """Without an accepted bearer token the response is a 401."""
    fake = FakePlastiq()
    async with client_for(fake, Authorization=authorization) as client:
        response = await client.post("/client-secrets", json=body_for(fake))
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.json() == {
        "code": "AUTHORIZATION_ERROR",
        "message": "Authorization error",
        "errors": [],
        "traceId": response.headers["Trace-Id"],
    }
    assert len(fake.secrets) == 0


async def test_authorization_is_required() -> None:
    """A request without `Authorization` is a 401, too."""
    fake = FakePlastiq()
    async with client_for(fake) as client:
        del client.headers["Authorization"]
        response = await client.post("/client-secrets", json=body_for(fake))
    assert response.status_code == 401


async def test_scheme_is_case_insensitive() -> None:
    """`bearer` is as good as `Bearer`."""
    fake = FakePlastiq()
    async with client_for(fake, Authorization="bEARER fake-access-token") as client:
        response = await client.post("/client-secrets", json=body_for(fake))
    assert response.status_code == 200


@pytest.mark.parametrize("agent", [None, " "])
async def test_user_agent_is_required(agent: str | None) -> None:
    """A server-side caller must name the end user's browser."""
    fake = FakePlastiq()
    async with client_for(fake) as client:
        del client.headers["User-Agent"]
        headers = {} if agent is None else {"User-Agent": agent}
        response = await client.post(
            "/client-secrets", json=body_for(fake), headers=headers
        )
    assert problem(response) == "User-Agent is required"


@pytest.mark.parametrize("ip", ["", "localhost", "203.0.113.256", "203.0.113.7, ::1"])
async def test_end_user_ip_must_be_an_address(ip: str) -> None:
    """An `End-User-Ip` that is no address is refused."""
    fake = FakePlastiq()
    async with client_for(fake, **{"End-User-Ip": ip}) as client:
        response = await client.post("/client-secrets", json=body_for(fake))
    assert problem(response) == "End-User-Ip must be an IP address"


@pytest.mark.parametrize("ip", ["203.0.113.7", "2001:db8::7"])
async def test_end_user_headers_are_accepted(ip: str) -> None:
    """Addresses of both versions and a device ID are accepted."""
    fake = FakePlastiq()
    headers = {"End-User-Ip": ip, "End-User-Device-Id": "a1b2"}
    async with client_for(fake, **headers) as client:
        response = await client.post("/client-secrets", json=body_for(fake))
    assert response.status_code == 200


@pytest.mark.parametrize("content_type", [None, "text/plain"])
async def test_content_type_must_be_json(content_type: str | None) -> None:
    """A body that does not say that it is JSON is refused."""
    fake = FakePlastiq()
    headers = {} if content_type is None else {"Content-Type": content_type}
    async with client_for(fake, **headers) as client:
        response = await client.post("/client-secrets", content=b"{}")
    assert problem(response) == "Content-Type must be application/json"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b'{"payer": NaN}',
        b'{"payer": -Infinity}',
        b"[" * 60_000,
        b'{"n": ' + b"9" * 5_000 + b"e}",
        '{"type": "CARD"}'.encode("utf-16"),
    ],
)
async def test_body_must_be_json(body: bytes) -> None:
    """What is not strictly JSON in UTF-8 is refused."""
    fake = FakePlastiq()
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    async with client_for(fake, **headers) as client:
        response = await client.post("/client-secrets", content=body)
    assert problem(response) == "body must be JSON"


@pytest.mark.parametrize("body", [[], None, "payer", 1])
async def test_body_must_be_an_object(body: object) -> None:
    """JSON of another kind is refused."""
    fake = FakePlastiq()
    async with client_for(fake, **{"Content-Type": "application/json"}) as client:
        response = await client.post("/client-secrets", content=json.dumps(body))
    assert problem(response) == "body must be a JSON object"


@pytest.mark.parametrize("kind", ["BANK", "card", None, 1, ["CARD"], {}])
async def test_type_must_be_in_the_enum(kind: object) -> None:
    """A type other than CARD is refused."""
    response = await post(FakePlastiq(), type=kind)
    assert problem(response) == "type must be one of: CARD"


async def test_type_defaults_to_card() -> None:
    """A request without a type is a valid one."""
    fake = FakePlastiq()
    body = body_for(fake)
    del body["type"]
    async with client_for(fake) as client:
        response = await client.post("/client-secrets", json=body)
    assert response.status_code == 200


async def test_fields_of_a_client_secret() -> None:
    """The payer is required, and an unknown field is refused."""
    fake = FakePlastiq()
    without_payer = await call(fake, "POST", "/client-secrets", json={"type": "CARD"})
    assert problem(without_payer) == "payer is required"
    assert problem(await post(fake, more=True)) == "more is unknown"


@pytest.mark.parametrize("payer", [None, "x", []])
async def test_payer_must_be_an_object(payer: object) -> None:
    """A payer of another kind is refused."""
    assert problem(await post(FakePlastiq(), payer=payer)) == "payer must be an object"


@pytest.mark.parametrize(
    "payer_id",
    [
        None,
        7,
        "",
        "payer-1",
        "8f51c3966e2949a6ba5a1a31d5420158",
        "{8f51c396-6e29-49a6-ba5a-1a31d5420158}",
    ],
)
async def test_payer_id_must_be_a_uuid(payer_id: object) -> None:
    """An ID that is not written as a UUID is refused."""
    response = await post(FakePlastiq(), payer={"id": payer_id})
    assert problem(response) == "payer.id must be a UUID"


async def test_payer_id_may_be_in_upper_case() -> None:
    """The case of a UUID's letters does not matter."""
    fake = FakePlastiq()
    response = await post(fake, payer={"id": str(fake.payer_id).upper()})
    assert response.status_code == 200


async def test_large_body_is_refused() -> None:
    """A body over the cap is read to its end, yet neither kept nor parsed."""
    fake = FakePlastiq()
    response = await post(fake, padding="x" * 1_000_000)
    assert problem(response) == f"body must not be larger than {MAX_BODY_BYTES} bytes"
    assert len(fake.requests[0].body) == MAX_BODY_BYTES + 1


@pytest.mark.parametrize(
    "trace_id", ["", "x", "fe278caa-e01d-1910-b975-5c19c21a6d8e", f"{TRACE_ID}, x"]
)
async def test_invalid_trace_id_is_replaced(trace_id: str) -> None:
    """An ID that is no UUID version 4 is replaced by a new one."""
    fake = FakePlastiq()
    async with client_for(fake, **{"Trace-Id": trace_id}) as client:
        response = await client.post("/client-secrets", json=body_for(fake))
    returned = UUID(response.headers["Trace-Id"])
    assert returned.version == 4
    assert returned == fake.requests[0].trace_id


@pytest.mark.parametrize(
    ("method", "url", "status", "body"),
    [
        ("GET", "/nowhere", 404, {"code": "NOT_FOUND_ERROR", "message": "Not found"}),
        (
            "POST",
            "/client-secrets/",
            404,
            {"code": "NOT_FOUND_ERROR", "message": "Not found"},
        ),
        ("PUT", "/client-secrets", 405, {"message": "Method Not Allowed"}),
    ],
)
async def test_unknown_route(
    method: str, url: str, status: int, body: dict[str, str]
) -> None:
    """An unknown path or method gets the API's error body, without redirects."""
    fake = FakePlastiq()
    async with client_for(fake, **{"Trace-Id": TRACE_ID}) as client:
        response = await client.request(method, url)
    assert response.status_code == status
    assert response.headers["Trace-Id"] == TRACE_ID
    assert response.json() == {**body, "errors": [], "traceId": TRACE_ID}
    assert (response.headers.get("Allow") == "POST") is (status == 405)


async def test_client_that_leaves_while_sending_is_not_recorded() -> None:
    """A request whose body never arrives is no request, and no error either."""
    fake = FakePlastiq()

    async def receive() -> Message:
        await anyio.lowlevel.checkpoint()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        pytest.fail(f"nobody is there for {message}")

    scope = {"type": "http", "method": "POST", "path": PATH, "headers": []}
    await fake.app(scope, receive, send)
    assert fake.requests == []
