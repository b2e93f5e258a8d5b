"""Many requests at once: their outcomes, what is in memory, and every way to leave."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, suppress
from uuid import UUID, uuid4

import anyio
import httpx
import pytest
from anyio.lowlevel import checkpoint

from plastiq_async import (
    BadRequestError,
    ClientSecret,
    CreateClientSecret,
    Failed,
    HookError,
    InvalidArgumentError,
    Outcome,
    PlastiqSession,
    SessionStateError,
    Succeeded,
    bulk,
    trace_context,
)
from plastiq_async.middleware import Handler
from plastiq_async.testing import FakePlastiq
from tests.support.sessions import fake_session, session_for
from tests.support.socket_server import Server
from tests.support.steps import answer, ignore

Outcomes = list[Outcome[CreateClientSecret, ClientSecret]]


@pytest.fixture
def session(fake_plastiq: FakePlastiq) -> PlastiqSession:
    """Return a session with the fake; it holds nothing that must be closed."""
    return PlastiqSession(
        fake_plastiq.access_token,
        base_url=fake_plastiq.base_url,
        transport=fake_plastiq.transport,
        max_connections=7,
    )


def requests_for(fake: FakePlastiq, number: int) -> list[CreateClientSecret]:
    """Return requests of as many payers."""
    return [CreateClientSecret(payer_id=fake.add_payer()) for _ in range(number)]


async def one_by_one(
    requests: list[CreateClientSecret],
) -> AsyncIterator[CreateClientSecret]:
    """Give the requests asynchronously."""
    for request in requests:
        await checkpoint()
        yield request


class Calls:
    """Calls that take a while, and what is known of them."""

    def __init__(self) -> None:
        self.taken = 0
        self.under_way = 0
        self.most_under_way = 0
        self.cancelled = 0

    def __iter__(self) -> Iterator[int]:
        """Give numbers without end."""
        while True:
            self.taken += 1
            yield self.taken

    async def __call__(self, number: int) -> int:
        """Take a while, and return the number; some fail."""
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            # Steps instead of seconds, of which a busy machine takes any number.
            for _ in range(1 + 4 * (number % 3)):
                await checkpoint()
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            raise
        finally:
            self.under_way -= 1
        if number % 5 == 0:
            raise ZeroDivisionError
        return number


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_each_request_has_its_outcome(
    session: PlastiqSession, fake_plastiq: FakePlastiq, asynchronous: bool
) -> None:
    """The secrets are those of the payers, and in no request is one missing."""
    requests = requests_for(fake_plastiq, 50)
    outcomes = {}
    source = one_by_one(requests) if asynchronous else iter(requests)
    async with session.client_secrets.create_many(source) as stream:
        async for outcome in stream:
            assert isinstance(outcome, Succeeded)
            assert outcome.error is None
            outcomes[outcome.request] = outcome.result
    assert set(outcomes) == set(requests)
    for request, secret in outcomes.items():
        assert fake_plastiq.redeem(secret.client_secret) == request.payer_id


async def test_failures_stop_nothing(
    session: PlastiqSession, fake_plastiq: FakePlastiq
) -> None:
    """What went wrong is told of the request that it befell; the rest goes on."""
    good = requests_for(fake_plastiq, 20)
    bad = [CreateClientSecret(payer_id=uuid4()) for _ in range(3)]
    mixed: list[CreateClientSecret] = [*good[:10], *bad, "no request", *good[10:]]  # type: ignore[list-item]  # on purpose
    async with session.client_secrets.create_many(mixed, concurrency=2) as stream:
        outcomes = [outcome async for outcome in stream]
    failed = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
    assert len(outcomes) == 24
    assert [outcome.request for outcome in failed] == [*bad, "no request"]
    assert [type(outcome.error) for outcome in failed] == [
        *[BadRequestError] * 3,
        InvalidArgumentError,
    ]
    assert {outcome.result for outcome in failed} == {None}


@pytest.mark.slow
async def test_as_they_complete() -> None:
    """A slow call holds nobody up."""

    async def call(number: int) -> int:
        await anyio.sleep(0.5 if number == 0 else 0)
        return number

    async with bulk(call, range(10), concurrency=2) as stream:
        results = [outcome.result async for outcome in stream]
    assert results == [*range(1, 10), 0]


@pytest.mark.slow
@pytest.mark.parametrize("concurrency", [1, 3, 10])
async def test_no_more_than_needed(concurrency: int) -> None:
    """Requests are taken as outcomes are fetched, of a source without an end."""
    calls = Calls()
    async with bulk(calls, calls, concurrency=concurrency) as stream:
        for fetched in range(1, 100):
            await anext(stream)
            if fetched % 10 == 0:
                await settle()
            assert calls.taken <= fetched + concurrency
    assert calls.most_under_way == concurrency
    assert calls.under_way == 0


async def test_as_many_as_connections() -> None:
    """Without `concurrency` it is the session's connections that are kept busy."""
    requests = [CreateClientSecret(payer_id=uuid4()) for _ in range(30)]
    with Server(answer(delay=0.01)) as server:
        async with (
            session_for(server, max_connections=4) as session,
            session.client_secrets.create_many(iter(requests)) as stream,
        ):
            assert len([outcome async for outcome in stream]) == 30
    assert len(server.connections) == 4


async def test_trace_ids(session: PlastiqSession, fake_plastiq: FakePlastiq) -> None:
    """A request's own trace ID comes before that of the block; both arrive."""
    first, second = requests_for(fake_plastiq, 2)
    own = uuid4()
    first = CreateClientSecret(payer_id=first.payer_id, trace_id=own)
    with trace_context() as common:
        async with session.client_secrets.create_many([first, second]) as stream:
            found = {o.request: o.result.trace_id async for o in stream if o.result}
    assert found == {first: own, second: common}


async def test_left_early(fake_plastiq: FakePlastiq) -> None:
    """To leave cancels what runs; the session is as good as before."""
    requests = requests_for(fake_plastiq, 100)
    with Server(answer(), ignore) as server:
        async with session_for(server, max_connections=5) as session:
            async with session.client_secrets.create_many(requests) as stream:
                async for outcome in stream:
                    assert outcome.error is None
                    break
            server.play(answer())
            for _ in range(10):
                await session.client_secrets.create(uuid4())
        assert len(server.requests) <= 16


@pytest.mark.parametrize("error", [ValueError("mine"), KeyError("mine")])
async def test_exception_of_the_body(error: Exception) -> None:
    """What the block raises comes out as it is, and not in a group."""
    calls = Calls()

    async def fail() -> None:
        async with bulk(calls, calls, concurrency=3) as stream:
            await anext(stream)
            raise error

    with pytest.raises(type(error)) as info:
        await fail()
    assert info.value is error
    assert error.__cause__ is error.__context__ is None
    assert calls.under_way == 0


async def test_cancelled_from_outside() -> None:
    """A scope around the block cancels all of it."""
    calls = Calls()
    with anyio.move_on_after(0.05) as scope:
        async with bulk(calls, calls, concurrency=3) as stream:
            async for _ in stream:
                pass
    assert scope.cancelled_caught
    assert calls.under_way == 0


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_cancelled_natively() -> None:
    """So does a cancellation of the task, at each of its steps."""
    for steps in range(30):
        calls = Calls()

        async def consume(calls: Calls = calls) -> None:
            async with bulk(calls, calls, concurrency=3) as stream:
                async for _ in stream:
                    pass

        task = asyncio.ensure_future(consume())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert calls.under_way == 0


async def test_cancelled_while_waiting() -> None:
    """To be cancelled between two outcomes loses none."""
    fetched: set[int | None] = set()

    async def call(number: int) -> int:
        await anyio.sleep(0.01)
        return number

    async with bulk(call, range(20), concurrency=2) as stream:
        while len(fetched) < 20:
            with anyio.move_on_after(0.003):
                fetched.add((await anext(stream)).result)
    assert fetched == set(range(20))


async def test_several_consumers() -> None:
    """Each outcome goes to one of those that wait for it."""
    calls = Calls()
    fetched: Counter[int] = Counter()

    async def consume() -> None:
        async for outcome in stream:
            fetched[outcome.request] += 1

    async with (
        bulk(calls, itertools.islice(calls, 60), concurrency=4) as stream,
        anyio.create_task_group() as group,
    ):
        for _ in range(3):
            group.start_soon(consume)
    assert fetched == Counter(range(1, 61))


async def test_generator_is_closed() -> None:
    """An async generator has run out or is closed when the block is left."""
    closed = []

    async def generate() -> AsyncIterator[int]:
        try:
            for number in itertools.count():
                yield number
        finally:
            closed.append(True)

    async with bulk(Calls(), generate(), concurrency=2) as stream:
        await anext(stream)
    assert closed == [True]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_source_that_fails(asynchronous: bool) -> None:
    """What the source raises ends the outcomes, after those of what it gave."""
    calls = Calls()
    error = LookupError("gone")

    def give() -> Iterator[int]:
        yield from (1, 2, 3)
        raise error

    async def give_slowly() -> AsyncIterator[int]:
        for number in give():
            await checkpoint()
            yield number

    requests = set()

    async def fetch_all() -> None:
        source = give_slowly() if asynchronous else give()
        async with bulk(calls, source, concurrency=2) as stream:
            async for outcome in stream:
                requests.add(outcome.request)

    with pytest.raises(LookupError) as info:
        await fetch_all()
    assert info.value is error
    assert requests == {1, 2, 3}


@pytest.mark.parametrize("end", [StopAsyncIteration(), ZeroDivisionError()])
async def test_source_is_not_asked_again(end: Exception) -> None:
    """An iterator that has ended or failed is left alone."""
    steps: list[int | Exception] = [1, end, 2, end, 3]

    class Source(AsyncIterator[int]):
        async def __anext__(self) -> int:
            step = steps.pop(0)
            await checkpoint()
            if isinstance(step, Exception):
                raise step
            return step

    results = []
    with suppress(ZeroDivisionError):
        async with bulk(Calls(), Source(), concurrency=4) as stream:
            async for outcome in stream:
                results.append(outcome.result)  # noqa: PERF401 -- it may raise
    assert results == [1]
    assert steps == [2, end, 3]


async def test_nothing_to_do() -> None:
    """No requests, no outcomes."""
    async with bulk(Calls(), range(0), concurrency=3) as stream:
        assert [outcome async for outcome in stream] == []


async def test_after_the_block() -> None:
    """Outside of its block there are no outcomes, not even those that were left."""
    calls = Calls()
    block = bulk(calls, calls, concurrency=3)
    async with block as stream:
        await anext(stream)
        await anyio.sleep(0.02)
    with pytest.raises(SessionStateError, match="block of these outcomes is over"):
        await anext(stream)
    with pytest.raises(SessionStateError, match="cannot be entered twice"):
        await block.__aenter__()


async def test_closed_during_the_block(fake_plastiq: FakePlastiq) -> None:
    """After the session's end the outcomes say so."""
    requests = requests_for(fake_plastiq, 6)
    with Server(ignore) as server:
        async with session_for(server, max_connections=2) as session:
            create_many = session.client_secrets.create_many
            async with create_many(requests, concurrency=3) as stream:
                await anyio.sleep(0.05)
                await session.aclose()
                outcomes = [outcome async for outcome in stream]
    assert len(outcomes) == 6
    assert {type(outcome.error) for outcome in outcomes} == {SessionStateError}


@pytest.mark.parametrize("concurrency", [0, -1, True, 2.0, "3"])
def test_bad_concurrency(concurrency: object, session: PlastiqSession) -> None:
    """A number of workers that cannot be is refused at once."""
    with pytest.raises(InvalidArgumentError, match="concurrency must be"):
        session.client_secrets.create_many([], concurrency=concurrency)  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize("requests", [None, 3, UUID(int=1)])
def test_bad_requests(requests: object, session: PlastiqSession) -> None:
    """What cannot be iterated over is refused at once."""
    with pytest.raises(InvalidArgumentError, match="requests must be an iterable"):
        session.client_secrets.create_many(requests)  # type: ignore[arg-type]  # on purpose


def test_is_a_context_manager(session: PlastiqSession) -> None:
    """The type that users see is the standard library's."""
    block = session.client_secrets.create_many([])
    assert isinstance(block, AbstractAsyncContextManager)


class Ages:
    """Calls that complete at once, and how long their outcomes lie unfetched.

    An age is the number of outcomes that were fetched between the completion of a call
    and the fetching of its outcome.
    """

    def __init__(self) -> None:
        self.fetched = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self._completed: dict[int, int] = {}

    async def __call__(self, number: int) -> int:
        """Take some steps, as all calls in flight do together."""
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        for _ in range(5):
            await checkpoint()
        self.in_flight -= 1
        self._completed[number] = self.fetched
        return number

    def fetch(self, number: int) -> int:
        """Return the age of an outcome that is fetched."""
        self.fetched += 1
        return self.fetched - 1 - self._completed.pop(number)


async def settle() -> None:
    """Wait until all calls in flight have completed, as a slow consumer does."""
    for _ in range(25):
        await checkpoint()


async def test_slow_consumer() -> None:
    """A slow consumer gets each outcome soon after its call, whatever the limit."""
    calls = Ages()
    ages = []
    async with bulk(calls, range(200), concurrency=100) as stream:
        async for outcome in stream:
            ages.append(calls.fetch(outcome.request))
            await settle()
    assert len(ages) == 200
    assert max(ages) <= 4
    assert max(ages[20:]) <= 1
    assert calls.most_in_flight <= 5


async def test_fast_consumer() -> None:
    """A consumer that does nothing else gets full concurrency within a few rounds."""
    calls = Ages()
    reached = 0
    async with bulk(calls, range(2000), concurrency=100) as stream:
        async for outcome in stream:
            calls.fetch(outcome.request)
            if calls.most_in_flight == 100:
                reached = reached or calls.fetched
    assert calls.fetched == 2000
    assert 0 < reached <= 300


async def test_consumer_that_slows_down() -> None:
    """What is in flight is handed over; from then on, no outcome waits for long."""
    calls = Ages()
    ages = []
    async with bulk(calls, range(2000), concurrency=50) as stream:
        async for outcome in stream:
            ages.append(calls.fetch(outcome.request))
            if calls.fetched > 1000:
                await settle()
    assert len(ages) == 2000
    assert max(ages) <= 50
    assert max(ages[1200:]) <= 1


async def test_slow_source() -> None:
    """A source that is slower than the consumer does not widen the window."""
    calls = Ages()

    async def generate() -> AsyncIterator[int]:
        for number in range(100):
            await checkpoint()
            if number < 60:
                await settle()
            yield number

    ages = []
    async with bulk(calls, generate(), concurrency=100) as stream:
        async for outcome in stream:
            ages.append(calls.fetch(outcome.request))
            if calls.fetched > 60:
                await settle()
    assert max(ages) <= 4


async def test_oldest_first() -> None:
    """Outcomes are fetched in the order in which their calls completed."""
    completed: list[int] = []

    async def call(number: int) -> int:
        for _ in range(number * 7 % 5):
            await checkpoint()
        completed.append(number)
        return number

    async with bulk(call, range(50), concurrency=10) as stream:
        fetched = [outcome.result async for outcome in stream]
    assert fetched == completed


async def test_left_while_the_source_waits() -> None:
    """To leave the block cancels the source, too."""
    cancelled = []

    async def generate() -> AsyncIterator[int]:
        yield 1
        try:
            await anyio.sleep(60)
        except anyio.get_cancelled_exc_class():
            cancelled.append(True)
            raise

    async with bulk(Ages(), generate(), concurrency=3) as stream:
        await anext(stream)
        await settle()
    assert cancelled == [True]


async def await_cancelled() -> None:
    """Await a future that somebody cancelled."""
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_stray_cancellation_of_a_middleware(fake_plastiq: FakePlastiq) -> None:
    """A middleware that awaits something cancelled fails its call, and no other."""

    async def tenant(request: httpx.Request, call_next: Handler) -> httpx.Response:
        if next(number) % 5 == 0:
            await await_cancelled()
        return await call_next(request)

    number = itertools.count()
    requests = requests_for(fake_plastiq, 100)
    session = fake_session(fake_plastiq, middleware=[tenant])
    async with session.client_secrets.create_many(requests) as stream:
        outcomes = [outcome async for outcome in stream]
    assert len(outcomes) == 100
    errors = [outcome.error for outcome in outcomes if outcome.error]
    assert {type(error) for error in errors} == {HookError}
    assert len(errors) == 20
    assert "tenant" in str(errors[0])


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_stray_cancellation_of_a_call() -> None:
    """So does a call that is replaced in a test, say."""

    async def call(number: int) -> int:
        if number % 2:
            await await_cancelled()
        return number

    async with bulk(call, range(20), concurrency=3) as stream:
        outcomes = [outcome async for outcome in stream]
    failed = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
    assert sorted(outcome.request for outcome in failed) == list(range(1, 20, 2))
    for outcome in failed:
        assert isinstance(outcome.error, HookError)
        assert isinstance(outcome.error.__cause__, asyncio.CancelledError)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_stray_cancellation_of_the_source() -> None:
    """A source that awaits something cancelled ends the outcomes with a HookError."""

    async def generate() -> AsyncIterator[int]:
        for number in range(5):
            yield number
        await await_cancelled()

    fetched = []

    async def fetch_all() -> None:
        async with bulk(Ages(), generate(), concurrency=3) as stream:
            async for outcome in stream:
                fetched.append(outcome.result)  # noqa: PERF401 -- it raises

    with pytest.raises(HookError, match="iterator of the items") as info:
        await fetch_all()
    assert isinstance(info.value.__cause__, asyncio.CancelledError)
    assert sorted(filter(None, fetched)) == [1, 2, 3, 4]
