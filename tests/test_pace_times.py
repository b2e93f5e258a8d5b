"""When attempts begin, with and without a rate limit, by a clock that needs no time."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest
import stamina
import trio
import trio.testing

from plastiq_async import (
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    CallRecord,
    ConflictError,
    CreateClientSecret,
    PlastiqSession,
    RateLimitError,
    ServiceUnavailableError,
    SessionStateError,
    Succeeded,
    bulk,
)
from plastiq_async.testing import FakePlastiq
from tests.support.payment_methods import make_card
from tests.support.sessions import PAYER, TOKEN, fake_session

BURST_OF_ONE = 10  # a minute: then one in 6.1 seconds
SLOTS = [round(6.1 * index) for index in range(9)]
ROUND_TRIP = 0.125  # seconds
SECRET = {"clientSecret": "XYZ"}


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Use a clock that jumps to the next timer as soon as all tasks wait."""
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


class Recorder(httpx.AsyncBaseTransport):
    """A transport that notes when requests come, and returns responses in order.

    Each takes a moment, so that several requests can be in flight.

    Args:
        *statuses: The status codes of the first responses; the rest are 200.
        retry_after: The seconds to wait that the errors ask for.
        replayed: Whether the errors are replayed.
    """

    def __init__(
        self, *statuses: int, retry_after: int | None = None, replayed: bool = False
    ) -> None:
        self.times: list[float] = []
        self._statuses = iter(statuses)
        self._headers = {"Idempotent-Replay": "true"} if replayed else {}
        if retry_after is not None:
            self._headers["Retry-After"] = str(retry_after)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Note the time, and return the next response."""
        self.times.append(anyio.current_time())
        status = next(self._statuses, 200)
        headers = {"Trace-Id": request.headers["Trace-Id"]}
        if status >= 400:
            headers |= self._headers
        await anyio.sleep(ROUND_TRIP)
        return httpx.Response(status, headers=headers, json=SECRET)

    def session(self, **options: Any) -> PlastiqSession:
        """Return a session with this transport; it need not be closed."""
        return PlastiqSession(TOKEN, transport=self, **options)

    def seconds(self) -> list[int]:
        """Return the times since the first request, to the nearest second."""
        return [round(time - self.times[0]) for time in self.times]


async def create_together(session: PlastiqSession, number: int) -> list[Exception]:
    """Make so many calls at once, and return the errors."""
    errors: list[Exception] = []

    async def create() -> None:
        try:
            await session.client_secrets.create(PAYER)
        except (APITimeoutError, RateLimitError) as error:
            errors.append(error)

    async with anyio.create_task_group() as group:
        for _ in range(number):
            group.start_soon(create)
    return errors


# --- the rate limit ---


@pytest.mark.parametrize(("limit", "refused"), [(200, False), (None, True)])
async def test_limit_of_the_api(limit: int | None, refused: bool) -> None:
    """At the limit of the API, none of many requests is refused; without it, some are.

    The API's limit is that of the fake, by the clock of the event loop.
    """
    fake = FakePlastiq(clock=trio.current_time)
    fake.limit_requests(200)
    requests = [CreateClientSecret(payer_id=fake.add_payer()) for _ in range(700)]
    session = fake_session(fake, max_requests_per_minute=limit, timeout=5)
    started = trio.current_time()
    async with session.client_secrets.create_many(requests) as outcomes:
        results = [outcome async for outcome in outcomes]
    assert any(not isinstance(one, Succeeded) for one in results) is refused
    if not refused:
        assert len(fake.requests) == len(fake.secrets) == 700
        # Ten at once, and then 191 in 61 seconds.
        assert trio.current_time() - started == pytest.approx(690 * 61 / 191, abs=1)


async def test_slow_first_connections() -> None:
    """No minute of the API has too many requests if the first ones take longer."""
    arrivals: list[float] = []

    async def respond(request: httpx.Request) -> httpx.Response:
        # As long as it takes to make a connection.
        await anyio.sleep(0.9 if len(arrivals) < 10 else 0.03)
        arrivals.append(anyio.current_time())
        headers = {"Trace-Id": request.headers["Trace-Id"]}
        return httpx.Response(200, headers=headers, json=SECRET)

    session = PlastiqSession(
        TOKEN, transport=httpx.MockTransport(respond), max_requests_per_minute=200
    )
    async with bulk(session.client_secrets.create, [PAYER] * 450) as outcomes:
        errors = [outcome.error async for outcome in outcomes]
    assert errors == [None] * 450
    assert all(
        later - earlier > 60
        for earlier, later in zip(arrivals, arrivals[200:], strict=False)
    )


async def test_retries_are_paced() -> None:
    """A retry waits for its slot like a first attempt."""
    recorder = Recorder(503, 503)
    session = recorder.session(max_requests_per_minute=BURST_OF_ONE)
    secret = await session.client_secrets.create(PAYER)
    assert secret.response.attempts == 3
    assert recorder.seconds() == SLOTS[:3]


async def test_polls_are_paced() -> None:
    """So does a request that asks for the result of an earlier one."""
    recorder = Recorder(409, 409)
    session = recorder.session(max_requests_per_minute=BURST_OF_ONE)
    body = {"a": 1}
    key = "8f51c396-6e29-49a6-ba5a-1a31d5420158"
    await session.request("POST", "/x", body=body, idempotency_key=key)
    assert recorder.seconds() == SLOTS[:3]


async def test_views_share_the_pace() -> None:
    """A view has the rate limit of its session."""
    recorder = Recorder()
    session = recorder.session(max_requests_per_minute=BURST_OF_ONE)
    for one in (session, session.with_options(timeout=20), session):
        await one.client_secrets.create(PAYER)
    assert recorder.seconds() == SLOTS[:3]


async def test_no_permit_while_waiting() -> None:
    """A call that waits for its slot holds no permit."""
    recorder = Recorder()
    session = recorder.session(
        max_requests_per_minute=BURST_OF_ONE, max_connections=1, timeout=20
    )
    held = []

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(session.client_secrets.create, PAYER)
        await anyio.sleep(1)
        held.append(session._pipeline.ownership.ensure_permits().value)
    assert held == [1]
    assert recorder.seconds() == SLOTS[:3]


async def test_too_late() -> None:
    """A call whose turn comes after its deadline ends at once, and takes no slot."""
    recorder = Recorder()
    session = recorder.session(max_requests_per_minute=BURST_OF_ONE, timeout=13)
    started = trio.current_time()
    errors: list[APITimeoutError] = []

    async def create() -> None:
        try:
            await session.client_secrets.create(PAYER)
        except APITimeoutError as error:
            assert trio.current_time() == started
            errors.append(error)

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(create)
    # Of ten calls, three have their turn within 13 seconds.
    assert recorder.seconds() == SLOTS[:3]
    assert len(errors) == 7
    for error in errors:
        assert "the rate limit allows no attempt within 13 s" in str(error)
        assert (error.attempts, error.outcome_unknown) == (0, False)
        assert (error.next_step, error.path) == ("again", "/client-secrets")
        assert error.trace_id is not None
    await session.client_secrets.create(PAYER)
    assert recorder.seconds() == SLOTS[:4]


async def test_too_late_for_a_retry() -> None:
    """If the turn of a retry comes after the deadline, its reason is the error."""
    recorder, records = Recorder(503, 503, 503), list[CallRecord]()
    session = recorder.session(
        max_requests_per_minute=BURST_OF_ONE, timeout=11, observer=records.append
    )
    started = trio.current_time()
    with pytest.raises(ServiceUnavailableError) as info:
        await session.client_secrets.create(PAYER)
    assert (info.value.attempts, info.value.next_step) == (2, "again")
    assert trio.current_time() - started < 7
    assert recorder.seconds() == [0, 6]
    (record,) = records
    assert (record.status, record.error_type) == (503, "ServiceUnavailableError")
    assert record.retries == ("ServiceUnavailableError",)
    assert not record.quota_exhausted
    # The retry that was made is paid, the other is not.
    assert session.stats.retry_quota_left == 99


async def test_too_late_for_a_poll() -> None:
    """The same holds for a request that asks for the result of an earlier one."""
    recorder = Recorder(409, 409)
    session = recorder.session(max_requests_per_minute=BURST_OF_ONE, timeout=5)
    session._pipeline.retries.quota.spend()
    with pytest.raises(ConflictError) as info:
        await session.request("POST", "/x", body={"a": 1}, idempotency_key=PAYER)
    assert (info.value.attempts, info.value.next_step) == (1, "same_key")
    assert session.stats.retry_quota_left == 99


async def test_no_slot_for_a_retry() -> None:
    """So it is if a rate limiter waits until the deadline, or the hold is too long."""
    recorder, limiter = Recorder(503), Waits(0, math.inf)
    session = recorder.session(rate_limiter=limiter, timeout=5)
    with pytest.raises(ServiceUnavailableError) as info:
        await session.client_secrets.create(PAYER)
    assert info.value.attempts == 1
    assert trio.current_time() == recorder.times[0] + 5
    assert session.stats.retry_quota_left == 100
    assert limiter.reserved == 2


async def test_cancelled_before_a_retry() -> None:
    """A retry that the caller cancels before its turn costs no quota, either."""
    recorder = Recorder(503)
    session = recorder.session(max_requests_per_minute=BURST_OF_ONE)
    with anyio.move_on_after(3) as scope:
        await session.client_secrets.create(PAYER)
    assert scope.cancelled_caught
    assert session.stats.retry_quota_left == 100


class Tokens:
    """A token provider whose first token is refused by `Recorder(401)`."""

    def __init__(self) -> None:
        self._tokens = iter(("old", "new"))

    def __call__(self) -> str:
        """Return the next token."""
        return next(self._tokens)


async def test_new_token_is_paced() -> None:
    """A request that is sent again with a new access token waits for its slot."""
    recorder, records = Recorder(401), list[CallRecord]()
    session = PlastiqSession(
        Tokens(),
        transport=recorder,
        max_requests_per_minute=BURST_OF_ONE,
        observer=records.append,
    )
    secret = await session.client_secrets.create(PAYER)
    assert recorder.seconds() == SLOTS[:2]
    assert secret.response.attempts == 1
    assert records[0].pace_wait == pytest.approx(6.1 - ROUND_TRIP)


async def test_new_token_without_a_limit() -> None:
    """Without a rate limit, it is sent at once."""
    recorder = Recorder(401)
    session = PlastiqSession(Tokens(), transport=recorder)
    await session.client_secrets.create(PAYER)
    assert recorder.seconds() == [0, 0]


async def test_too_late_for_a_new_token() -> None:
    """If the slot comes after the deadline, the call ends with the 401."""
    recorder = Recorder(401)
    session = PlastiqSession(
        Tokens(), transport=recorder, max_requests_per_minute=BURST_OF_ONE, timeout=5
    )
    with pytest.raises(AuthenticationError):
        await session.client_secrets.create(PAYER)
    assert trio.current_time() == recorder.times[0] + ROUND_TRIP


async def test_bulk_waits_before_the_deadline() -> None:
    """A call of `create_many` has all of its time left when its turn comes."""
    recorder = Recorder()
    session = recorder.session(max_requests_per_minute=BURST_OF_ONE, timeout=1)
    requests = [CreateClientSecret(payer_id=PAYER) for _ in range(9)]
    async with session.client_secrets.create_many(requests) as outcomes:
        results = [outcome async for outcome in outcomes]
    assert all(isinstance(one, Succeeded) for one in results)
    assert recorder.seconds() == SLOTS
    # The wait is not part of the call.
    elapsed = [
        one.result.response.elapsed.total_seconds()
        for one in results
        if isinstance(one, Succeeded)
    ]
    assert elapsed == [ROUND_TRIP] * 9


async def test_any_call_in_bulk_waits_before_the_deadline() -> None:
    """So has any call in bulk, also one for the items, but no call beside them."""
    recorder = Recorder()
    session = recorder.session(max_requests_per_minute=BURST_OF_ONE, timeout=1)

    async def give() -> AsyncIterator[str]:
        for _ in range(4):
            await session.client_secrets.create(PAYER)
            yield PAYER

    async with bulk(session.client_secrets.create, give()) as outcomes:
        results = [await anext(outcomes)]
        with pytest.raises(APITimeoutError, match="rate limit"):
            await session.client_secrets.create(PAYER)
        results += [outcome async for outcome in outcomes]
    assert len(results) == 4
    assert all(isinstance(one, Succeeded) for one in results)
    assert recorder.seconds() == SLOTS[:8]


async def test_bulk_leaves_room_for_others() -> None:
    """A call does not queue behind all requests of `create_many`."""
    recorder = Recorder()
    session = recorder.session(max_requests_per_minute=BURST_OF_ONE)
    requests = [CreateClientSecret(payer_id=PAYER) for _ in range(30)]
    async with session.client_secrets.create_many(requests) as outcomes:
        for _ in range(10):
            await anext(outcomes)
        started = trio.current_time()
        secret = await session.client_secrets.create(PAYER)
        assert trio.current_time() - started < 12.3
    assert secret.response.elapsed.total_seconds() < 12.3
    # No slot is lost with the requests that were waiting.
    started = trio.current_time()
    await session.client_secrets.create(PAYER)
    assert trio.current_time() - started < 6.2


async def test_closed_while_waiting() -> None:
    """A call that waits for its slot ends when the session is closed."""
    recorder = Recorder()
    session = recorder.session(max_requests_per_minute=BURST_OF_ONE)
    await session.client_secrets.create(PAYER)
    started = trio.current_time()
    errors: list[BaseException] = []
    requests = [CreateClientSecret(payer_id=PAYER)]

    async def create() -> None:
        with pytest.raises(SessionStateError) as info:
            await session.client_secrets.create(PAYER)
        errors.append(info.value)

    async def create_many() -> None:
        async with session.client_secrets.create_many(requests) as outcomes:
            outcome = await anext(outcomes)
            errors.append(getattr(outcome, "error", None) or ValueError())

    async with anyio.create_task_group() as group:
        group.start_soon(create)
        group.start_soon(create_many)
        await anyio.sleep(1)
        await session.aclose()
    assert [type(error) for error in errors] == [SessionStateError] * 2
    assert trio.current_time() - started == 1
    assert len(recorder.times) == 1


# --- 429 ---


@pytest.mark.parametrize(("retry_after", "held"), [(4, 4), (10, 10), (25, 10)])
@pytest.mark.parametrize("limit", [None, 1200])
async def test_hold(retry_after: int, held: int, limit: int | None) -> None:
    """A 429 holds other calls for as long as it asks, at most ten seconds."""
    recorder = Recorder(429, retry_after=retry_after)
    session = recorder.session(max_requests_per_minute=limit)
    with pytest.raises(RateLimitError):
        await session.with_options(max_retries=0).client_secrets.create(PAYER)
    for _ in range(3):
        await session.client_secrets.create(PAYER)
    assert recorder.seconds() == [0, held, held, held]


async def test_hold_ends() -> None:
    """Two holds do not add up, and nothing is left of them."""
    recorder = Recorder(429, 429, retry_after=5)
    session = recorder.session(max_retries=0)
    errors = await create_together(session, 2)
    assert len(errors) == 2
    await create_together(session, 3)
    assert recorder.seconds() == [0, 0, 5, 5, 5]
    assert not session._pipeline.pace.active
    assert not session._pipeline.pace.held


async def test_hold_of_calls_that_wait() -> None:
    """A 429 holds calls that were waiting for their slot or for a permit, too."""
    for options in ({"max_requests_per_minute": 40}, {"max_connections": 2}):
        recorder = Recorder(429, 429, retry_after=9)
        session = recorder.session(max_retries=0, **options)
        errors = await create_together(session, 7)
        assert {type(error) for error in errors} == {RateLimitError}
        assert recorder.seconds()[:3] == [0, 0, 9]
        assert (len(errors), len(recorder.times)) == (2, 7)


class Waits:
    """A rate limiter that returns waits in order, and 0 after the last one."""

    def __init__(self, *waits: float) -> None:
        self._waits = iter(waits)
        self.reserved = 0

    async def reserve(self) -> float:
        """Return the next wait, or wait for ever."""
        self.reserved += 1
        wait = next(self._waits, 0)
        if wait == math.inf:
            await anyio.sleep_forever()
        return wait

    def throttled(self, retry_after: float | None) -> None:
        """Do nothing."""


async def test_hold_during_the_wait_of_a_rate_limiter() -> None:
    """A call that a 429 holds beyond its slot takes another slot."""
    recorder, limiter = Recorder(429, retry_after=9), Waits(0, 5, 3, 2)
    session = recorder.session(max_retries=0, rate_limiter=limiter)
    assert len(await create_together(session, 3)) == 1
    # By its slot, the second one was due after five seconds.
    assert sorted(recorder.seconds()) == [0, 9, 11]
    assert limiter.reserved == 5


async def test_no_burst_after_a_hold() -> None:
    """With a rate limit, the calls that were held begin at its pace."""
    recorder = Recorder(429, retry_after=9)
    session = recorder.session(max_requests_per_minute=40)  # one in 1.56 seconds
    assert await create_together(session, 1) == []
    await create_together(session, 4)
    assert recorder.seconds() == [0, 9, 11, 12, 14, 15]


async def test_hold_beyond_the_deadline() -> None:
    """A call that a 429 holds until after its deadline ends at once."""
    recorder = Recorder(429, retry_after=9)
    for limit in (None, 1200):
        session = recorder.session(max_requests_per_minute=limit, max_retries=0)
        session._pipeline.pace.throttled(9.0)
        started = trio.current_time()
        with pytest.raises(APITimeoutError, match="rate limit") as info:
            await session.client_secrets.create(PAYER, timeout=9)
        assert trio.current_time() == started
        assert (info.value.attempts, len(recorder.times)) == (0, 0)


async def test_hold_of_a_call_with_a_permit() -> None:
    """A call that got its permit too late for the hold ends at once, too."""
    recorder = Recorder(429, retry_after=9)
    session = recorder.session(max_connections=1, max_retries=0, timeout=8)
    errors = await create_together(session, 2)
    kinds = {type(error) for error in errors}
    assert kinds == {RateLimitError, APITimeoutError}
    assert len(recorder.times) == 1


@pytest.mark.parametrize("status", [503, 408])
async def test_no_hold_by_another_status(status: int) -> None:
    """Only a 429 holds other calls."""
    recorder = Recorder(status, retry_after=9)
    session = recorder.session(max_retries=0)
    with pytest.raises(APIStatusError):
        await session.client_secrets.create(PAYER)
    await session.client_secrets.create(PAYER)
    assert recorder.seconds() == [0, 0]


async def test_no_hold_by_a_limit_of_a_payer() -> None:
    """A 429 about the cards of a payer holds no other calls."""
    recorder = Recorder(429, retry_after=9)
    session = recorder.session()
    with pytest.raises(RateLimitError):
        await session.payment_methods.create(PAYER, data=make_card())
    await session.client_secrets.create(PAYER)
    assert recorder.seconds() == [0, 0]


async def test_no_hold_by_a_replayed_response() -> None:
    """Nor does a 429 that the API stored under an idempotency key some time ago."""
    recorder = Recorder(429, retry_after=9, replayed=True)
    session = recorder.session()
    with pytest.raises(RateLimitError):
        await session.payments.create(PAYER, PAYER)
    await session.client_secrets.create(PAYER)
    assert recorder.seconds() == [0, 0]


async def test_no_hold_in_tests() -> None:
    """The test mode of stamina removes the hold, as it does the back-off."""
    recorder = Recorder(429, retry_after=9)
    session = recorder.session(max_requests_per_minute=1200)
    with stamina.set_testing(True, attempts=2):
        await session.client_secrets.create(PAYER)
    assert recorder.seconds() == [0, 0]
