"""Retries: which attempts are retried, and what is visible outside."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import anyio
import pytest
import stamina

from plastiq_async import (
    APIConnectionError,
    APIStatusError,
    InternalServerError,
    PlastiqSession,
    RateLimitError,
    ServiceUnavailableError,
    trace_context,
)
from plastiq_async.testing import FakePlastiq
from tests.support.sessions import PAYER, fake_session, session_for
from tests.support.socket_server import Server
from tests.support.steps import answer, drop, reset


@pytest.fixture
def session(fake_plastiq: FakePlastiq) -> PlastiqSession:
    """Return a session with the fake; it needs no closing."""
    return fake_session(fake_plastiq)


@pytest.fixture
def no_retries() -> Iterator[None]:
    """Switch retries off, as an application may."""
    stamina.set_active(False)
    yield
    stamina.set_active(True)


def trace_ids(fake: FakePlastiq) -> list[UUID]:
    """Return the trace IDs of the requests that arrived."""
    return [request.trace_id for request in fake.requests]


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("shape", ["errors", "html", "empty"])
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_retried_status(
    status: int, shape: str, session: PlastiqSession, fake_plastiq: FakePlastiq
) -> None:
    """A transient error is retried with the same trace ID."""
    fake_plastiq.fail_next(status, times=2, shape=shape)  # type: ignore[arg-type]
    secret = await session.client_secrets.create(PAYER)
    assert secret.response.attempts == 3
    assert trace_ids(fake_plastiq) == [secret.trace_id] * 3


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 501, 505])
async def test_final_status(
    status: int, session: PlastiqSession, fake_plastiq: FakePlastiq
) -> None:
    """An error that is not transient is raised at once."""
    fake_plastiq.fail_next(status)
    with pytest.raises(APIStatusError) as info:
        await session.client_secrets.create(PAYER)
    assert info.value.status_code == status
    assert info.value.attempts == 1
    assert (info.value.method, info.value.path) == ("POST", "/client-secrets")
    assert [info.value.trace_id] == trace_ids(fake_plastiq)
    assert not info.value.outcome_unknown


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("step", [drop, reset])
async def test_lost_connection(step: object) -> None:
    """After a broken connection, the request is sent again on a new one."""
    with Server(step, step, answer()) as server:  # type: ignore[arg-type]
        async with session_for(server) as session:
            secret = await session.client_secrets.create(PAYER)
    assert secret.response.attempts == 3
    traces = [request.header("Trace-Id") for request in server.requests]
    assert traces == [str(secret.trace_id)] * 3
    assert len(server.connections) == 3


@pytest.mark.usefixtures("quick_retries")
async def test_refused_connection(
    session: PlastiqSession, fake_plastiq: FakePlastiq
) -> None:
    """If the connection is refused, the outcome of the call is known."""
    fake_plastiq.refuse_next(times=3)
    with pytest.raises(APIConnectionError) as info:
        await session.client_secrets.create(PAYER)
    assert info.value.attempts == 3
    assert not info.value.outcome_unknown


@pytest.mark.usefixtures("quick_retries")
async def test_outcome_of_any_attempt(
    session: PlastiqSession, fake_plastiq: FakePlastiq
) -> None:
    """One attempt without a response makes the outcome unknown."""
    fake_plastiq.drop_next(after_processing=True)
    fake_plastiq.fail_next(403)
    with pytest.raises(APIStatusError) as info:
        await session.client_secrets.create(PAYER)
    assert info.value.attempts == 2
    assert info.value.outcome_unknown


@pytest.mark.usefixtures("quick_retries")
async def test_attempts_used_up(
    session: PlastiqSession, fake_plastiq: FakePlastiq
) -> None:
    """After the last retry, the last error is raised."""
    fake_plastiq.fail_next(500)
    fake_plastiq.fail_next(503, times=5)
    with trace_context() as trace_id, pytest.raises(ServiceUnavailableError) as info:
        await session.client_secrets.create(PAYER)
    assert info.value.attempts == 3
    assert info.value.trace_id == trace_id
    assert trace_ids(fake_plastiq) == [trace_id] * 3


@pytest.mark.usefixtures("quick_retries")
async def test_max_retries(session: PlastiqSession, fake_plastiq: FakePlastiq) -> None:
    """The number of retries is the session's or the view's."""
    fake_plastiq.fail_next(500, times=10)
    for retries in (0, 1, 4):
        view = session.with_options(max_retries=retries)
        with pytest.raises(InternalServerError) as info:
            await view.client_secrets.create(PAYER)
        assert info.value.attempts == retries + 1


@pytest.mark.usefixtures("no_retries")
async def test_switched_off(session: PlastiqSession, fake_plastiq: FakePlastiq) -> None:
    """`stamina.set_active(False)` in an application disables retries."""
    fake_plastiq.fail_next(503)
    with pytest.raises(ServiceUnavailableError) as info:
        await session.client_secrets.create(PAYER)
    assert info.value.attempts == 1


async def test_capped_in_tests(
    session: PlastiqSession, fake_plastiq: FakePlastiq
) -> None:
    """`stamina.set_testing` caps the attempts and removes waits, even Retry-After."""
    fake_plastiq.fail_next(503, times=2, retry_after=20)
    with (
        stamina.set_testing(True, attempts=2, cap=True),
        pytest.raises(ServiceUnavailableError) as info,
        anyio.fail_after(10),
    ):
        await session.client_secrets.create(PAYER)
    assert info.value.attempts == 2


@pytest.mark.usefixtures("no_jitter")
async def test_retry_after(session: PlastiqSession, fake_plastiq: FakePlastiq) -> None:
    """The wait before a retry follows Retry-After."""
    fake_plastiq.fail_next(429, retry_after=0.2)
    started = datetime.now(UTC)
    secret = await session.client_secrets.create(PAYER)
    # The secret's lifetime does not start before the successful attempt.
    assert (secret.issued_at - started).total_seconds() > 0.19
    assert secret.response.attempts == 2
    assert secret.response.elapsed.total_seconds() > 0.19
    assert secret.issued_at <= fake_plastiq.secrets[secret.client_secret].issued_at


@pytest.mark.parametrize(("retry_after", "timeout"), [(61, 300), (30, 20)])
async def test_wait_that_is_too_long(
    retry_after: int,
    timeout: float,
    session: PlastiqSession,
    fake_plastiq: FakePlastiq,
) -> None:
    """If Retry-After exceeds a minute or the deadline, the error is raised at once."""
    fake_plastiq.fail_next(429, retry_after=retry_after)
    with pytest.raises(RateLimitError) as info, anyio.fail_after(10):
        await session.client_secrets.create(PAYER, timeout=timeout)
    assert info.value.attempts == 1
    assert info.value.retry_after == retry_after
