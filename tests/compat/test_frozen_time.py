"""freezegun and time-machine: an application's clock that stands still, or jumps."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import freezegun
import httpx
import pytest
import time_machine

from plastiq_async import APITimeoutError
from plastiq_async.middleware import Handler
from plastiq_async.testing import FakePlastiq
from tests.support.sessions import PAYER, fake_session, session_for
from tests.support.socket_server import Server
from tests.support.steps import answer, ignore
from tests.support.wirings import WIRINGS

THEN = datetime(1985, 10, 26, 8, 15, tzinfo=UTC)
LATER = datetime(2085, 10, 26, 8, 15, tzinfo=UTC)
SANE = timedelta(seconds=30)

both_transports = pytest.mark.parametrize(
    ("anyio_backend", "transport"), WIRINGS, indirect=["anyio_backend"]
)

Freeze = Callable[[datetime], AbstractContextManager[object]]


def freeze_with_freezegun(moment: datetime) -> AbstractContextManager[object]:
    """Stop all clocks but those of the event loops, which would hang."""
    return freezegun.freeze_time(moment, real_asyncio=True, ignore=["trio"])


def freeze_with_time_machine(moment: datetime) -> AbstractContextManager[object]:
    """Stop the wall clock."""
    return time_machine.travel(moment, tick=False)


@pytest.fixture(params=[freeze_with_freezegun, freeze_with_time_machine])
def freeze(request: pytest.FixtureRequest) -> Freeze:
    """Return the tool."""
    chosen: Freeze = request.param
    return chosen


def check_elapsed(elapsed: timedelta) -> None:
    """Check that a duration is one that a call can have."""
    assert timedelta() <= elapsed < SANE


async def test_frozen(freeze: Freeze, fake_plastiq: FakePlastiq) -> None:
    """The times of a secret are the application's; it expires by the same clock."""
    with freeze(THEN):
        secret = await fake_session(fake_plastiq).client_secrets.create(PAYER)
        assert secret.issued_at == THEN
        assert secret.expires_at == THEN + timedelta(seconds=60)
        assert not secret.is_expired()
    check_elapsed(secret.response.elapsed)
    with freeze(THEN + timedelta(seconds=60)):
        assert secret.is_expired()


@pytest.mark.parametrize("moment", [THEN, LATER])
async def test_jump_in_a_call(
    moment: datetime, freeze: Freeze, fake_plastiq: FakePlastiq
) -> None:
    """A clock that jumps while a call is in flight does not change its duration."""
    with ExitStack() as stack:

        async def jump(request: httpx.Request, call_next: Handler) -> httpx.Response:
            stack.enter_context(freeze(moment))
            return await call_next(request)

        session = fake_session(fake_plastiq, middleware=[jump])
        secret = await session.client_secrets.create(PAYER)
        check_elapsed(secret.response.elapsed)


async def test_jump_back_in_a_call(freeze: Freeze, fake_plastiq: FakePlastiq) -> None:
    """The same holds for a call that began while the clock stood still."""
    with ExitStack() as stack:

        async def jump(request: httpx.Request, call_next: Handler) -> httpx.Response:
            stack.close()
            return await call_next(request)

        stack.enter_context(freeze(THEN))
        session = fake_session(fake_plastiq, middleware=[jump])
        secret = await session.client_secrets.create(PAYER)
        check_elapsed(secret.response.elapsed)


@both_transports
async def test_deadline(transport: Any, freeze: Freeze) -> None:
    """The deadline of a call passes although the clock stands still."""
    with Server(ignore) as server:
        async with session_for(server, transport=transport) as session:
            with freeze(THEN), pytest.raises(APITimeoutError):
                await session.client_secrets.create(PAYER, timeout=0.2)


@both_transports
async def test_retries(transport: Any, freeze: Freeze) -> None:
    """A retry waits its back-off although the clock stands still."""
    wait = answer(503, headers=[("Retry-After", "1")])
    with Server(wait, answer()) as server:
        async with session_for(server, transport=transport) as session:
            with freeze(THEN):
                secret = await session.client_secrets.create(PAYER)
    assert secret.response.attempts == 2
    check_elapsed(secret.response.elapsed)


@both_transports
async def test_connections_are_kept(transport: Any, freeze: Freeze) -> None:
    """Calls before, during and after the time that stands still all succeed."""
    with Server(answer()) as server:
        async with session_for(server, transport=transport) as session:
            await session.client_secrets.create(PAYER)
            for moment in (THEN, LATER):
                with freeze(moment):
                    await session.client_secrets.create(PAYER)
            await session.client_secrets.create(PAYER)
    assert len(server.requests) == 4
