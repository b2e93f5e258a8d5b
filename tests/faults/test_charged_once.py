"""Payments are charged once, whatever fails between client and server.

Between them is a `Server` that passes requests on to the fake, and loses responses.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import anyio
import pytest

from plastiq_async import (
    APIConnectionError,
    APIResponseError,
    APITimeoutError,
    BadRequestError,
    ConflictError,
    InternalServerError,
    Payment,
    PlastiqError,
    PlastiqSession,
)
from plastiq_async.testing import FakePlastiq
from tests.support.fake_program import fake_program
from tests.support.internals import add_intent, forget_keys
from tests.support.relay import relay
from tests.support.sessions import ANY_CONTEXT, PAYER, TOKEN
from tests.support.socket_server import Connection, Request, Server, Step
from tests.support.steps import LOSSES, answer, drop, ignore
from tests.support.timing import eventually
from tests.support.uvicorn_server import in_uvicorn
from tests.support.wirings import Connect

pytestmark = pytest.mark.slow

quickly = pytest.mark.usefixtures("quick_retries")


losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=list(LOSSES))


@pytest.fixture
def fake() -> FakePlastiq:
    """Return the fake that charges."""
    return FakePlastiq(access_tokens=[TOKEN])


@pytest.fixture
def intent_id(fake: FakePlastiq) -> UUID:
    """Return a payment intent that can be paid."""
    return add_intent(fake)


@pytest.fixture
def backend(fake: FakePlastiq) -> Iterator[str]:
    """Serve the fake over a socket, and return its URL."""
    with in_uvicorn(fake.app) as url:
        yield url


async def error_of(call: Callable[[], Awaitable[object]]) -> PlastiqError:
    """Return the error that a call ends in."""
    with pytest.raises(PlastiqError) as info:
        await call()
    return info.value


def keys_of(server: Server) -> set[str]:
    """Return the idempotency keys that a server was sent."""
    return {request.header("Idempotency-Key") for request in server.requests}


# --- lost before or after the charge ---


@quickly
@losses
@pytest.mark.parametrize("charged", [True, False], ids=["charged", "not charged"])
async def test_retried(
    *,
    loss: Step,
    charged: bool,
    fake: FakePlastiq,
    backend: str,
    intent_id: UUID,
    connect: Connect,
) -> None:
    """A call retries with its key, and returns the payment of the one charge."""
    first = relay(backend, loss) if charged else loss
    with Server(first, first, relay(backend)) as server:
        async with connect(server) as session:
            payment = await session.payments.create(intent_id, fake.payer_id)
    assert fake.charges == 1
    assert payment.replayed is charged
    assert payment.response.attempts == len(server.requests) == 3
    assert keys_of(server) == {str(payment.idempotency_key)}


@losses
async def test_called_again(
    loss: Step, fake: FakePlastiq, backend: str, intent_id: UUID, connect: Connect
) -> None:
    """After an error, the same key brings the payment of the one charge."""
    with Server(relay(backend, loss), relay(backend)) as server:
        async with connect(server, max_retries=0) as session:
            pay = partial(session.payments.create, intent_id, fake.payer_id)
            error = await error_of(pay)
            assert isinstance(error, (APIConnectionError, InternalServerError))
            assert (error.outcome_unknown, error.next_step) == (True, "same_key")
            assert keys_of(server) == {str(error.idempotency_key)}
            payment = await pay(idempotency_key=error.idempotency_key)
    assert fake.charges == 1
    assert payment.replayed
    assert payment.payment_intent_id == intent_id


async def test_unreadable(
    fake: FakePlastiq, backend: str, intent_id: UUID, connect: Connect
) -> None:
    """A success that cannot be read is not retried, and the same key brings it."""
    garbled = relay(backend, answer(200, b"s3cr3t"))
    with Server(garbled, relay(backend)) as server:
        async with connect(server) as session:
            pay = partial(session.payments.create, intent_id, fake.payer_id)
            error = await error_of(pay)
            assert isinstance(error, APIResponseError)
            assert (error.outcome_unknown, error.next_step) == (True, "same_key")
            assert len(server.requests) == 1
            payment = await pay(idempotency_key=error.idempotency_key)
    assert (fake.charges, payment.replayed) == (1, True)


# --- slow charges, and keys in flight ---


async def test_deadline(
    fake: FakePlastiq, backend: str, intent_id: UUID, connect: Connect
) -> None:
    """If the deadline passes after the charge, the same key brings the payment."""
    with Server(relay(backend, ignore), relay(backend)) as server:
        async with connect(server) as session:
            pay = partial(session.payments.create, intent_id, fake.payer_id)
            error = await error_of(partial(pay, timeout=2))
            assert isinstance(error, APITimeoutError)
            assert (error.outcome_unknown, error.next_step) == (True, "same_key")
            payment = await pay(idempotency_key=error.idempotency_key)
    assert (fake.charges, payment.replayed) == (1, True)


async def test_slow_charge(
    fake: FakePlastiq, backend: str, intent_id: UUID, transport: str
) -> None:
    """While a charge takes its time, the same key waits for it until its deadline."""
    fake.delay_next(6)
    async with session_at(backend, transport) as session:
        pay = partial(session.payments.create, intent_id, fake.payer_id)
        first = await error_of(partial(pay, timeout=1.5))
        assert isinstance(first, APITimeoutError)
        again = partial(pay, idempotency_key=first.idempotency_key)
        second = await error_of(partial(again, timeout=1.5))
        assert isinstance(second, (ConflictError, APITimeoutError))
        payment = await again()
    for error in (first, second):
        assert (error.outcome_unknown, error.next_step) == (True, "same_key")
    assert (fake.charges, payment.replayed) == (1, True)


async def test_two_callers(
    fake: FakePlastiq, backend: str, intent_id: UUID, transport: str
) -> None:
    """Two calls with one key at the same time return one payment."""
    fake.delay_next(1)
    key, results = uuid4(), list[Payment]()
    async with session_at(backend, transport, max_retries=0) as session:

        async def pay() -> None:
            create = partial(session.payments.create, intent_id, fake.payer_id)
            results.append(await create(idempotency_key=key))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pay)
            await eventually(lambda: fake.requests)
            tasks.start_soon(pay)
    assert fake.charges == 1
    assert results[0] == results[1]
    assert sorted(payment.replayed for payment in results) == [False, True]


async def test_cancelled(
    fake: FakePlastiq,
    backend: str,
    intent_id: UUID,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A cancelled payment is logged with its key, which brings the payment."""
    key, trace_id = uuid4(), uuid4()
    with Server(relay(backend, ignore), relay(backend)) as server:
        async with connect(server) as session:
            pay = partial(session.payments.create, intent_id, fake.payer_id)

            async def run() -> None:
                await pay(idempotency_key=key, trace_id=trace_id)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run)
                await eventually(lambda: fake.charges)
                tasks.cancel_scope.cancel()
            payment = await pay(idempotency_key=key)
    assert (fake.charges, payment.replayed) == (1, True)
    (warning,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert warning.getMessage() == (
        "payments.create ended early, and its outcome is unknown: "
        f"idempotency_key={key} trace_id={trace_id}"
    )


# --- whose response a replay is ---


@pytest.mark.parametrize("first_trace_id", [True, False])
async def test_replays(
    *,
    first_trace_id: bool,
    fake: FakePlastiq,
    backend: str,
    intent_id: UUID,
    connect: Connect,
) -> None:
    """A replay is accepted with any trace ID; another call's closes its connection."""
    fake.replay_first_trace_id = first_trace_id
    with Server(relay(backend)) as server:
        async with connect(server, max_connections=1) as session:
            pay = partial(session.payments.create, intent_id, fake.payer_id)
            first = await pay()
            second = await pay(idempotency_key=first.idempotency_key)
            third = await session.payments.retrieve(first.id, fake.payer_id)
        opened = len(server.connections)
    assert first == second == third
    assert (fake.charges, second.replayed) == (1, True)
    same = second.response.trace_id == first.response.trace_id
    assert same is first_trace_id
    assert opened == (2 if first_trace_id else 1)


# --- servers that go away ---


@pytest.mark.parametrize("charged", [True, False], ids=["charged", "not charged"])
async def test_restarted(
    *, charged: bool, fake: FakePlastiq, intent_id: UUID, transport: str
) -> None:
    """A call outlasts a server that goes away, and comes back with its state."""
    fake.drop_next(after_processing=charged, times=100)
    results = list[Payment]()
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        address = reserved.getsockname()
    url = "http://{}:{}".format(*address)
    async with session_at(url, transport, max_retries=9) as session:

        async def pay() -> None:
            results.append(await session.payments.create(intent_id, fake.payer_id))

        async with anyio.create_task_group() as tasks:
            with in_uvicorn(fake.app, listener=socket.create_server(address)):
                tasks.start_soon(pay)
                await eventually(lambda: fake.requests)
            fake.clear_faults()
            with in_uvicorn(fake.app, listener=socket.create_server(address)):
                await eventually(lambda: results)
    assert fake.charges == 1
    assert results[0].replayed is charged
    assert len({r.headers["idempotency-key"] for r in fake.requests}) == 1


async def test_killed(tmp_path: Path, transport: str) -> None:
    """If a killed server has lost its state, the outcome stays unknown."""
    with fake_program(tmp_path) as program:
        url = f"http://{program.netloc}"
        async with session_at(url, transport, max_retries=9, timeout=60) as session:
            errors = list[PlastiqError]()

            async def pay() -> None:
                call = partial(session.payments.create, uuid4(), PAYER)
                errors.append(await error_of(call))

            program.suspend()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(pay)
                await eventually(program.pending_requests)
                await anyio.to_thread.run_sync(program.kill)
                await anyio.to_thread.run_sync(program.start)
    (error,) = errors
    assert isinstance(error, BadRequestError)
    assert (error.outcome_unknown, error.next_step) == (True, "reconcile")
    assert error.idempotency_key
    assert error.attempts > 1


@quickly
async def test_lost_key(
    fake: FakePlastiq, backend: str, intent_id: UUID, connect: Connect
) -> None:
    """If a server lost a key, its refusal settles nothing, and a listing tells."""

    def forget(connection: Connection, request: Request) -> None:
        forget_keys(fake)
        drop(connection, request)

    with Server(relay(backend, forget), relay(backend)) as server:
        async with connect(server) as session:
            pay = partial(session.payments.create, intent_id, fake.payer_id)
            error = await error_of(pay)
            listing = session.payments.list(fake.payer_id)
            paid = [one.payment_intent_id async for one in listing]
    assert isinstance(error, BadRequestError)
    assert "not CAPTURED" in str(error)
    assert (error.outcome_unknown, error.next_step) == (True, "reconcile")
    assert (fake.charges, paid) == (1, [intent_id])


def session_at(url: str, transport: Any, **options: Any) -> PlastiqSession:
    """Return a session with the server at `url`."""
    settings = {"verify": ANY_CONTEXT, "trust_env": False, **options}
    return PlastiqSession(TOKEN, base_url=f"{url}/api", transport=transport, **settings)
