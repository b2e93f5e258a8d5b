"""`session.request` over sockets: the same pipeline as that of every method."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest

from plastiq_async import (
    APIConnectionError,
    APIResponseError,
    APITimeoutError,
    ConflictError,
    InternalServerError,
    PlastiqSession,
    RawResponse,
    SessionStateError,
)
from plastiq_async.testing import FakePlastiq
from tests.support.errors import error_of
from tests.support.internals import add_intent
from tests.support.relay import relay
from tests.support.sessions import PAYER, TOKEN
from tests.support.socket_server import Server, Step
from tests.support.steps import LOSSES, answer, drop, ignore
from tests.support.timing import in_time
from tests.support.uvicorn_server import in_uvicorn
from tests.support.wirings import Connect

pytestmark = pytest.mark.slow

quickly = pytest.mark.usefixtures("quick_retries")
losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=list(LOSSES))

KEY = UUID("5b0c7a3e-93d4-41ee-b9d1-0242ac120002")
GOOD = answer(body=b'{"amount": 1.10}')


async def change(session: PlastiqSession, **arguments: Any) -> RawResponse:
    """Make a request that changes something."""
    return await session.request(
        "POST", "/things/{id}", path_params={"id": PAYER}, body={"a": 1}, **arguments
    )


# Another call's error is an error of a call that does no harm if it is repeated.
@quickly
@pytest.mark.parametrize("name", sorted(LOSSES.keys() - {"another call's error"}))
async def test_always(name: str, connect: Connect) -> None:
    """What may be sent twice is sent again, with the same trace ID and headers."""
    with Server(LOSSES[name], GOOD) as server:
        async with connect(server) as session:
            result = await change(
                session, retry="always", extra_headers={"API-Key": "k3y"}
            )
    assert result.response.attempts == len(server.requests) == 2
    assert {one.header("Trace-Id") for one in server.requests} == {
        str(result.response.trace_id)
    }
    assert {one.header("API-Key") for one in server.requests} == {"k3y"}
    assert {one.line for one in server.requests} == {
        f"POST /api/things/{PAYER} HTTP/1.1"
    }


@quickly
@losses
async def test_sent_once(loss: Step, connect: Connect) -> None:
    """By default, a request that may have arrived is sent once."""
    with Server(loss, GOOD) as server:
        async with connect(server) as session:
            error = await error_of(change(session))
    assert isinstance(error, (APIConnectionError, InternalServerError))
    assert (error.outcome_unknown, error.next_step) == (True, "reconcile")
    assert (error.method, error.path) == ("POST", "/things/{id}")
    assert len(server.requests) == 1


@quickly
@losses
async def test_charged_once(loss: Step, connect: Connect) -> None:
    """A payment with a key is charged once, though its response is lost."""
    fake = FakePlastiq(access_tokens=[TOKEN])
    body = {"paymentIntent": {"id": add_intent(fake)}, "payer": {"id": PAYER}}
    with in_uvicorn(fake.app) as url, Server(relay(url, loss), relay(url)) as server:
        async with connect(server) as session:
            result = await session.request(
                "POST", "/payments", body=body, idempotency_key=KEY
            )
    assert (result.response.replayed, fake.charges) == (True, 1)
    assert [one.header("Idempotency-Key") for one in server.requests] == [str(KEY)] * 2


async def test_in_flight(connect: Connect) -> None:
    """While the server processes the key, the call waits for its result."""
    with Server(answer(409, b"{}"), GOOD) as server:
        async with connect(server, max_retries=0) as session:
            result = await change(session, idempotency_key=KEY)
    assert result.response.attempts == 2
    with Server(answer(409, b"{}")) as server:
        async with connect(server) as session:
            error = await error_of(change(session, timeout=5))
    assert isinstance(error, ConflictError)
    assert len(server.requests) == 1


async def test_deadline(connect: Connect) -> None:
    """A call ends at its deadline, and tells that the outcome is unknown."""
    with Server(ignore) as server:
        async with connect(server) as session, in_time():
            error = await error_of(change(session, timeout=0.3))
    assert isinstance(error, APITimeoutError)
    assert (error.outcome_unknown, error.attempts) == (True, 1)


@pytest.mark.parametrize("status", [200, 204])
async def test_no_body(status: int, connect: Connect) -> None:
    """A response without a body has no data, and keeps its connection."""
    with Server(answer(status, b""), GOOD) as server:
        async with connect(server) as session:
            empty = await session.request("DELETE", "/things")
            after = await session.request("GET", "/things")
    assert (empty.data, empty.response.status) == (None, status)
    assert after.data is not None
    assert len(server.connections) == 1


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(answer(body=b"<html>"), id="html"),
        pytest.param(answer(body=b"[" * 100_000), id="nested"),
        pytest.param(
            answer(body=b"{}", headers=[("Content-Encoding", "br")]), id="encoded"
        ),
    ],
)
async def test_unreadable(step: Step, connect: Connect) -> None:
    """A body that cannot be read is an error with an unknown outcome."""
    with Server(step) as server:
        async with connect(server) as session:
            error = await error_of(change(session, retry="if_unsent"))
    assert isinstance(error, APIResponseError)
    assert (error.outcome_unknown, error.next_step) == (True, "reconcile")
    assert len(server.requests) == 1


async def test_another_call(connect: Connect) -> None:
    """The response of another call is refused."""
    with Server(answer(body=b"{}", trace_id=str(uuid4()))) as server:
        async with connect(server) as session:
            error = await error_of(change(session))
    assert isinstance(error, APIConnectionError)
    assert error.outcome_unknown


@quickly
async def test_unsent(connect: Connect) -> None:
    """What was never sent is sent again, even if it must not happen twice."""
    with Server(ignore) as server:
        pass
    async with connect(server) as session:
        error = await error_of(change(session))
    assert (error.attempts, error.outcome_unknown, error.next_step) == (
        3,
        False,
        "again",
    )
    assert isinstance(await error_of(change(session)), SessionStateError)


@quickly
async def test_view(connect: Connect) -> None:
    """A request of a view has its options and the connections of the session."""
    with Server(drop, GOOD) as server:
        async with connect(server) as session:
            view = session.with_options(max_retries=0)
            call = partial(view.request, "GET", "/things", retry="always")
            assert (await error_of(call())).attempts == 1
            assert (await call()).response.attempts == 1
