"""The rate limit of a session: its settings, and rate limiters of the user's."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import anyio
import pytest

from plastiq_async import (
    APIConnectionError,
    APITimeoutError,
    ConfigurationError,
    CreateClientSecret,
    Failed,
    HookError,
    PlastiqError,
    PlastiqSession,
    RateLimitError,
    Succeeded,
    bulk,
)
from plastiq_async.testing import FakePlastiq
from tests.support.documents import CONTENT
from tests.support.errors import error_of
from tests.support.internals import add_intent
from tests.support.payment_methods import make_card
from tests.support.sessions import TOKEN, fake_session

quickly = pytest.mark.usefixtures("quick_retries")


class Limiter:
    """A rate limiter that does as it is told, and knows what it was asked.

    Args:
        *waits: What `reserve` returns, raises or calls; 0 after the last one.
        told: What `throttled` returns or raises.
    """

    def __init__(self, *waits: Any, told: object = None) -> None:
        self.reserved = 0
        self.throttled_after: list[float | None] = []
        self._waits = iter(waits)
        self._told = told

    async def reserve(self) -> float:
        """Count the call, and do as told."""
        self.reserved += 1
        wait = next(self._waits, 0)
        if isinstance(wait, BaseException):
            raise wait
        return (await wait()) if callable(wait) else wait

    def throttled(self, retry_after: float | None) -> Any:
        """Note the argument, and do as told."""
        self.throttled_after.append(retry_after)
        if isinstance(self._told, BaseException):
            raise self._told
        return self._told() if callable(self._told) else self._told


def limited(
    fake: FakePlastiq, *waits: Any, told: object = None, **options: Any
) -> tuple[PlastiqSession, Limiter]:
    """Return a session with the fake and a rate limiter, and the limiter."""
    limiter = Limiter(*waits, told=told)
    return fake_session(fake, rate_limiter=limiter, **options), limiter


# --- settings ---


class WithoutReserve:
    """A rate limiter that lacks a method."""

    def throttled(self, retry_after: float | None) -> None:
        """Do nothing."""


class WithoutThrottled:
    """A rate limiter that lacks the other method."""

    throttled = None

    async def reserve(self) -> float:
        """Return 0."""
        return 0


@pytest.mark.parametrize("limit", [1, 0, -5, 2.5, True, "200", math.inf])
def test_bad_limit(limit: Any) -> None:
    """A limit is an integer of 2 or more."""
    with pytest.raises(
        ConfigurationError, match=r"^max_requests_per_minute must be an integer of 2"
    ):
        PlastiqSession(TOKEN, max_requests_per_minute=limit)


@pytest.mark.parametrize(
    "limiter", [WithoutReserve(), WithoutThrottled(), 200, Limiter().reserve]
)
def test_bad_limiter(limiter: Any) -> None:
    """A rate limiter has two methods."""
    with pytest.raises(
        ConfigurationError, match="rate_limiter must have the methods reserve and thro"
    ):
        PlastiqSession(TOKEN, rate_limiter=limiter)


def test_both() -> None:
    """A session has one rate limit."""
    with pytest.raises(ConfigurationError, match="cannot be used together"):
        PlastiqSession(TOKEN, max_requests_per_minute=200, rate_limiter=Limiter())


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_made_outside_of_an_event_loop(backend: str, fake_plastiq: FakePlastiq) -> None:
    """A session with a rate limit may be made before the event loop."""
    session = fake_session(fake_plastiq, max_requests_per_minute=3000)
    requests = [CreateClientSecret(payer_id=fake_plastiq.payer_id)] * 20

    async def create() -> int:
        async with session, session.client_secrets.create_many(requests) as outcomes:
            return len([one async for one in outcomes if isinstance(one, Succeeded)])

    assert anyio.run(create, backend=backend) == 20


# --- what a rate limiter is asked and told ---


@quickly
async def test_asked_for_each_attempt(fake_plastiq: FakePlastiq) -> None:
    """A rate limiter is asked before each attempt, and told of each 429."""
    session, limiter = limited(fake_plastiq)
    fake_plastiq.fail_next(429, retry_after=7)
    fake_plastiq.fail_next(429)
    fake_plastiq.fail_next(503, retry_after=5)
    view = session.with_options(max_retries=3)
    secret = await view.client_secrets.create(fake_plastiq.payer_id)
    assert secret.response.attempts == limiter.reserved == 4
    assert limiter.throttled_after == [7, None]


async def test_not_told_of_a_limit_of_a_payer(fake_plastiq: FakePlastiq) -> None:
    """A 429 about the cards of a payer is not about the number of requests."""
    session, limiter = limited(fake_plastiq)
    fake_plastiq.fail_next(429, retry_after=7)
    adding = session.payment_methods.create(fake_plastiq.payer_id, data=make_card())
    assert isinstance(await error_of(adding), RateLimitError)
    assert (limiter.reserved, limiter.throttled_after) == (1, [])


async def test_not_asked_for_uploads(fake_plastiq: FakePlastiq) -> None:
    """An upload does not go to the API, and takes no slot."""
    session, limiter = limited(fake_plastiq)
    place = await session.documents.create(
        fake_plastiq.payer_id,
        filename="invoice.pdf",
        payment_intent_id=add_intent(fake_plastiq),
    )
    await session.documents.upload(place, CONTENT)
    assert limiter.reserved == 1


async def test_wait(fake_plastiq: FakePlastiq) -> None:
    """An attempt begins after the wait that the rate limiter returned."""
    session, _ = limited(fake_plastiq, 0.2)
    started = anyio.current_time()
    secret = await session.client_secrets.create(fake_plastiq.payer_id)
    assert anyio.current_time() - started > 0.19
    assert secret.response.elapsed.total_seconds() > 0.19


async def test_wait_until_the_deadline(fake_plastiq: FakePlastiq) -> None:
    """The deadline cancels the rate limiter, and the error says what took the time."""
    session, limiter = limited(fake_plastiq, anyio.sleep_forever)
    call = session.client_secrets.create(fake_plastiq.payer_id, timeout=0.1)
    error = await error_of(call)
    assert isinstance(error, APITimeoutError)
    assert "0.1 s, waiting for the rate limit" in str(error)
    assert (error.attempts, limiter.reserved) == (0, 1)


@pytest.mark.parametrize("wait", [0, -0.01, -1e300])
async def test_no_wait(wait: float, fake_plastiq: FakePlastiq) -> None:
    """A slot that is in the past is one for now."""
    session, _ = limited(fake_plastiq, wait)
    await session.client_secrets.create(fake_plastiq.payer_id)


@pytest.mark.parametrize("wait", [30, 1e300])
async def test_wait_that_is_too_long(wait: float, fake_plastiq: FakePlastiq) -> None:
    """A wait that does not end before the deadline does not begin."""
    session, _ = limited(fake_plastiq, wait)
    with anyio.fail_after(10):
        error = await error_of(session.client_secrets.create(fake_plastiq.payer_id))
    assert isinstance(error, APITimeoutError)
    assert error.attempts == len(fake_plastiq.requests) == 0


# --- broken contracts ---


async def reserve_nothing() -> None:
    """Return None."""


@pytest.mark.parametrize(
    "wait", ["s3cr3t", None, True, False, math.nan, math.inf, 10**400]
)
async def test_wrong_wait(wait: object, fake_plastiq: FakePlastiq) -> None:
    """A rate limiter that returns no usable number is named by an error."""
    session, _ = limited(fake_plastiq, wait)
    error = await error_of(session.client_secrets.create(fake_plastiq.payer_id))
    assert isinstance(error, HookError)
    kind = "None" if wait is None else f"a {type(wait).__name__}"
    name = "rate limiter Limiter.reserve"
    assert error.args[0] == f"{name} returned {kind}, not a number of seconds"
    assert "s3cr3t" not in str(error)
    assert (error.attempts, error.next_step) == (0, "fix")
    assert error.path == "/client-secrets"
    assert fake_plastiq.requests == []


class SyncLimiter(Limiter):
    """A rate limiter that is not async."""

    def reserve(self) -> Any:
        """Return 0."""
        return 0


async def test_sync_reserve(fake_plastiq: FakePlastiq) -> None:
    """A rate limiter must be async."""
    session = fake_session(fake_plastiq, rate_limiter=SyncLimiter())
    error = await error_of(session.client_secrets.create(fake_plastiq.payer_id))
    assert isinstance(error, HookError)
    assert error.args[0].endswith(
        "SyncLimiter.reserve returned a int, not an awaitable"
    )


@quickly
async def test_wrong_wait_of_a_retry(fake_plastiq: FakePlastiq) -> None:
    """If it goes wrong before a retry, the error knows of the first attempt."""
    session, limiter = limited(fake_plastiq, 0, "s3cr3t")
    fake_plastiq.drop_next(after_processing=True)
    error = await error_of(session.client_secrets.create(fake_plastiq.payer_id))
    assert isinstance(error, HookError)
    assert (error.attempts, error.outcome_unknown) == (1, True)
    assert limiter.reserved == 2


@quickly
@pytest.mark.parametrize("told", [0, "s3cr3t", reserve_nothing])
async def test_wrong_result_of_throttled(
    told: object, fake_plastiq: FakePlastiq
) -> None:
    """`throttled` returns nothing, and is not async."""
    session, _ = limited(fake_plastiq, told=told)
    fake_plastiq.fail_next(429)
    error = await error_of(session.client_secrets.create(fake_plastiq.payer_id))
    assert isinstance(error, HookError)
    assert error.args[0].startswith("rate limiter Limiter.throttled returned a ")
    assert "s3cr3t" not in str(error)
    assert (error.attempts, error.next_step) == (1, "fix")
    assert isinstance(error.__context__, RateLimitError)


RAISED = [
    ValueError("mine"),
    TimeoutError("mine"),
    PlastiqError("mine"),
    APIConnectionError("mine"),
    RateLimitError("mine", 429),
]


@quickly
@pytest.mark.parametrize("raised", RAISED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("when", ["first", "retry", "throttled"])
async def test_raised(raised: Exception, when: str, fake_plastiq: FakePlastiq) -> None:
    """What a rate limiter raises reaches the caller, and is not retried.

    An error of this library says which call it ended.
    """
    if when == "throttled":
        session, limiter = limited(fake_plastiq, told=raised)
    else:
        waits = [raised] if when == "first" else [0, raised]
        session, limiter = limited(fake_plastiq, *waits)
    if when != "first":
        fake_plastiq.fail_next(429)
    sent = 0 if when == "first" else 1
    with pytest.raises(type(raised)) as info:
        await session.client_secrets.create(fake_plastiq.payer_id)
    assert info.value is raised
    if isinstance(raised, PlastiqError):
        assert (raised.path, raised.attempts) == ("/client-secrets", sent)
    else:
        assert vars(raised) == {}
    assert len(fake_plastiq.requests) == sent
    assert limiter.reserved == (2 if when == "retry" else 1)


async def await_cancelled() -> float:
    """Await a future that somebody cancelled."""
    future: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    future.cancel()
    return await future


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_stray_cancellation(fake_plastiq: FakePlastiq) -> None:
    """A rate limiter that awaits something cancelled does not cancel the caller."""
    session, _ = limited(fake_plastiq, await_cancelled)
    error = await error_of(session.client_secrets.create(fake_plastiq.payer_id))
    assert isinstance(error, HookError)
    assert "rate limiter Limiter.reserve awaited something cancelled" in str(error)
    assert isinstance(error.__cause__, asyncio.CancelledError)


async def test_no_deadline_in_bulk(fake_plastiq: FakePlastiq) -> None:
    """In bulk, a rate limiter has all the time it needs, and the user's time limit."""
    gate = anyio.Event()

    async def wait_for_gate() -> float:
        await gate.wait()
        return 0

    session, limiter = limited(fake_plastiq, wait_for_gate, timeout=0.1)
    async with bulk(session.payers.retrieve, [fake_plastiq.payer_id]) as outcomes:
        with anyio.move_on_after(0.3) as scope:
            await anext(outcomes)
        assert scope.cancelled_caught
        gate.set()
        outcome = await anext(outcomes)
    assert isinstance(outcome, Succeeded)
    assert limiter.reserved == 1


@pytest.mark.parametrize("wait", ["s3cr3t", ValueError("mine")])
async def test_bulk(wait: object, fake_plastiq: FakePlastiq) -> None:
    """A rate limiter that goes wrong fails one request of `create_many`."""
    session, limiter = limited(fake_plastiq, 0, wait)
    requests = [CreateClientSecret(payer_id=fake_plastiq.payer_id)] * 4
    async with session.client_secrets.create_many(requests) as outcomes:
        results = [outcome async for outcome in outcomes]
    failures = [one.error for one in results if isinstance(one, Failed)]
    kind = HookError if isinstance(wait, str) else ValueError
    assert [type(error) for error in failures] == [kind]
    assert sum(isinstance(one, Succeeded) for one in results) == 3
    assert limiter.reserved == 4
