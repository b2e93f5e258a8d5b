"""The access token on the wire, and the token provider."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from plastiq_async import (
    APIConnectionError,
    AuthenticationError,
    ConfigurationError,
    PlastiqSession,
)
from plastiq_async.testing import FakePlastiq
from tests.support.sessions import PAYER
from tests.support.timing import eventually


class Provider:
    """A provider that returns each token in turn, repeats the last, and counts."""

    def __init__(self, tokens: Iterable[object]) -> None:
        self.tokens = list(tokens)
        self.asked = 0

    async def __call__(self) -> Any:
        """Wait a moment, then return or raise the next item."""
        self.asked += 1
        await anyio.sleep(0.01)
        token = self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]
        if isinstance(token, BaseException):
            raise token
        return token


def session_for(
    fake: FakePlastiq, token: str | Callable[[], Awaitable[str]]
) -> PlastiqSession:
    """Return a session with the fake; it needs no closing."""
    return PlastiqSession(token, base_url=fake.base_url, transport=fake.transport)


def tokens_of(fake: FakePlastiq) -> list[str]:
    """Return the tokens that arrived at the server."""
    headers = [request.headers["authorization"] for request in fake.requests]
    return [header.removeprefix("Bearer ") for header in headers]


async def create_at_once(session: PlastiqSession, calls: int) -> None:
    """Make many calls concurrently."""
    async with anyio.create_task_group() as group:
        for _ in range(calls):
            group.start_soon(session.client_secrets.create, PAYER)


async def test_fixed_token(fake_plastiq: FakePlastiq) -> None:
    """A fixed token is sent unchanged, and a 401 response to it is final."""
    session = session_for(fake_plastiq, fake_plastiq.access_token)
    await session.client_secrets.create(PAYER)
    old, _ = fake_plastiq.access_token, fake_plastiq.rotate_token()
    with pytest.raises(AuthenticationError) as info:
        await session.client_secrets.create(PAYER)
    assert info.value.attempts == 1
    assert tokens_of(fake_plastiq) == [old, old]


async def test_provider_is_asked_once(fake_plastiq: FakePlastiq) -> None:
    """One of many concurrent first calls asks the provider; the others wait."""
    provider = Provider([fake_plastiq.access_token])
    session = session_for(fake_plastiq, provider)
    await create_at_once(session, 20)
    await session.client_secrets.create(PAYER)
    assert provider.asked == 1
    assert tokens_of(fake_plastiq) == [fake_plastiq.access_token] * 21


async def test_provider_is_asked_again_after_a_401(fake_plastiq: FakePlastiq) -> None:
    """After key rotation, one call asks for the new token on behalf of all calls."""
    old = fake_plastiq.access_token
    provider = Provider([old, "new-token"])
    session = session_for(fake_plastiq, provider)
    await session.client_secrets.create(PAYER)
    fake_plastiq.rotate_token("new-token")
    await create_at_once(session, 20)
    assert provider.asked == 2
    assert tokens_of(fake_plastiq).count("new-token") == 20
    assert len(fake_plastiq.secrets) == 21


async def test_new_token_within_one_attempt(fake_plastiq: FakePlastiq) -> None:
    """A request that is repeated with a new token does not count as a retry."""
    provider = Provider(["stale", fake_plastiq.access_token])
    session = session_for(fake_plastiq, provider).with_options(max_retries=0)
    secret = await session.client_secrets.create(PAYER)
    assert secret.response.attempts == 1
    first, second = fake_plastiq.requests
    assert first.trace_id == second.trace_id
    assert first.body == second.body


async def test_same_token_again(fake_plastiq: FakePlastiq) -> None:
    """If the provider returns the same token again, the call fails after one 401."""
    provider = Provider(["stale"])
    session = session_for(fake_plastiq, provider)
    with pytest.raises(AuthenticationError):
        await session.client_secrets.create(PAYER)
    assert provider.asked == 2
    assert tokens_of(fake_plastiq) == ["stale"]


async def test_new_token_is_refused_as_well(fake_plastiq: FakePlastiq) -> None:
    """A second 401 is final for the call."""
    provider = Provider(["stale", "stale too", fake_plastiq.access_token])
    provider.tokens[1] = "stale-too"
    session = session_for(fake_plastiq, provider)
    with pytest.raises(AuthenticationError):
        await session.client_secrets.create(PAYER)
    assert tokens_of(fake_plastiq) == ["stale", "stale-too"]
    await session.client_secrets.create(PAYER)
    assert provider.asked == 3


@pytest.mark.parametrize(
    "token", ["", " ", "s3cret\n", "s3cret s3cret", "s3crét", b"s3cret", None, 3]
)
@pytest.mark.parametrize("position", [0, 1])
async def test_malformed_token(
    token: object, position: int, fake_plastiq: FakePlastiq
) -> None:
    """A malformed token is rejected; the error names its origin but not its value."""
    provider = Provider(["stale"] * position + [token])
    session = session_for(fake_plastiq, provider)
    with pytest.raises(ConfigurationError, match="provider returned") as info:
        await session.client_secrets.create(PAYER)
    assert "s3c" not in str(info.value)
    assert len(fake_plastiq.requests) == position


RAISED = [
    ValueError("no vault"),
    httpx.ConnectError("no vault"),
    OSError("no vault"),
    APIConnectionError("another session's"),
]


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("error", RAISED)
@pytest.mark.parametrize("position", [0, 1])
async def test_provider_that_raises(
    error: Exception, position: int, fake_plastiq: FakePlastiq
) -> None:
    """A provider's exception reaches the caller unchanged; the next call asks again."""
    provider = Provider(["stale"] * position + [error, fake_plastiq.access_token])
    session = session_for(fake_plastiq, provider)
    with pytest.raises(type(error)) as info:
        await session.client_secrets.create(PAYER)
    assert info.value is error
    assert str(error) in {"no vault", "another session's"}
    assert provider.asked == position + 1
    await session.client_secrets.create(PAYER)
    assert provider.asked == position + 2


async def test_caller_that_asks_is_cancelled(fake_plastiq: FakePlastiq) -> None:
    """If the call that asks the provider is cancelled, a waiting call takes over."""
    asked = 0

    async def provide() -> str:
        nonlocal asked
        asked += 1
        await anyio.sleep(math.inf if asked == 1 else 0)
        return fake_plastiq.access_token

    session = session_for(fake_plastiq, provide)
    async with anyio.create_task_group() as group:
        scope = anyio.CancelScope()

        async def give_up() -> None:
            with scope:
                await session.client_secrets.create(PAYER)

        group.start_soon(give_up)
        await eventually(lambda: asked)
        group.start_soon(session.client_secrets.create, PAYER)
        await anyio.lowlevel.checkpoint()
        scope.cancel()
    assert scope.cancelled_caught
    assert asked == 2
    assert len(fake_plastiq.secrets) == 1
