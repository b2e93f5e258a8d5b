"""The limit of requests in a minute."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from plastiq_async.testing import FakePlastiq
from tests.testing.calls import client_for, post

NOW = datetime(2030, 4, 30, tzinfo=UTC)


@pytest.fixture
def fake() -> FakePlastiq:
    """Return a fake whose clock stands still."""
    return FakePlastiq(clock=NOW.timestamp)


async def test_limit(fake: FakePlastiq) -> None:
    """A request too many in 60 seconds is a 429 that says how long to wait."""
    fake.limit_requests(2)
    assert (await post(fake)).status_code == 200
    fake.advance(20.5)
    assert (await post(fake)).status_code == 200
    refused = await post(fake)
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "40"
    assert refused.json()["message"] == "Too Many Requests"
    assert len(fake.secrets) == 2
    fake.advance(39.5)
    assert [(await post(fake)).status_code for _ in range(2)] == [200, 429]


async def test_no_limit(fake: FakePlastiq) -> None:
    """There is no limit by default, after None and after a reset."""
    assert {(await post(fake)).status_code for _ in range(201)} == {200}
    fake.limit_requests(1)
    fake.limit_requests(None)
    assert [(await post(fake)).status_code for _ in range(2)] == [200, 200]
    fake.limit_requests(1)
    fake.reset()
    assert [(await post(fake)).status_code for _ in range(2)] == [200, 200]


async def test_strangers_do_not_count(fake: FakePlastiq) -> None:
    """Requests with a wrong token are refused as such and not counted."""
    fake.limit_requests(1)
    async with client_for(fake, Authorization="Bearer wrong") as client:
        response: httpx.Response = await client.post("/client-secrets", json={})
    assert response.status_code == 401
    assert [(await post(fake)).status_code for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("per_minute", [0, -1])
def test_invalid_limit(per_minute: int, fake: FakePlastiq) -> None:
    """A limit of less than one is refused."""
    with pytest.raises(ValueError, match="per_minute must be at least 1"):
        fake.limit_requests(per_minute)
