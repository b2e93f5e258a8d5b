"""The access token on the wire, and the token provider."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Awaitable, Iterable
from functools import partial
from traceback import walk_tb
from types import TracebackType
from typing import Any
from uuid import uuid4

import anyio
import anyio.lowlevel
import httpx
import pytest

from plastiq_async import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    HookError,
    PlastiqSession,
)
from plastiq_async._auth import TokenProvider
from plastiq_async.testing import FakePlastiq
from tests.support.sessions import PAYER, TOKEN
from tests.support.timing import eventually


class Provider:
    """A provider that returns each token in turn, repeats the last, and counts."""

    def __init__(self, tokens: Iterable[object]) -> None:
        self.tokens = list(tokens)
        self.asked = 0

    async def __call__(self) -> Any:
        """Wait for all other calls to wait, then return or raise the next item."""
        self.asked += 1
        await anyio.wait_all_tasks_blocked()
        token = self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]
        if isinstance(token, BaseException):
            raise token
        return token


def session_for(fake: FakePlastiq, token: str | TokenProvider) -> PlastiqSession:
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
    with pytest.raises(HookError, match=r"token provider \w+ returned") as info:
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


async def errors_at_once(session: PlastiqSession, calls: int) -> list[Exception]:
    """Return the errors of many concurrent calls, in the order in which they end."""
    errors: list[Exception] = []

    async def call() -> None:
        try:
            await session.client_secrets.create(PAYER)
        except Exception as error:  # noqa: BLE001 -- any
            errors.append(error)

    async with anyio.create_task_group() as group:
        for _ in range(calls):
            group.start_soon(call)
    return errors


def length_of(traceback: TracebackType | None) -> int:
    """Return the number of frames in a traceback."""
    return len(list(walk_tb(traceback)))


@pytest.mark.parametrize("error", RAISED)
@pytest.mark.parametrize("position", [0, 1])
async def test_failure_is_that_of_all_who_wait(
    error: Exception, position: int, fake_plastiq: FakePlastiq
) -> None:
    """All who wait for a provider that fails get its exception; later ones ask anew."""
    provider = Provider([*["stale"] * position, error, fake_plastiq.access_token])
    session = session_for(fake_plastiq, provider)
    error.__traceback__ = None
    errors = await errors_at_once(session, 50)
    assert len(errors) == 50
    assert all(one is error for one in errors)
    assert provider.asked == 1 + position
    # The frames of the others are not in it.
    assert length_of(error.__traceback__) < 40
    await session.client_secrets.create(PAYER)
    assert provider.asked == 2 + position


async def test_broken_contract_is_that_of_all_who_wait(
    fake_plastiq: FakePlastiq,
) -> None:
    """A wrong token is an error for each who waits, which says which call it ended."""
    provider = Provider([None])
    session = session_for(fake_plastiq, provider)
    errors = await errors_at_once(session, 20)
    assert provider.asked == 1
    assert {type(error) for error in errors} == {HookError}
    trace_ids = {error.trace_id for error in errors if isinstance(error, HookError)}
    assert len(trace_ids) == 20


async def test_stale_token_is_that_of_all_who_wait(fake_plastiq: FakePlastiq) -> None:
    """If the provider has no other token, all who wait get the 401 response."""
    provider = Provider(["stale"])
    session = session_for(fake_plastiq, provider)
    errors = await errors_at_once(session, 20)
    assert [type(error) for error in errors] == [AuthenticationError] * 20
    assert provider.asked == 2
    assert tokens_of(fake_plastiq) == ["stale"] * 20


async def test_token_that_was_renewed_meanwhile(fake_plastiq: FakePlastiq) -> None:
    """After a 401, a call uses the token that another call has got since."""
    provider = Provider([fake_plastiq.access_token, "new", "newer"])
    entered, released = anyio.Event(), anyio.Event()

    class Slow(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            response = await fake_plastiq.transport.handle_async_request(request)
            if request.headers["Trace-Id"] == str(slow_id) and not entered.is_set():
                entered.set()
                await released.wait()
            return response

    slow_id = uuid4()
    session = PlastiqSession(provider, base_url=fake_plastiq.base_url, transport=Slow())
    await session.client_secrets.create(PAYER)
    fake_plastiq.rotate_token("new")
    async with anyio.create_task_group() as group:
        call = partial(session.client_secrets.create, PAYER, trace_id=slow_id)
        group.start_soon(call)
        await entered.wait()
        await session.client_secrets.create(PAYER)
        assert provider.asked == 2
        released.set()
    assert provider.asked == 2


@pytest.mark.parametrize("callers", [1, 3])
async def test_deadline_names_the_provider(
    callers: int, fake_plastiq: FakePlastiq
) -> None:
    """A deadline says that the token provider took too long, also to who waits."""

    async def provide() -> str:
        await anyio.sleep(60)
        return TOKEN

    session = session_for(fake_plastiq, provide).with_options(timeout=0.1)
    errors = await errors_at_once(session, callers)
    assert len(errors) == callers
    for error in errors:
        assert isinstance(error, APITimeoutError)
        assert "waiting for the token provider [POST" in str(error)


async def test_deadline_after_the_provider(fake_plastiq: FakePlastiq) -> None:
    """A deadline that passes after the provider's end does not blame it."""
    fake_plastiq.delay_next(60)
    session = session_for(fake_plastiq, Provider([fake_plastiq.access_token]))
    with pytest.raises(APITimeoutError) as info:
        await session.client_secrets.create(PAYER, timeout=0.2)
    assert "waiting" not in str(info.value)


def provide_at_once() -> str:
    """Return a token without being async."""
    return "a-token"


class AsyncObject:
    """An object with an async `__call__`."""

    async def __call__(self) -> str:
        """Return a token."""
        await anyio.lowlevel.checkpoint()
        return "a-token"


def provide_awaitable() -> Awaitable[str]:
    """Return an awaitable of a token."""
    return AsyncObject()()


PROVIDERS: list[TokenProvider] = [
    provide_at_once,
    partial(provide_at_once),
    lambda: "a-token",
    AsyncObject(),
    AsyncObject().__call__,
    partial(AsyncObject()),
    provide_awaitable,
]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_kinds_of_providers(
    provider: TokenProvider, fake_plastiq: FakePlastiq
) -> None:
    """A provider is any callable that returns a string, or an awaitable of one."""
    fake_plastiq.rotate_token("a-token")
    session = session_for(fake_plastiq, provider)
    await create_at_once(session, 3)
    assert tokens_of(fake_plastiq) == ["a-token"] * 3


async def forgets_await() -> Any:
    """Return a coroutine."""
    return AsyncObject()()


async def yields() -> Any:
    """Yield a token instead of returning it."""
    yield "s3cret"


@pytest.mark.parametrize(
    ("provider", "returned"),
    [
        (forgets_await, "token provider forgets_await returned a coroutine"),
        (yields, "token provider yields returned a async_generator"),
        (lambda: b"s3cret", r"token provider .*<lambda> returned a bytes"),
        (lambda: None, r"token provider .*<lambda> returned None"),
    ],
)
async def test_wrong_provider(
    provider: Any, returned: str, fake_plastiq: FakePlastiq
) -> None:
    """Anything else that a provider returns is an error that names it."""
    with pytest.raises(HookError, match=f"^{returned}, not a string") as info:
        await session_for(fake_plastiq, provider).client_secrets.create(PAYER)
    assert "s3cret" not in str(info.value)
    assert (info.value.next_step, info.value.outcome_unknown) == ("fix", False)
    assert fake_plastiq.requests == []


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("position", [0, 1])
async def test_provider_with_a_stray_cancellation(
    position: int, fake_plastiq: FakePlastiq
) -> None:
    """A provider that awaits something cancelled breaks its contract, for all."""
    asked = itertools.count()

    async def provide() -> str:
        await anyio.wait_all_tasks_blocked()
        if next(asked) == position:
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future
        return "stale"

    session = session_for(fake_plastiq, provide)
    errors = await errors_at_once(session, 10)
    for error in errors:
        assert isinstance(error, HookError)
        assert isinstance(error.__cause__, asyncio.CancelledError)
        assert "provide awaited something cancelled" in str(error)
    assert len(errors) == 10
