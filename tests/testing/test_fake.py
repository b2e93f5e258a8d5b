"""The fake's state, its checks and its faults."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import anyio
import anyio.lowlevel
import attrs
import httpx
import pytest

import plastiq_async.testing
from plastiq_async.testing import (
    FakePlastiq,
    RedeemError,
    SecretExpiredError,
    SecretUnknownError,
    SecretUsedError,
)
from plastiq_async.testing._checks import MAX_BODY_BYTES
from tests.serving import in_uvicorn

if TYPE_CHECKING:
    from starlette.types import Message

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


async def create(fake: FakePlastiq) -> str:
    """Ask for a client secret, and return its value."""
    answer = await post(fake)
    value: str = answer.json()["clientSecret"]
    return value


@contextmanager
def served(fake: FakePlastiq) -> Iterator[str]:
    """Serve a fake on a real socket, lifespan included, and give its base URL."""
    with in_uvicorn(fake.app) as url:
        yield f"{url}/api"


def problem(answer: httpx.Response) -> str:
    """Return the one detail of a validation error, after checking the rest."""
    body = answer.json()
    assert answer.status_code == 400
    assert body["code"] == "VALIDATION_ERROR"
    assert body["message"] == "Validation error"
    assert body["traceId"] == answer.headers["Trace-Id"]
    assert UUID(body["traceId"]).version == 4
    (detail,) = body["errors"]
    text: str = detail["details"]
    return text


# --- the state ---


def test_all_is_sorted_and_true() -> None:
    """The package exports what it says, in order."""
    names = plastiq_async.testing.__all__
    assert names == sorted(names)
    assert all(hasattr(plastiq_async.testing, name) for name in names)


def test_missing_starlette_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Starlette the import fails with the extra's name."""
    import importlib
    import sys

    for name in list(sys.modules):
        if name.startswith("plastiq_async.testing"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "starlette", None)
    with pytest.raises(ModuleNotFoundError, match=r"plastiq-async\[testing\]") as info:
        importlib.import_module("plastiq_async.testing")
    assert info.value.name == "starlette"


def test_defaults_work_out_of_the_box() -> None:
    """A fake without arguments has a token, a payer and a loopback URL."""
    fake = FakePlastiq()
    assert fake.access_token == "fake-access-token"
    assert fake.payer_id == UUID("8f51c396-6e29-49a6-ba5a-1a31d5420158")
    assert fake.base_url == "http://127.0.0.1/api"
    assert fake.requests == []
    assert len(fake.secrets) == 0
    assert fake.pending_faults == 0


@pytest.mark.parametrize("empty", ["access_tokens", "payer_ids"])
def test_at_least_one_token_and_payer(empty: str) -> None:
    """A fake that nobody could call is refused."""
    make: Callable[..., FakePlastiq] = FakePlastiq
    with pytest.raises(ValueError, match="at least one"):
        make(**{empty: []})


def test_payers_must_be_uuids() -> None:
    """A payer ID that is no UUID is refused where it is given."""
    with pytest.raises(ValueError, match="UUID"):
        FakePlastiq(payer_ids=["payer-1"])
    with pytest.raises(ValueError, match="UUID"):
        FakePlastiq().add_payer("payer-1")


async def test_created_secret_is_recorded() -> None:
    """A valid request gets a secret, which the fake remembers by its value."""
    now = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    fake = FakePlastiq(clock=now.timestamp)
    async with client_for(fake, **{"Trace-Id": TRACE_ID}) as client:
        answer = await client.post("/client-secrets", json=body_for(fake))
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Trace-Id"] == TRACE_ID
    value = answer.json()["clientSecret"]
    assert list(fake.secrets) == [value]
    record = fake.secrets[value]
    assert record.payer_id == fake.payer_id
    assert record.trace_id == UUID(TRACE_ID)
    assert record.issued_at == now
    assert not record.redeemed


async def test_request_is_recorded() -> None:
    """A request is recorded as it came, and cannot be changed afterwards."""
    fake = FakePlastiq()
    async with client_for(fake, **{"Trace-Id": TRACE_ID}) as client:
        await client.post(
            "/client-secrets",
            json=body_for(fake),
            headers=[("X-Twice", "a"), ("X-Twice", "b")],
        )
    (recorded,) = fake.requests
    assert (recorded.method, recorded.path) == ("POST", PATH)
    assert recorded.trace_id == UUID(TRACE_ID)
    assert recorded.headers["authorization"] == "Bearer fake-access-token"
    assert recorded.headers["x-twice"] == "a, b"
    assert json.loads(recorded.body) == body_for(fake)
    assert isinstance(hash(recorded), int)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        recorded.method = "GET"  # type: ignore[misc]
    with pytest.raises(TypeError):
        recorded.headers["x"] = "y"  # type: ignore[index]


async def test_no_secret_in_any_repr() -> None:
    """Neither the token nor a client secret is in a repr."""
    fake = FakePlastiq(access_tokens=["token-of-the-test"])
    value = await create(fake)
    fake.fail_next(500)
    shown = repr([fake, fake.requests, fake.secrets, fake.secrets[value]])
    assert "token-of-the-test" not in shown
    assert value not in shown
    assert str(fake.payer_id) in shown
    assert repr(fake) == "<FakePlastiq requests=1 secrets=1 pending_faults=1>"
    assert repr(fake.secrets) == "<SecretVault of 1>"


async def test_added_payer_is_known() -> None:
    """A payer is unknown until it is added."""
    fake = FakePlastiq()
    new = uuid4()
    assert "existing payer" in problem(await post(fake, payer={"id": str(new)}))
    assert fake.add_payer(str(new)) == new
    answer = await post(fake, payer={"id": str(new)})
    assert fake.redeem(answer.json()["clientSecret"]) == new
    assert fake.add_payer() in fake.payer_ids


async def test_rotated_token_replaces_the_old_one() -> None:
    """After a rotation only the new token works."""
    fake = FakePlastiq()
    async with client_for(fake) as old:
        new_token = fake.rotate_token()
        assert new_token == fake.access_token != "fake-access-token"
        answer = await old.post("/client-secrets", json=body_for(fake))
    assert answer.status_code == 401
    assert (await post(fake)).status_code == 200
    assert fake.rotate_token("chosen") == fake.access_token == "chosen"


async def test_rotated_token_may_work_for_twelve_more_hours() -> None:
    """With `keep_old` both tokens work until 12 hours have passed."""
    fake = FakePlastiq(clock=lambda: 0.0)
    fake.rotate_token("new", keep_old=True)
    assert fake.accepts_token("fake-access-token")
    assert fake.accepts_token("new")
    fake.advance(12 * 60 * 60 - 1)
    assert fake.accepts_token("fake-access-token")
    fake.advance(1)
    assert not fake.accepts_token("fake-access-token")
    assert fake.accepts_token("new")


async def test_secret_is_redeemed_once() -> None:
    """A secret works once; the record remembers it."""
    fake = FakePlastiq()
    value = await create(fake)
    assert fake.redeem(value) == fake.payer_id
    assert fake.secrets[value].redeemed
    with pytest.raises(SecretUsedError) as info:
        fake.redeem(value)
    assert value not in str(info.value)


async def test_secret_expires_after_a_minute() -> None:
    """A secret works just before it is 60 seconds old, and no longer."""
    fake = FakePlastiq(clock=lambda: 1_700_000_000.0)
    early, late = await create(fake), await create(fake)
    fake.advance(59.5)
    assert fake.redeem(early) == fake.payer_id
    fake.advance(0.5)
    with pytest.raises(SecretExpiredError) as info:
        fake.redeem(late)
    assert late not in str(info.value)
    assert "60 s old" in str(info.value)


def test_unknown_secret_is_refused_without_an_echo() -> None:
    """A value that was never issued is refused, and not repeated."""
    with pytest.raises(SecretUnknownError) as info:
        FakePlastiq().redeem("never-issued")
    assert isinstance(info.value, RedeemError)
    assert "never-issued" not in str(info.value)


def test_default_clock_is_the_real_one() -> None:
    """Without a clock of its own the fake goes by the system's, plus advances."""
    fake = FakePlastiq()
    before = time.time()
    fake.advance(1000)
    offset = fake.now - datetime.fromtimestamp(before, tz=UTC)
    assert offset >= timedelta(seconds=1000)


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_clock_does_not_go_back(seconds: float) -> None:
    """The clock moves forward only."""
    with pytest.raises(ValueError, match="negative"):
        FakePlastiq().advance(seconds)


# --- the checks ---


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer wrong", "Basic fake-access-token"],
)
async def test_wrong_authorization(authorization: str) -> None:
    """Without an accepted bearer token the answer is a 401."""
    fake = FakePlastiq()
    async with client_for(fake, Authorization=authorization) as client:
        answer = await client.post("/client-secrets", json=body_for(fake))
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json() == {
        "code": "AUTHORIZATION_ERROR",
        "message": "Authorization error",
        "errors": [],
        "traceId": answer.headers["Trace-Id"],
    }
    assert len(fake.secrets) == 0


async def test_authorization_is_required() -> None:
    """A request without `Authorization` is a 401, too."""
    fake = FakePlastiq()
    async with client_for(fake) as client:
        del client.headers["Authorization"]
        answer = await client.post("/client-secrets", json=body_for(fake))
    assert answer.status_code == 401


async def test_scheme_is_case_insensitive() -> None:
    """`bearer` is as good as `Bearer`."""
    fake = FakePlastiq()
    async with client_for(fake, Authorization="bEARER fake-access-token") as client:
        answer = await client.post("/client-secrets", json=body_for(fake))
    assert answer.status_code == 200


@pytest.mark.parametrize("agent", [None, " "])
async def test_user_agent_is_required(agent: str | None) -> None:
    """A server-side caller must name the end user's browser."""
    fake = FakePlastiq()
    async with client_for(fake) as client:
        del client.headers["User-Agent"]
        headers = {} if agent is None else {"User-Agent": agent}
        answer = await client.post(
            "/client-secrets", json=body_for(fake), headers=headers
        )
    assert problem(answer) == "User-Agent is required"


@pytest.mark.parametrize("ip", ["", "localhost", "203.0.113.256", "203.0.113.7, ::1"])
async def test_end_user_ip_must_be_an_address(ip: str) -> None:
    """An `End-User-Ip` that is no address is refused."""
    fake = FakePlastiq()
    async with client_for(fake, **{"End-User-Ip": ip}) as client:
        answer = await client.post("/client-secrets", json=body_for(fake))
    assert problem(answer) == "End-User-Ip must be an IP address"


@pytest.mark.parametrize("ip", ["203.0.113.7", "2001:db8::7"])
async def test_end_user_headers_are_accepted(ip: str) -> None:
    """Addresses of both versions and a device ID are accepted."""
    fake = FakePlastiq()
    headers = {"End-User-Ip": ip, "End-User-Device-Id": "a1b2"}
    async with client_for(fake, **headers) as client:
        answer = await client.post("/client-secrets", json=body_for(fake))
    assert answer.status_code == 200


@pytest.mark.parametrize("content_type", [None, "text/plain"])
async def test_content_type_must_be_json(content_type: str | None) -> None:
    """A body that does not say that it is JSON is refused."""
    fake = FakePlastiq()
    headers = {} if content_type is None else {"Content-Type": content_type}
    async with client_for(fake, **headers) as client:
        answer = await client.post("/client-secrets", content=b"{}")
    assert problem(answer) == "Content-Type must be application/json"


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
        answer = await client.post("/client-secrets", content=body)
    assert problem(answer) == "body must be JSON"


@pytest.mark.parametrize("body", [[], None, "payer", 1])
async def test_body_must_be_an_object(body: object) -> None:
    """JSON of another kind is refused."""
    fake = FakePlastiq()
    async with client_for(fake, **{"Content-Type": "application/json"}) as client:
        answer = await client.post("/client-secrets", content=json.dumps(body))
    assert problem(answer) == "body must be a JSON object"


@pytest.mark.parametrize("kind", ["BANK", "card", None, 1, ["CARD"], {}])
async def test_type_must_be_in_the_enum(kind: object) -> None:
    """A type other than CARD is refused."""
    answer = await post(FakePlastiq(), type=kind)
    assert problem(answer) == "type must be one of: CARD"


async def test_type_defaults_to_card() -> None:
    """A request without a type is a valid one, and unknown members do not matter."""
    fake = FakePlastiq()
    body = body_for(fake, more=True)
    del body["type"]
    async with client_for(fake) as client:
        answer = await client.post("/client-secrets", json=body)
    assert answer.status_code == 200


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
    answer = await post(FakePlastiq(), payer={"id": payer_id})
    assert problem(answer) == "payer.id must be a UUID"


async def test_payer_id_may_be_in_upper_case() -> None:
    """The case of a UUID's letters does not matter."""
    fake = FakePlastiq()
    answer = await post(fake, payer={"id": str(fake.payer_id).upper()})
    assert answer.status_code == 200


async def test_large_body_is_refused() -> None:
    """A body over the cap is read to its end, yet neither kept nor parsed."""
    fake = FakePlastiq()
    answer = await post(fake, padding="x" * 1_000_000)
    assert problem(answer) == f"body must not be larger than {MAX_BODY_BYTES} bytes"
    assert len(fake.requests[0].body) == MAX_BODY_BYTES + 1


@pytest.mark.parametrize(
    "trace_id", ["", "x", "fe278caa-e01d-1910-b975-5c19c21a6d8e", f"{TRACE_ID}, x"]
)
async def test_invalid_trace_id_is_replaced(trace_id: str) -> None:
    """An ID that is no UUID version 4 is replaced by a new one."""
    fake = FakePlastiq()
    async with client_for(fake, **{"Trace-Id": trace_id}) as client:
        answer = await client.post("/client-secrets", json=body_for(fake))
    returned = UUID(answer.headers["Trace-Id"])
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
    """What the API does not have is answered in its error body, without redirects."""
    fake = FakePlastiq()
    async with client_for(fake, **{"Trace-Id": TRACE_ID}) as client:
        answer = await client.request(method, url)
    assert answer.status_code == status
    assert answer.headers["Trace-Id"] == TRACE_ID
    assert answer.json() == {**body, "errors": [], "traceId": TRACE_ID}
    assert (answer.headers.get("Allow") == "POST") is (status == 405)


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


# --- the faults ---


async def test_failure_in_the_usual_shape() -> None:
    """A failure strikes before the token is checked, once, and processes nothing."""
    fake = FakePlastiq()
    fake.fail_next(
        403,
        code="IP_FORBIDDEN",
        message="Not from there",
        details=["203.0.113.7", "is not listed"],
    )
    async with client_for(
        fake, Authorization="Bearer wrong", **{"Trace-Id": TRACE_ID}
    ) as client:
        answer = await client.post("/client-secrets", json=body_for(fake))
    assert answer.status_code == 403
    assert answer.headers["Trace-Id"] == TRACE_ID
    assert "Retry-After" not in answer.headers
    assert answer.json() == {
        "code": "IP_FORBIDDEN",
        "message": "Not from there",
        "errors": [{"details": "203.0.113.7"}, {"details": "is not listed"}],
        "traceId": TRACE_ID,
    }
    assert len(fake.secrets) == 0
    assert len(fake.requests) == 1
    assert (await post(fake)).status_code == 200


async def test_failure_in_the_other_shape() -> None:
    """The second error body has `details` and `statusCode`."""
    fake = FakePlastiq()
    fake.fail_next(503, retry_after=1, shape="details", details=["maintenance"])
    answer = await post(fake)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert answer.json() == {
        "code": "SERVICE_UNAVAILABLE",
        "message": "Service unavailable",
        "details": [{"details": "maintenance"}],
        "statusCode": 503,
        "traceId": answer.headers["Trace-Id"],
    }


@pytest.mark.parametrize(
    ("status", "message"), [(429, "Too Many Requests"), (499, "Error")]
)
async def test_failure_without_a_generic_code(status: int, message: str) -> None:
    """A status that has no generic code gets none."""
    fake = FakePlastiq()
    fake.fail_next(status, retry_after="soon")
    answer = await post(fake)
    assert answer.status_code == status
    assert answer.headers["Retry-After"] == "soon"
    assert answer.json()["message"] == message
    assert "code" not in answer.json()


async def test_failure_of_a_gateway() -> None:
    """A gateway answers in HTML or with nothing, and knows no trace ID."""
    fake = FakePlastiq()
    fake.fail_next(502, shape="html")
    fake.fail_next(504, shape="empty", retry_after=2)
    page, nothing = await post(fake), await post(fake)
    assert page.status_code == 502
    assert page.headers["Content-Type"].startswith("text/html")
    assert "<h1>502 Bad Gateway</h1>" in page.text
    assert nothing.status_code == 504
    assert nothing.content == b""
    assert nothing.headers["Retry-After"] == "2"
    assert "Trace-Id" not in {**page.headers, **nothing.headers}


async def test_faults_strike_in_order() -> None:
    """Faults are first in, first out, one for each request."""
    fake = FakePlastiq()
    fake.fail_next(500, times=2)
    fake.garble_next()
    fake.fail_next(404)
    assert fake.pending_faults == 4
    statuses = [(await post(fake)).status_code for _ in range(5)]
    assert statuses == [500, 500, 200, 404, 200]
    assert fake.pending_faults == 0


async def test_garbage() -> None:
    """An answer is garbled to the letter, with the trace ID that it should have."""
    fake = FakePlastiq()
    fake.garble_next()
    cut_off = await post(fake)
    assert cut_off.status_code == 200
    assert cut_off.headers["Content-Type"] == "application/json"
    assert UUID(cut_off.headers["Trace-Id"]) == fake.requests[0].trace_id
    with pytest.raises(json.JSONDecodeError):
        cut_off.json()
    fake.garble_next(
        b"moved",
        status=307,
        content_type="text/plain",
        headers={"trace-id": TRACE_ID, "Location": "/elsewhere"},
    )
    moved = await post(fake)
    assert (moved.status_code, moved.content) == (307, b"moved")
    assert moved.headers.get_list("Trace-Id") == [TRACE_ID]
    assert moved.headers["Content-Type"] == "text/plain"
    assert moved.headers["Location"] == "/elsewhere"
    assert len(fake.secrets) == 0


@pytest.mark.parametrize(
    "order",
    [
        lambda fake: fake.fail_next(399),
        lambda fake: fake.fail_next(600),
        lambda fake: fake.fail_next(500, shape="xml"),
        lambda fake: fake.fail_next(500, times=0),
        lambda fake: fake.garble_next(status=199),
        lambda fake: fake.garble_next(status=600),
        lambda fake: fake.delay_next(-1),
        lambda fake: fake.delay_next(float("nan")),
        lambda fake: fake.drop_next(times=0),
        lambda fake: fake.refuse_next(times=0),
    ],
)
def test_impossible_faults_are_refused(order: Callable[[FakePlastiq], None]) -> None:
    """A fault that makes no sense is refused where it is ordered."""
    fake = FakePlastiq()
    with pytest.raises(ValueError, match="must"):
        order(fake)
    assert fake.pending_faults == 0


# --- over a real socket ---


async def test_served_on_a_socket() -> None:
    """The application answers over a socket as it does in memory."""
    fake = FakePlastiq()
    with served(fake) as base_url:
        async with httpx.AsyncClient(
            base_url=base_url, headers={"Authorization": f"Bearer {fake.access_token}"}
        ) as client:
            answer = await client.post("/client-secrets", json=body_for(fake))
            assert fake.redeem(answer.json()["clientSecret"]) == fake.payer_id
            fake.fail_next(503, retry_after=3)
            answer = await client.post("/client-secrets", json=body_for(fake))
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "3")
            fake.delay_next(0.01)
            answer = await client.post("/client-secrets", json=body_for(fake))
            assert answer.status_code == 200
            large = body_for(fake, padding="x" * 5_000_000)
            assert "larger" in problem(await client.post("/client-secrets", json=large))


@pytest.mark.parametrize(
    ("order", "requests", "secrets"),
    [
        (FakePlastiq.refuse_next, 0, 0),
        (FakePlastiq.drop_next, 1, 0),
        (lambda fake: fake.drop_next(after_processing=True), 1, 1),
    ],
)
async def test_lost_connection_on_a_socket(
    order: Callable[[FakePlastiq], None], requests: int, secrets: int
) -> None:
    """Over a socket a lost connection ends before the answer's body."""
    fake = FakePlastiq()
    order(fake)
    with served(fake) as base_url:
        async with httpx.AsyncClient(
            base_url=base_url, headers={"Authorization": f"Bearer {fake.access_token}"}
        ) as client:
            # A reset, if the server closes before the request's body has come.
            with pytest.raises((httpx.RemoteProtocolError, httpx.NetworkError)):
                await client.post("/client-secrets", json=body_for(fake))
            assert (len(fake.requests), len(fake.secrets)) == (requests, secrets)
            answer = await client.post("/client-secrets", json=body_for(fake))
            assert answer.status_code == 200
