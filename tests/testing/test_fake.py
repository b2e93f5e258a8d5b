"""The fake's state, and the fake over a real socket."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import attrs
import httpx
import pytest

import plastiq_async.testing
from plastiq_async.testing import (
    FakePlastiq,
    RecordedRequest,
    RedeemError,
    SecretExpiredError,
    SecretUnknownError,
    SecretUsedError,
)
from tests.support.sessions import ANY_CONTEXT
from tests.testing.calls import (
    PATH,
    TRACE_ID,
    body_for,
    client_for,
    create,
    post,
    problem,
    served,
)


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
    """A fake without tokens or payers is refused."""
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
        response = await client.post("/client-secrets", json=body_for(fake))
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Trace-Id"] == TRACE_ID
    value = response.json()["clientSecret"]
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


def test_recorded_request_can_be_built_by_hand() -> None:
    """A record needs neither a query nor an operation."""
    recorded = RecordedRequest(
        method="GET", path="/", trace_id=uuid4(), headers={}, body=b""
    )
    assert (recorded.query, recorded.operation) == ({}, None)


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
    response = await post(fake, payer={"id": str(new)})
    assert fake.redeem(response.json()["clientSecret"]) == new
    assert fake.add_payer() in fake.payer_ids


async def test_rotated_token_replaces_the_old_one() -> None:
    """After a rotation only the new token works."""
    fake = FakePlastiq()
    async with client_for(fake) as old:
        new_token = fake.rotate_token()
        assert new_token == fake.access_token != "fake-access-token"
        response = await old.post("/client-secrets", json=body_for(fake))
    assert response.status_code == 401
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


def test_default_clock_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake's clock follows the system's, even if a test replaces that later."""
    fake = FakePlastiq()
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000.0)
    assert fake.now == datetime.fromtimestamp(1_700_000_000, tz=UTC)
    fake.advance(5)
    assert fake.now == datetime.fromtimestamp(1_700_000_005, tz=UTC)


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


@pytest.mark.slow
async def test_served_on_a_socket() -> None:
    """The application responds over a socket as it does in memory."""
    fake = FakePlastiq()
    with served(fake) as base_url:
        async with httpx.AsyncClient(
            base_url=base_url,
            headers={"Authorization": f"Bearer {fake.access_token}"},
            verify=ANY_CONTEXT,
        ) as client:
            response = await client.post("/client-secrets", json=body_for(fake))
            assert fake.redeem(response.json()["clientSecret"]) == fake.payer_id
            fake.fail_next(503, retry_after=3)
            response = await client.post("/client-secrets", json=body_for(fake))
            assert (response.status_code, response.headers["Retry-After"]) == (503, "3")
            fake.delay_next(0.01)
            response = await client.post("/client-secrets", json=body_for(fake))
            assert response.status_code == 200
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
    """Over a socket a lost connection ends before the response's body."""
    fake = FakePlastiq()
    order(fake)
    with served(fake) as base_url:
        async with httpx.AsyncClient(
            base_url=base_url,
            headers={"Authorization": f"Bearer {fake.access_token}"},
            verify=ANY_CONTEXT,
        ) as client:
            # A reset, if the server closes before the request's body has come.
            with pytest.raises((httpx.RemoteProtocolError, httpx.NetworkError)):
                await client.post("/client-secrets", json=body_for(fake))
            assert (len(fake.requests), len(fake.secrets)) == (requests, secrets)
            response = await client.post("/client-secrets", json=body_for(fake))
            assert response.status_code == 200
