"""Every error of a payment has its idempotency key, and says what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from plastiq_async import (
    APITimeoutError,
    HookError,
    InvalidArgumentError,
    PlastiqError,
    PlastiqSession,
    SessionStateError,
)
from plastiq_async.middleware import Handler
from plastiq_async.testing import FakePlastiq
from tests.support.errors import error_of
from tests.support.sessions import fake_session

KEY = uuid4()


@pytest.fixture
def fake() -> FakePlastiq:
    """Return a fake."""
    return FakePlastiq()


@pytest.fixture
async def session(fake: FakePlastiq) -> AsyncIterator[PlastiqSession]:
    """Return a session with the fake."""
    async with fake_session(fake) as session:
        yield session


async def add_bad_header(request: httpx.Request, call_next: Handler) -> httpx.Response:
    """Set a header that cannot be sent."""
    request.headers["X-Tenant"] = "a\nb"
    return await call_next(request)


async def return_nothing(request: httpx.Request, call_next: Handler) -> Any:
    """Return no response."""


def pay(session: PlastiqSession, payer_id: UUID, **options: Any) -> Awaitable[Any]:
    """Pay some payment intent."""
    return session.payments.create(uuid4(), payer_id, idempotency_key=KEY, **options)


@pytest.mark.parametrize(
    "options", [{"timeout": 0}, {"trace_id": "x"}, {"end_user": "Ada"}]
)
async def test_invalid_option(
    options: dict[str, Any], fake: FakePlastiq, session: PlastiqSession
) -> None:
    """An option that is not valid is to be fixed, and leaves the key usable."""
    error = await error_of(pay(session, fake.payer_id, **options))
    assert isinstance(error, InvalidArgumentError)
    assert_unsent(error, "fix", fake)


async def test_closed_session(fake: FakePlastiq) -> None:
    """A payment of a closed session is to be made in another one, with its key."""
    async with fake_session(fake) as session:
        pass
    error = await error_of(pay(session, fake.payer_id))
    assert isinstance(error, SessionStateError)
    assert_unsent(error, "same_key", fake)


async def test_generated_key_of_a_closed_session(fake: FakePlastiq) -> None:
    """A key that the call made is on its error, too."""
    async with fake_session(fake) as session:
        pass
    error = await error_of(session.payments.create(uuid4(), fake.payer_id))
    assert error.idempotency_key


@pytest.mark.parametrize(
    ("middleware", "expected"),
    [(add_bad_header, InvalidArgumentError), (return_nothing, HookError)],
)
async def test_middleware(
    middleware: Callable[..., Any], expected: type[PlastiqError], fake: FakePlastiq
) -> None:
    """What middleware does wrong is to be fixed, and leaves the key usable."""
    async with fake_session(fake, middleware=[middleware]) as session:
        error = await error_of(pay(session, fake.payer_id))
    assert isinstance(error, expected)
    assert (error.method, error.path) == ("POST", "/payments")
    assert_unsent(error, "fix", fake)


async def test_no_time(fake: FakePlastiq, session: PlastiqSession) -> None:
    """A payment whose deadline passed before it was sent can be made with its key."""
    error = await error_of(pay(session, fake.payer_id, timeout=1e-9))
    assert isinstance(error, APITimeoutError)
    assert_unsent(error, "same_key", fake)


@pytest.mark.parametrize("argument", ["payment_intent_id", "payer_id"])
async def test_invalid_id(
    argument: str, fake: FakePlastiq, session: PlastiqSession
) -> None:
    """An ID that is not valid is to be fixed."""
    arguments: dict[str, Any] = {"payment_intent_id": uuid4(), "payer_id": uuid4()}
    arguments[argument] = "x"
    error = await error_of(session.payments.create(**arguments))
    assert (error.next_step, error.outcome_unknown) == ("fix", False)
    assert fake.requests == []


def assert_unsent(error: PlastiqError, step: str, fake: FakePlastiq) -> None:
    """Check that `error` says what to do with the key, and that nothing was sent."""
    assert (error.next_step, error.outcome_unknown) == (step, False)
    assert error.idempotency_key == KEY
    assert fake.requests == []
