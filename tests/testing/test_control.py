"""The control endpoints, with which other programs control a fake."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from plastiq_async.testing import FakePlastiq
from plastiq_async.testing._control import Control
from plastiq_async.testing._sandbox import make_sandbox_app
from tests.support.internals import add_intent
from tests.support.sessions import fake_session
from tests.testing.calls import call, client_for, create, post

DECLINED = "4000000000000002"
UNKNOWN = "8f51c396-6e29-49a6-ba5a-1a31d5420158"
URL = "http://127.0.0.1:8642/_sandbox"


async def control(
    fake: FakePlastiq,
    method: str,
    name: str,
    *,
    peer: str = "127.0.0.1",
    url: str = URL,
    **arguments: Any,
) -> httpx.Response:
    """Send one request to a control endpoint."""
    transport = httpx.ASGITransport(make_sandbox_app(fake), client=(peer, 50_000))
    async with httpx.AsyncClient(transport=transport) as client:
        return await client.request(method, f"{url}/{name}", **arguments)


def detail(response: httpx.Response) -> str:
    """Return the one detail of an error."""
    (error,) = response.json()["errors"]
    text: str = error["details"]
    return text


async def test_fault_is_ordered() -> None:
    """A fault that another program orders applies to the next requests."""
    fake = FakePlastiq()
    order = {
        "fault": "fail",
        "status": 503,
        "code": "MAINTENANCE",
        "message": "Back soon",
        "details": ["at noon"],
        "retryAfter": 1.5,
        "shape": "details",
        "times": 2,
        "on": "client_secrets.create",
    }
    response = await control(fake, "POST", "faults", json=order)
    assert response.json() == {"pendingFaults": 2}
    failed = await post(fake)
    assert (failed.status_code, failed.headers["Retry-After"]) == (503, "1.5")
    body = failed.json()
    assert (body["code"], body["message"]) == ("MAINTENANCE", "Back soon")
    assert body["details"] == [{"details": "at noon"}]
    assert fake.pending_faults == 1


async def test_all_kinds_of_faults() -> None:
    """Each kind of fault can be ordered, with the usual defaults."""
    fake = FakePlastiq()
    orders: list[dict[str, object]] = [
        {"fault": "garble", "body": "nö", "status": 201, "contentType": "text/plain"},
        {"fault": "garble"},
        {"fault": "delay", "seconds": 0},
        {"fault": "fail", "status": 429, "retryAfter": "soon"},
        {"fault": "drop"},
        {"fault": "drop", "afterProcessing": True},
        {"fault": "refuse"},
        {"fault": "fail", "status": 500, "afterProcessing": True},
        {"fault": "delay", "seconds": 0.001},
    ]
    for number, order in enumerate(orders, 1):
        response = await control(fake, "POST", "faults", json=order)
        assert response.json() == {"pendingFaults": number}

    garbled = await post(fake)
    assert (garbled.status_code, garbled.text) == (201, "nö")
    assert garbled.headers["Content-Type"] == "text/plain"
    assert (await post(fake)).text == '{"clientSecret": '
    assert (await post(fake)).status_code == 200
    assert (await post(fake)).headers["Retry-After"] == "soon"
    with pytest.raises(httpx.RemoteProtocolError):
        await post(fake)
    with pytest.raises(httpx.ReadError):
        await post(fake)
    with pytest.raises(httpx.ConnectError):
        await post(fake)
    issued = len(fake.secrets)
    assert (await post(fake)).status_code == 500
    assert (await post(fake)).status_code == 200
    assert len(fake.secrets) == issued + 2
    assert fake.pending_faults == 0


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ({}, "fault must be one of: fail, garble, delay, drop, refuse"),
        (
            {"fault": ["fail"]},
            "fault must be one of: fail, garble, delay, drop, refuse",
        ),
        ({"fault": "fail"}, "status must be an integer"),
        ({"fault": "fail", "status": True}, "status must be an integer"),
        (
            {"fault": "fail", "status": 200},
            "status must be between 400 and 599, not 200",
        ),
        (
            {"fault": "fail", "status": 500, "details": "x"},
            "details must be a list of texts",
        ),
        (
            {"fault": "fail", "status": 500, "details": [1]},
            "details must be a list of texts",
        ),
        (
            {"fault": "fail", "status": 500, "retryAfter": "1\r\nSet-Cookie: a=b"},
            "retryAfter must be a number or the value of a header",
        ),
        (
            {"fault": "fail", "status": 500, "message": "\ud800"},
            "message must be a text",
        ),
        (
            {"fault": "garble", "contentType": "ö"},
            "contentType must be the value of a header",
        ),
        ({"fault": "delay", "seconds": "1"}, "seconds must be a number"),
        ({"fault": "delay", "seconds": -1}, "seconds must not be negative, not -1"),
        (
            {"fault": "drop", "afterProcessing": 1},
            "afterProcessing must be true or false",
        ),
        (
            {"fault": "fail", "status": 500, "afterProcessing": "yes"},
            "afterProcessing must be true or false",
        ),
        ({"fault": "refuse", "times": 0}, "times must be at least 1, not 0"),
        ({"fault": "refuse", "times": None}, "times must be an integer"),
        ({"fault": "refuse", "status": 500}, "status is unknown"),
        ({"fault": "refuse", "after_processing": True}, "after_processing is unknown"),
    ],
)
async def test_impossible_fault(order: dict[str, object], message: str) -> None:
    """An order that makes no sense is refused with a reason, and nothing is ordered."""
    fake = FakePlastiq()
    response = await control(
        fake,
        "POST",
        "faults",
        content=json.dumps(order),  # `json=` would refuse the lone surrogate
        headers={"Content-Type": "application/json"},
    )
    assert (response.status_code, detail(response)) == (400, message)
    assert fake.pending_faults == 0


async def test_redeem() -> None:
    """A secret is used once, within its lifetime, as with `FakePlastiq.redeem()`."""
    fake = FakePlastiq()
    value, late = await create(fake), await create(fake)

    async def redeem(client_secret: str) -> httpx.Response:
        return await control(
            fake, "POST", "redeem", json={"clientSecret": client_secret}
        )

    first = await redeem(value)
    assert (first.status_code, first.json()) == (200, {"payerId": str(fake.payer_id)})
    fake.advance(60)
    for client_secret, status, code in [
        (value, 409, "SECRET_USED"),
        (late, 410, "SECRET_EXPIRED"),
        ("unknown", 404, "SECRET_UNKNOWN"),
    ]:
        response = await redeem(client_secret)
        assert (response.status_code, response.json()["code"]) == (status, code)
        assert client_secret not in response.text


@pytest.mark.parametrize("name", ["redeem", "tokenize"])
@pytest.mark.parametrize("body", [{}, {"clientSecret": None}])
async def test_no_client_secret(name: str, body: dict[str, object]) -> None:
    """A body without a client secret is refused."""
    response = await control(FakePlastiq(), "POST", name, json=body)
    assert (response.status_code, detail(response)) == (
        400,
        "clientSecret must be a text",
    )


async def test_tokenize() -> None:
    """A card is added to the payer of the secret, with the test card's other fields."""
    fake = FakePlastiq()
    card = {"accountNumber": DECLINED, "cvv": "987"}
    methods = []
    for data in ({"data": card}, {}):
        body = {"clientSecret": await create(fake), **data}
        response = await control(fake, "POST", "tokenize", json=body)
        assert response.status_code == 200
        (name, method_id) = response.json().popitem()
        assert name == "paymentMethodId"
        query = {"payerId": str(fake.payer_id)}
        path = f"/payment-methods/{method_id}"
        methods.append((await call(fake, "GET", path, params=query)).json()["data"])
    assert [method["last4"] for method in methods] == ["0002", "4242"]
    # The card is in no recorded request.
    assert DECLINED not in (await control(fake, "GET", "requests")).text


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "data must be an object"),
        ({"accountNumber": "4242-7"}, "data.accountNumber must be 12 to 19 digits"),
        ({"number": "42427"}, "data.number is unknown"),
        (
            {"expirationYear": "2001"},
            "data.expirationYear and data.expirationMonth are in the past",
        ),
    ],
)
async def test_tokenize_refused_card(data: object, message: str) -> None:
    """A card that the API would refuse is a 400, which shows no value."""
    fake = FakePlastiq()
    body = {"clientSecret": await create(fake), "data": data}
    response = await control(fake, "POST", "tokenize", json=body)
    assert (response.status_code, detail(response)) == (400, message)


async def test_tokenize_with_a_bad_secret() -> None:
    """An unknown, a used and an expired secret are told apart, as for `redeem`."""
    fake = FakePlastiq()
    value, late = await create(fake), await create(fake)
    fake.redeem(value)
    fake.advance(60)
    for client_secret, status, code in [
        (value, 409, "SECRET_USED"),
        (late, 410, "SECRET_EXPIRED"),
        ("unknown", 404, "SECRET_UNKNOWN"),
    ]:
        body = {"clientSecret": client_secret, "data": {"accountNumber": DECLINED}}
        response = await control(fake, "POST", "tokenize", json=body)
        assert (response.status_code, response.json()["code"]) == (status, code)
        assert client_secret not in response.text


async def test_advance() -> None:
    """A payment gets the status that a program orders."""
    fake = FakePlastiq()
    session = fake_session(fake)
    payment = await session.payments.create(add_intent(fake), fake.payer_id)
    body = {"paymentId": str(payment.id), "status": "DEPOSITED"}
    response = await control(fake, "POST", "advance", json=body)
    assert (response.status_code, response.json()) == (200, body)
    read = await session.payments.retrieve(payment.id, fake.payer_id)
    assert read.is_deposited
    response = await control(
        fake, "POST", "advance", json={**body, "status": "ARRIVED"}
    )
    assert response.status_code == 400
    assert detail(response).startswith("status must be one of: CANCELLED, ")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"status": "DEPOSITED"}, "paymentId must be a UUID"),
        ({"paymentId": "1", "status": "DEPOSITED"}, "paymentId must be a UUID"),
        ({"paymentId": UNKNOWN}, "status must be a text"),
        (
            {"paymentId": UNKNOWN, "status": "DEPOSITED"},
            "there is no payment with this ID",
        ),
        ({"seconds": 60}, "seconds is unknown"),
    ],
)
async def test_impossible_advance(body: dict[str, object], message: str) -> None:
    """An order that cannot be followed is refused with a reason."""
    response = await control(FakePlastiq(), "POST", "advance", json=body)
    assert (response.status_code, detail(response)) == (400, message)


async def test_requests() -> None:
    """The last requests are returned, without credentials."""
    fake = FakePlastiq()
    headers = {
        "End-User-Ip": "203.0.113.7",
        "Cookie": "a=private",
        "API-Key": "private",
    }
    async with client_for(fake, **headers) as client:
        await client.post("/client-secrets?a=1", content=b'{"bytes": "\xff"}')
    await create(fake)
    response = await control(fake, "GET", "requests")
    first, second = response.json()["requests"]
    assert first["method"] == "POST"
    assert first["path"] == "/api/client-secrets"
    assert first["query"] == {"a": ["1"]}
    assert first["operation"] == "client_secrets.create"
    assert first["traceId"] == str(fake.requests[0].trace_id)
    assert first["headers"]["end-user-ip"] == "203.0.113.7"
    assert first["body"] == '{"bytes": "\ufffd"}'
    assert fake.access_token not in response.text
    assert "private" not in response.text
    last = await control(fake, "GET", "requests?limit=1")
    assert last.json() == {"requests": [second]}


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=1&limit=2", "offset=1"])
async def test_requests_with_an_impossible_query(query: str) -> None:
    """A query that is not understood is refused."""
    response = await control(FakePlastiq(), "GET", f"requests?{query}")
    assert response.status_code == 400


@pytest.mark.parametrize("content", [b"", b"{}"])
async def test_reset(content: bytes) -> None:
    """After a reset, the fake is as it was when it was created."""
    now = 1_700_000_000.0
    fake = FakePlastiq(clock=lambda: now)
    token, start, requests = fake.access_token, fake.now, fake.requests
    await create(fake)
    payer_id = fake.add_payer()
    fake.rotate_token()
    fake.advance(90)
    fake.fail_next(500)
    response = await control(
        fake,
        "POST",
        "reset",
        content=content,
        headers={"Content-Type": "application/json"},
    )
    assert (response.status_code, response.content) == (204, b"")
    assert fake.requests is requests
    assert (len(requests), len(fake.secrets), fake.pending_faults) == (0, 0, 0)
    assert payer_id not in fake.payer_ids
    assert (fake.access_token, fake.now) == (token, start)
    assert (await post(fake)).status_code == 200


@pytest.mark.parametrize("peer", ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1"])
async def test_peers_on_the_network_are_refused(peer: str) -> None:
    """Only clients on loopback may use the endpoints, whatever they send as `Host`."""
    fake = FakePlastiq()
    headers = {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"}
    response = await control(
        fake, "POST", "faults", peer=peer, json={"fault": "refuse"}, headers=headers
    )
    assert response.status_code == 403
    assert fake.pending_faults == 0


async def test_unknown_peer_is_refused() -> None:
    """A server that does not say who the peer is gets a 403."""
    fake = FakePlastiq()
    app = make_sandbox_app(fake)

    async def without_client(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "client": None}, receive, send)

    transport = httpx.ASGITransport(without_client)
    async with httpx.AsyncClient(transport=transport) as client:
        response = await client.get(f"{URL}/requests")
    assert response.status_code == 403


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "192.0.2.1"],
)
async def test_rebound_hosts_are_refused(host: str) -> None:
    """A page of a stranger cannot reach the endpoints by a name of its own."""
    fake = FakePlastiq()
    for method, name in [("GET", "requests"), ("POST", "reset")]:
        response = await control(fake, method, name, url=f"http://{host}:8642/_sandbox")
        assert response.status_code == 403


@pytest.mark.parametrize(
    "host", ["localhost", "plastiq.localhost:8642", "[::1]:8642", "127.8.9.1"]
)
@pytest.mark.parametrize("peer", ["127.0.0.1", "::1"])
async def test_loopback_hosts_are_accepted(host: str, peer: str) -> None:
    """Every name and address of loopback works."""
    url = f"http://{host}/_sandbox"
    response = await control(FakePlastiq(), "GET", "requests", url=url, peer=peer)
    assert response.status_code == 200


@pytest.mark.parametrize("name", ["advance", "faults", "redeem", "reset", "tokenize"])
async def test_forms_are_refused(name: str) -> None:
    """A form of another site, which needs no permission by CORS, changes nothing."""
    fake = FakePlastiq()
    await create(fake)
    for headers in ({}, {"Content-Type": "text/plain"}):
        response = await control(
            fake, "POST", name, content=b'{"fault": "refuse"}', headers=headers
        )
        assert detail(response) == "Content-Type must be application/json"
    assert (fake.pending_faults, len(fake.secrets)) == (0, 1)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [("http://localhost:3000", True), ("https://stranger.example", False)],
)
async def test_preflight(origin: str, *, allowed: bool) -> None:
    """A browser may send a card from pages on loopback, and from no others."""
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    response = await control(FakePlastiq(), "OPTIONS", "tokenize", headers=headers)
    assert response.is_success is allowed
    assert ("Access-Control-Allow-Origin" in response.headers) is allowed


async def test_wrong_names_and_methods() -> None:
    """An unknown endpoint is a 404, and a wrong method is a 405."""
    fake = FakePlastiq()
    missing = await control(fake, "GET", "nothing")
    assert missing.status_code == 404
    wrong = await control(fake, "GET", "reset")
    assert (wrong.status_code, wrong.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x" * 70_000, "body must not be larger than 65536 bytes"),
        (b"[]", "body must be a JSON object"),
        (b'{"a": 1}', "a is unknown"),
    ],
)
async def test_bad_bodies(content: bytes, message: str) -> None:
    """A body that is too large, no object, or not empty where it must be is refused."""
    headers = {"Content-Type": "application/json"}
    response = await control(
        FakePlastiq(), "POST", "reset", content=content, headers=headers
    )
    assert (response.status_code, detail(response)) == (400, message)


async def test_client_that_hangs_up() -> None:
    """If the client disconnects before its body is complete, nothing happens."""
    fake = FakePlastiq()
    sent: list[object] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/_sandbox/reset",
        "headers": [],
        "query_string": b"",
    }
    await Control(fake)(scope, receive, send)
    assert sent == []


async def test_control_requests_are_not_recorded() -> None:
    """The endpoints take no fault, and leave no trace in the recorded requests."""
    fake = FakePlastiq()
    fake.fail_next(500)
    response = await control(fake, "GET", "requests")
    assert response.json() == {"requests": []}
    assert fake.pending_faults == 1
