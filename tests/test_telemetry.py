"""The observer of a session: one record of each call, whatever happens to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import AsyncMock, Mock
from uuid import UUID, uuid4

import anyio
import attrs
import httpx
import pytest

from plastiq_async import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    CallRecord,
    ConfigurationError,
    CreateClientSecret,
    DocumentUploadError,
    HookError,
    InvalidArgumentError,
    PlastiqSession,
    SessionStateError,
    SessionStats,
)
from plastiq_async._telemetry import SpanObserver
from plastiq_async.middleware import CallInfo, Handler, call_info
from plastiq_async.testing import FakePlastiq
from tests.support.cancellers import cancellers
from tests.support.documents import CONTENT
from tests.support.internals import KEY, add_intent
from tests.support.sessions import PAYER, TOKEN, fake_session
from tests.support.transports import Transport

TRACE_ID = UUID("0b4e3c1a-5d3e-4f0a-9c55-3f9f8a4f1f11")

quickly = pytest.mark.usefixtures("quick_retries")


@pytest.fixture
def records() -> list[CallRecord]:
    """Collect the records of the calls of `session`."""
    return []


@pytest.fixture
def session(fake_plastiq: FakePlastiq, records: list[CallRecord]) -> PlastiqSession:
    """Return a session with an observer; it needs no closing."""
    return fake_session(fake_plastiq, observer=records.append)


class Gate:
    """Middleware that holds calls until it is opened."""

    def __init__(self) -> None:
        self.opened = anyio.Event()

    async def __call__(
        self, request: httpx.Request, call_next: Handler, /
    ) -> httpx.Response:
        """Wait, and pass the request on."""
        await self.opened.wait()
        return await call_next(request)


# --- what a record says ---


async def test_success(records: list[CallRecord], fake_plastiq: FakePlastiq) -> None:
    """The record of a call that succeeded has no error."""
    infos: list[CallInfo] = []

    async def look(request: httpx.Request, call_next: Handler) -> httpx.Response:
        response = await call_next(request)
        infos.append(call_info(request))
        return response

    session = fake_session(fake_plastiq, observer=records.append, middleware=[look])
    secret = await session.client_secrets.create(PAYER, trace_id=TRACE_ID)
    ((record,), (info,)) = records, infos
    assert record == CallRecord(
        operation="client_secrets.create",
        method="POST",
        path="/client-secrets",
        trace_id=TRACE_ID,
        idempotency_key=None,
        attempts=1,
        deadline=info.deadline,
        host="127.0.0.1",
        status=200,
        error_type=None,
        cancelled=False,
        outcome_unknown=False,
        replayed=False,
        elapsed=record.elapsed,
        permit_wait=record.permit_wait,
        pace_wait=0.0,
        retries=(),
        quota_exhausted=False,
    )
    assert record.elapsed >= secret.response.elapsed.total_seconds() > 0
    assert 0 <= record.permit_wait < record.elapsed


@quickly
async def test_retries(
    session: PlastiqSession, records: list[CallRecord], fake_plastiq: FakePlastiq
) -> None:
    """A record names the reason of each retry, and has the last status."""
    fake_plastiq.fail_next(503)
    fake_plastiq.drop_next()
    await session.client_secrets.create(PAYER)
    (record,) = records
    assert (record.attempts, record.status, record.error_type) == (3, 200, None)
    assert record.retries == ("ServiceUnavailableError", "APIConnectionError")


@quickly
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429, 500, 503])
async def test_refusal(
    status: int,
    session: PlastiqSession,
    records: list[CallRecord],
    fake_plastiq: FakePlastiq,
) -> None:
    """The record of a refused call says what its error says."""
    fake_plastiq.fail_next(status, times=9)
    with pytest.raises(APIStatusError) as info:
        await session.client_secrets.create(PAYER)
    (record,) = records
    assert record.status == info.value.status_code == status
    assert record.error_type == type(info.value).__name__
    assert record.attempts == info.value.attempts == len(record.retries) + 1
    assert record.outcome_unknown == info.value.outcome_unknown
    assert not record.cancelled


@quickly
async def test_lost_connection(
    session: PlastiqSession, records: list[CallRecord], fake_plastiq: FakePlastiq
) -> None:
    """Without a response to the last attempt there is no status."""
    fake_plastiq.fail_next(503)
    fake_plastiq.drop_next(times=2)
    with pytest.raises(APIConnectionError):
        await session.client_secrets.create(PAYER)
    (record,) = records
    assert (record.status, record.error_type) == (None, "APIConnectionError")
    assert record.outcome_unknown


async def test_deadline(
    session: PlastiqSession, records: list[CallRecord], fake_plastiq: FakePlastiq
) -> None:
    """A call that misses its deadline failed; nobody cancelled it."""
    fake_plastiq.delay_next(60)
    with pytest.raises(APITimeoutError):
        await session.client_secrets.create(PAYER, timeout=0.05)
    (record,) = records
    assert (record.status, record.error_type) == (None, "APITimeoutError")
    assert (record.cancelled, record.outcome_unknown) == (False, True)
    assert record.elapsed >= 0.05


async def test_cancellation(
    session: PlastiqSession, records: list[CallRecord], fake_plastiq: FakePlastiq
) -> None:
    """The record of a cancelled call says that the caller cancelled it."""
    fake_plastiq.delay_next(60)
    with anyio.move_on_after(0.05):
        await session.client_secrets.create(PAYER)
    (record,) = records
    assert record.cancelled
    assert record.error_type == anyio.get_cancelled_exc_class().__name__
    assert (record.status, record.attempts, record.outcome_unknown) == (None, 1, True)


async def test_own_exception(
    records: list[CallRecord], fake_plastiq: FakePlastiq
) -> None:
    """An exception of a middleware is named, and the response before it is known."""

    async def fail(request: httpx.Request, call_next: Handler) -> httpx.Response:
        await call_next(request)
        raise ZeroDivisionError

    session = fake_session(fake_plastiq, observer=records.append, middleware=[fail])
    with pytest.raises(ZeroDivisionError):
        await session.client_secrets.create(PAYER)
    (record,) = records
    assert (record.status, record.error_type) == (200, "ZeroDivisionError")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_stray_cancellation(
    records: list[CallRecord], fake_plastiq: FakePlastiq
) -> None:
    """A stray CancelledError of a hook is no cancellation by the caller."""

    async def stray(request: httpx.Request, call_next: Handler) -> httpx.Response:
        raise asyncio.CancelledError

    session = fake_session(fake_plastiq, observer=records.append, middleware=[stray])
    with pytest.raises(HookError):
        await session.client_secrets.create(PAYER)
    assert [(r.error_type, r.cancelled) for r in records] == [("HookError", False)]


async def test_trace_id_of_the_server(records: list[CallRecord]) -> None:
    """A record has the trace ID of the response, whether it is an error or not."""
    theirs = uuid4()
    statuses = iter([200, 404])

    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(
            next(statuses),
            headers={"Trace-Id": str(theirs)},
            json={"clientSecret": "x"},
        )

    session = PlastiqSession(
        TOKEN,
        transport=Transport(respond),
        observer=records.append,
        verify_trace_id=False,
    )
    await session.client_secrets.create(PAYER)
    with pytest.raises(APIStatusError):
        await session.client_secrets.create(PAYER)
    assert [record.trace_id for record in records] == [theirs, theirs]


async def test_replay(
    session: PlastiqSession, records: list[CallRecord], fake_plastiq: FakePlastiq
) -> None:
    """The record of a payment has its key, and says whether it was a replay."""
    pay = partial(
        session.payments.create,
        add_intent(fake_plastiq),
        fake_plastiq.payer_id,
        idempotency_key=KEY,
    )
    for _ in range(2):
        await pay()
    assert [record.idempotency_key for record in records] == [KEY, KEY]
    assert [record.replayed for record in records] == [False, True]


async def test_replayed_refusal(
    session: PlastiqSession, records: list[CallRecord], fake_plastiq: FakePlastiq
) -> None:
    """A refusal can be a replay as well."""
    pay = partial(
        session.payments.create,
        add_intent(fake_plastiq, number="4000000000000002"),
        fake_plastiq.payer_id,
        idempotency_key=KEY,
    )
    for _ in range(2):
        with pytest.raises(APIStatusError):
            await pay()
    assert [record.replayed for record in records] == [False, True]


# --- waits ---


async def test_wait_for_a_permit(
    records: list[CallRecord], fake_plastiq: FakePlastiq
) -> None:
    """A record says how long its call waited for a permit, also if it got none."""
    gate = Gate()
    session = fake_session(
        fake_plastiq, observer=records.append, middleware=[gate], max_connections=1
    )
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(session.client_secrets.create, PAYER)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(APITimeoutError, match="a permit"):
            await session.client_secrets.create(PAYER, timeout=0.05)
        gate.opened.set()
    without, first, second = records
    assert (without.attempts, without.pace_wait) == (0, 0)
    assert without.permit_wait == without.elapsed >= 0.05
    assert first.permit_wait < second.permit_wait < second.elapsed
    assert second.permit_wait >= 0.05


class Limiter:
    """A rate limiter whose slots come `wait` seconds later."""

    def __init__(self, wait: float) -> None:
        self.wait = wait

    async def reserve(self) -> float:
        """Return the wait."""
        return self.wait

    def throttled(self, retry_after: float | None) -> None:
        """Ignore a 429."""


@quickly
async def test_wait_for_the_pace(
    records: list[CallRecord], fake_plastiq: FakePlastiq
) -> None:
    """A record says how long its call waited for the rate limit, retries included."""
    limiter = Limiter(0.05)
    session = fake_session(fake_plastiq, observer=records.append, rate_limiter=limiter)
    await session.client_secrets.create(PAYER)
    fake_plastiq.fail_next(503)
    await session.client_secrets.create(PAYER)
    once, twice = records
    assert 0.05 <= once.pace_wait < once.elapsed
    assert 0.1 <= twice.pace_wait < twice.elapsed
    for record in records:
        assert 0 <= record.permit_wait <= record.elapsed - record.pace_wait


async def test_ended_by_the_pace(
    records: list[CallRecord], fake_plastiq: FakePlastiq
) -> None:
    """A call that its rate limit ends has a record, with the wait until then."""

    class Slow(Limiter):
        async def reserve(self) -> float:
            await anyio.sleep_forever()
            raise AssertionError

    for limiter in (Limiter(60), Slow(0)):
        session = fake_session(
            fake_plastiq, observer=records.append, rate_limiter=limiter
        )
        with pytest.raises(APITimeoutError):
            await session.client_secrets.create(PAYER, timeout=0.05)
    early, late = records
    assert [record.attempts for record in records] == [0, 0]
    assert early.pace_wait <= early.elapsed
    assert 0.05 <= late.pace_wait <= late.elapsed
    assert late.permit_wait < late.elapsed


async def test_bulk_with_a_pace(
    records: list[CallRecord], fake_plastiq: FakePlastiq
) -> None:
    """The duration of a call of `create_many` includes the wait before its deadline."""
    limiter = Limiter(0.05)
    session = fake_session(fake_plastiq, observer=records.append, rate_limiter=limiter)
    requests = [CreateClientSecret(payer_id=PAYER) for _ in range(3)]
    async with session.client_secrets.create_many(requests) as outcomes:
        async for _ in outcomes:
            pass
    assert len(records) == 3
    for record in records:
        assert 0.05 <= record.pace_wait < record.elapsed


# --- each call, once ---


async def test_every_kind_of_call(
    session: PlastiqSession, records: list[CallRecord], fake_plastiq: FakePlastiq
) -> None:
    """Pages, raw requests, deletes and uploads are calls like any other."""
    payer_id = fake_plastiq.payer_id
    for number in ("4111111111111111", "4242424242424242"):
        add_intent(fake_plastiq, number=number)
    async for _ in session.payment_methods.list(payer_id, limit=1).pages():
        pass
    await session.request("GET", "/payers/{id}", path_params={"id": payer_id})
    await session.payers.delete(fake_plastiq.add_payer())
    place = await session.documents.create(
        payer_id, filename="a.pdf", payment_intent_id=add_intent(fake_plastiq)
    )
    await session.documents.upload(place, CONTENT)
    *pages, raw, deleted, created, uploaded = records
    assert len(pages) >= 2
    assert {page.operation for page in pages} == {"payment_methods.list"}
    assert (raw.operation, raw.path) == ("request", "/payers/{id}")
    assert (deleted.method, deleted.status) == ("DELETE", 204)
    assert (created.operation, created.status) == ("documents.create", 200)
    assert (uploaded.operation, uploaded.status) == ("documents.upload", 201)
    assert (uploaded.host, uploaded.path) == (None, "(upload URL)")
    for record in records:
        assert record.error_type is None
        assert str(payer_id) not in repr(record)


@quickly
async def test_failed_upload(
    session: PlastiqSession, records: list[CallRecord], fake_plastiq: FakePlastiq
) -> None:
    """The record of a failed upload has the status of the host."""
    place = await session.documents.create(
        fake_plastiq.payer_id,
        filename="a.pdf",
        payment_intent_id=add_intent(fake_plastiq),
    )
    fake_plastiq.fail_next(503, times=3, on="documents.upload")
    with pytest.raises(DocumentUploadError):
        await session.documents.upload(place, CONTENT)
    upload = records[-1]
    assert (upload.status, upload.error_type) == (503, "DocumentUploadError")
    assert upload.attempts == 3


@quickly
async def test_already_deleted(
    session: PlastiqSession, records: list[CallRecord], fake_plastiq: FakePlastiq
) -> None:
    """A 404 that shows that an earlier attempt has deleted is the status of success."""
    fake_plastiq.drop_next(after_processing=True)
    await session.payers.delete(fake_plastiq.add_payer())
    (record,) = records
    assert (record.status, record.error_type, record.attempts) == (404, None, 2)


async def test_refused_before_it_began(
    session: PlastiqSession, records: list[CallRecord]
) -> None:
    """What is refused before it is a call has no record."""
    with pytest.raises(InvalidArgumentError):
        await session.client_secrets.create("no UUID")
    with pytest.raises(InvalidArgumentError):
        await session.client_secrets.create(PAYER, timeout=-1)
    await session.aclose()
    with pytest.raises(SessionStateError):
        await session.client_secrets.create(PAYER)
    assert records == []


async def test_views(session: PlastiqSession, records: list[CallRecord]) -> None:
    """A view of a view has the observer of its session."""
    view = session.with_options(timeout=9).with_options(max_retries=0)
    for one in (session, view):
        await one.client_secrets.create(PAYER)
    assert len(records) == 2


async def test_many_at_once(session: PlastiqSession, records: list[CallRecord]) -> None:
    """Concurrent calls have a record each."""
    trace_ids = [uuid4() for _ in range(50)]
    async with anyio.create_task_group() as tasks:
        for trace_id in trace_ids:
            tasks.start_soon(
                partial(session.client_secrets.create, PAYER, trace_id=trace_id)
            )
    assert sorted(record.trace_id for record in records) == sorted(trace_ids)


async def test_closed_in_flight(
    records: list[CallRecord], fake_plastiq: FakePlastiq
) -> None:
    """Each call in flight has its record when the session is closed."""
    session = fake_session(
        fake_plastiq, observer=records.append, middleware=[Gate()], max_connections=3
    )

    async def create() -> None:
        with pytest.raises(SessionStateError):
            await session.client_secrets.create(PAYER)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(create)
        await anyio.wait_all_tasks_blocked()
        await session.aclose()
    assert [record.error_type for record in records] == ["SessionStateError"] * 5
    assert not any(record.cancelled for record in records)
    without_permit = [record.permit_wait == record.elapsed for record in records]
    assert without_permit.count(True) == 2


async def test_cancelled_anywhere(
    anyio_backend: str, session: PlastiqSession, records: list[CallRecord]
) -> None:
    """Wherever a call is cancelled, it has one record, which says how it ended."""
    ended: list[str | None] = []

    async def create() -> None:
        try:
            await session.client_secrets.create(PAYER)
        except BaseException as error:
            ended.append(type(error).__name__)
            raise
        ended.append(None)

    for cancel in cancellers(anyio_backend):
        for steps in range(25):
            await cancel(create, steps)
    assert [record.error_type for record in records] == ended
    cancelled = anyio.get_cancelled_exc_class().__name__
    assert set(ended) == {None, cancelled}
    assert [record.cancelled for record in records] == [bool(name) for name in ended]
    assert session.stats.in_use == 0


@quickly
async def test_exhausted_quota(
    session: PlastiqSession, records: list[CallRecord], fake_plastiq: FakePlastiq
) -> None:
    """A record says that only the lack of quota prevented a retry."""
    fake_plastiq.fail_next(503, times=1000)
    view = session.with_options(max_retries=60)
    for one in (view, view, view, session.with_options(max_retries=0)):
        with pytest.raises(APIStatusError):
            await one.client_secrets.create(PAYER)
    found = [(len(record.retries), record.quota_exhausted) for record in records]
    assert found == [(60, False), (40, True), (0, True), (0, False)]


# --- the observer itself ---


def raise_secretly(record: CallRecord) -> None:
    """Raise an error with a text that is not for logs."""
    raise ValueError("secret text")


async def observe_later(record: CallRecord) -> None:
    """Observe a call asynchronously, which no session awaits."""


FAILING: dict[str, Callable[[CallRecord], object]] = {
    "raise_secretly raised ValueError": raise_secretly,
    "Mock returned an awaitable, which nobody awaits": Mock(side_effect=observe_later),
}


@pytest.mark.parametrize("problem", FAILING)
async def test_failing_observer(
    problem: str, fake_plastiq: FakePlastiq, caplog: pytest.LogCaptureFixture
) -> None:
    """What an observer does wrong is logged once per call, and changes no call."""
    session = fake_session(fake_plastiq, observer=FAILING[problem])
    await session.client_secrets.create(PAYER)
    fake_plastiq.fail_next(403)
    with pytest.raises(APIStatusError) as info:
        await session.client_secrets.create(PAYER)
    assert info.value.__context__ is None
    fake_plastiq.delay_next(60)
    with anyio.move_on_after(0.05) as scope:
        await session.client_secrets.create(PAYER)
    assert scope.cancelled_caught
    logged = [r.getMessage() for r in caplog.records if r.name == "plastiq_async"]
    assert logged == [f"observer {problem}"] * 3
    assert "secret text" not in caplog.text


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_observer_raises_cancelled_error(
    fake_plastiq: FakePlastiq, caplog: pytest.LogCaptureFixture
) -> None:
    """A CancelledError of an observer is not taken for a cancellation of the caller."""

    def observe(record: CallRecord) -> None:
        raise asyncio.CancelledError

    session = fake_session(fake_plastiq, observer=observe)
    await session.client_secrets.create(PAYER)
    assert "raised CancelledError" in caplog.text


async def test_awaitable_of_an_observer(
    fake_plastiq: FakePlastiq, caplog: pytest.LogCaptureFixture
) -> None:
    """An awaitable that is no coroutine is logged, too."""

    class Later:
        def __await__(self) -> Any:
            raise AssertionError

    session = fake_session(fake_plastiq, observer=lambda _: Later())
    await session.client_secrets.create(PAYER)
    assert "returned an awaitable" in caplog.text


async def test_result_of_an_observer(
    fake_plastiq: FakePlastiq, caplog: pytest.LogCaptureFixture
) -> None:
    """Any other result is ignored, and any callable can observe."""
    observe = Mock()
    session = fake_session(fake_plastiq, observer=observe)
    await session.client_secrets.create(PAYER)
    (call,) = observe.mock_calls
    assert isinstance(call.args[0], CallRecord)
    assert caplog.text == ""


async def test_broken_beginning(
    fake_plastiq: FakePlastiq, caplog: pytest.LogCaptureFixture
) -> None:
    """An observer of spans that fails when a call begins is not told of its end."""

    class Broken(SpanObserver):
        def __call__(self, record: CallRecord, /) -> None:
            raise AssertionError

        def begin(self, call: CallInfo) -> Callable[..., object]:
            raise ZeroDivisionError

    session = fake_session(fake_plastiq, observer=Broken())
    await session.client_secrets.create(PAYER)
    assert len(caplog.records) == 1
    assert "raised ZeroDivisionError" in caplog.text


class AsyncObserver:
    """An observer whose call is async."""

    async def __call__(self, record: CallRecord) -> None:
        """Observe a call asynchronously."""


@pytest.mark.parametrize(
    "observer",
    [
        "text",
        observe_later,
        partial(observe_later),
        AsyncObserver(),
        AsyncMock(),
    ],
)
def test_unusable_observer(observer: Any) -> None:
    """What is not callable, or async, is refused when the session is made."""
    with pytest.raises(ConfigurationError, match="observer must be a callable"):
        PlastiqSession(TOKEN, observer=observer)


# --- the state of a session ---


async def test_stats(fake_plastiq: FakePlastiq) -> None:
    """A session and its views show how many calls hold and await a permit."""
    gate = Gate()
    session = fake_session(fake_plastiq, middleware=[gate], max_connections=2)
    idle = SessionStats(
        in_use=0, waiting=0, retry_quota_left=100, idle_connections=None
    )
    assert session.stats == idle
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(session.client_secrets.create, PAYER)
        await anyio.wait_all_tasks_blocked()
        busy = attrs.evolve(idle, in_use=2, waiting=3)
        assert session.stats == session.with_options(timeout=9).stats == busy
        gate.opened.set()
    assert session.stats == idle


@quickly
async def test_quota_in_stats(
    session: PlastiqSession, fake_plastiq: FakePlastiq
) -> None:
    """A retry takes from the quota that a session shows."""
    fake_plastiq.fail_next(503, times=3)
    with pytest.raises(APIStatusError):
        await session.client_secrets.create(PAYER)
    assert session.stats.retry_quota_left == 98
