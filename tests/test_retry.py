"""When an attempt is made again, and what of it is seen outside."""

from __future__ import annotations

import random
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
from tests.helpers import PAYER, eventually, session_for
from tests.servers import Server
from tests.steps import answer, drop, reset


@pytest.fixture
def session(fake_plastiq: FakePlastiq) -> PlastiqSession:
    """Return a session with the fake; it holds nothing that must be closed."""
    return PlastiqSession(
        fake_plastiq.access_token,
        base_url=fake_plastiq.base_url,
        transport=fake_plastiq.transport,
    )


@pytest.fixture
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each wait be as short as may be."""
    monkeypatch.setattr(random, "uniform", lambda low, _: low)


@pytest.fixture
def no_retries() -> Iterator[None]:
    """Switch retries off as an application may."""
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
    """What may pass is tried again, under the same trace ID."""
    fake_plastiq.fail_next(status, times=2, shape=shape)  # type: ignore[arg-type]
    secret = await session.client_secrets.create(PAYER)
    assert secret.response.attempts == 3
    assert trace_ids(fake_plastiq) == [secret.trace_id] * 3


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 501, 505])
async def test_final_status(
    status: int, session: PlastiqSession, fake_plastiq: FakePlastiq
) -> None:
    """What will not pass is raised at once."""
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
    """A connection that breaks is replaced, and the request sent again."""
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
    """Where nothing can have arrived, the outcome of the call is known."""
    fake_plastiq.refuse_next(times=3)
    with pytest.raises(APIConnectionError) as info:
        await session.client_secrets.create(PAYER)
    assert info.value.attempts == 3
    assert not info.value.outcome_unknown


@pytest.mark.usefixtures("quick_retries")
async def test_outcome_of_any_attempt(
    session: PlastiqSession, fake_plastiq: FakePlastiq
) -> None:
    """One attempt without an answer is enough for the outcome to be unknown."""
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
    """After the last retry the last error is raised."""
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
    """`stamina.set_active(False)` in an application means: no retries."""
    fake_plastiq.fail_next(503)
    with pytest.raises(ServiceUnavailableError) as info:
        await session.client_secrets.create(PAYER)
    assert info.value.attempts == 1


async def test_capped_in_tests(
    session: PlastiqSession, fake_plastiq: FakePlastiq
) -> None:
    """`stamina.set_testing` caps attempts and takes away even a server's wait."""
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
    """The wait that the server asks for is kept."""
    fake_plastiq.fail_next(429, retry_after=0.2)
    started = datetime.now(UTC)
    secret = await session.client_secrets.create(PAYER)
    # The secret's time does not begin before the attempt that was answered.
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
    """Over a minute, or over the deadline: the error is raised without waiting."""
    fake_plastiq.fail_next(429, retry_after=retry_after)
    with pytest.raises(RateLimitError) as info, anyio.fail_after(10):
        await session.client_secrets.create(PAYER, timeout=timeout)
    assert info.value.attempts == 1
    assert info.value.retry_after == retry_after


@pytest.mark.usefixtures("no_jitter")
async def test_permit_during_the_wait() -> None:
    """A call that waits to retry keeps its permit: an outage is met with patience."""
    with Server(answer(503, headers=[("Retry-After", "0.2")]), answer()) as server:
        async with (
            session_for(server, max_connections=1) as session,
            anyio.create_task_group() as group,
        ):
            group.start_soon(session.client_secrets.create, PAYER)
            await eventually(lambda: server.requests)
            group.start_soon(session.client_secrets.create, PAYER)
    first, second, third = (r.header("Trace-Id") for r in server.requests)
    assert first == second != third
