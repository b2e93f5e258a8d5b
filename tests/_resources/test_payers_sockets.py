"""Payers over sockets: all methods, and responses without a trace ID."""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import UUID

import pytest

from plastiq_async import APIResponseError, NotFoundError, Payers
from plastiq_async.testing import FakePlastiq
from tests.support.errors import error_of
from tests.support.payers import ARGUMENTS, BODY
from tests.support.sessions import ANY_CONTEXT, fake_session, session_for
from tests.support.socket_server import Server, Step
from tests.support.steps import answer
from tests.support.timing import eventually
from tests.support.uvicorn_server import in_uvicorn
from tests.support.wirings import WIRINGS

pytestmark = pytest.mark.slow

PAYER_ID = UUID("0e2dcb1c-bd21-4ba5-b2c8-0e7ea0ac2a5d")
OTHER_ID = UUID("11111111-1111-4111-8111-111111111111")


@pytest.fixture(params=WIRINGS, ids="-".join)
def wiring(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Return an event loop, and a transport that works on it."""
    loop, transport = request.param
    return loop, transport


@pytest.fixture
def anyio_backend(wiring: tuple[str, str]) -> str:
    """Run the test on this event loop."""
    return wiring[0]


@pytest.fixture
def transport(wiring: tuple[str, str]) -> str:
    """Return the transport for the test."""
    return wiring[1]


@pytest.fixture
def fake_url(fake_plastiq: FakePlastiq) -> Iterator[str]:
    """Return the base URL of a fake on a socket."""
    with in_uvicorn(fake_plastiq.app) as url:
        yield f"{url}/api"


async def test_all_methods(
    transport: str, fake_plastiq: FakePlastiq, fake_url: str
) -> None:
    """A payer is created, read, changed and deleted."""
    options = {"base_url": fake_url, "transport": transport, "verify": ANY_CONTEXT}
    async with fake_session(fake_plastiq, **options) as session:
        payers = session.payers
        created = await payers.create(**ARGUMENTS)
        assert await payers.retrieve(created.id) == created
        changed = await payers.update(created.id, business_name="New")
        assert (changed.id, changed.business_name) == (created.id, "New")
        await payers.delete(created.id)
        assert isinstance(await error_of(payers.retrieve(created.id)), NotFoundError)
    assert [request.operation for request in fake_plastiq.requests] == [
        "payers.create",
        "payers.retrieve",
        "payers.update",
        "payers.delete",
        "payers.retrieve",
    ]
    assert json.loads(fake_plastiq.requests[0].body) == BODY


def payer(payer_id: UUID = PAYER_ID, *, traced: bool = False) -> Step:
    """Return the step that sends a payer, by default without a trace ID."""
    body = json.dumps({"id": str(payer_id)}).encode()
    return answer(body=body, trace_id="" if traced else None)


async def untraced(payers: Payers, method: str) -> None:
    """Make a call whose response need not have a trace ID."""
    if method == "retrieve":
        assert (await payers.retrieve(PAYER_ID)).id == PAYER_ID
    elif method == "update":
        assert (await payers.update(PAYER_ID, business_name="A")).id == PAYER_ID
    else:
        await payers.delete(PAYER_ID)


@pytest.mark.parametrize("method", ["retrieve", "update", "delete"])
async def test_response_without_a_trace_id(transport: str, method: str) -> None:
    """It is accepted on a reused connection, which then is not used again."""
    last = answer(204, b"", trace_id=None) if method == "delete" else payer()
    with Server(payer(traced=True), last, payer(traced=True)) as server:
        async with session_for(server, transport=transport) as session:
            await session.payers.retrieve(PAYER_ID)
            (connection,) = server.connections
            await untraced(session.payers, method)
            assert len(server.connections) == 1
            await eventually(connection.closed.is_set)
            await session.payers.retrieve(PAYER_ID)
        assert len(server.connections) == 2
    assert len(server.requests) == 3


@pytest.mark.parametrize("traced", [True, False])
async def test_update_of_another_payer(transport: str, traced: bool) -> None:
    """A left-over response of another payer is refused, with or without a trace ID."""
    with Server(payer(traced=True), payer(OTHER_ID, traced=traced)) as server:
        async with session_for(server, transport=transport) as session:
            await session.payers.retrieve(PAYER_ID)
            error = await error_of(session.payers.update(PAYER_ID, business_name="A"))
        assert len(server.connections) == 1
    assert isinstance(error, APIResponseError)
    assert (error.attempts, error.outcome_unknown) == (1, True)
    assert error.next_step == "reconcile"
    assert str(OTHER_ID) not in str(error)
    assert len(server.requests) == 2


async def test_creation_without_a_trace_id(transport: str) -> None:
    """The contract has the trace ID of a creation, so a left-over one is refused."""
    with Server(payer(traced=True), payer()) as server:
        async with session_for(server, transport=transport) as session:
            await session.payers.retrieve(PAYER_ID)
            error = await error_of(session.payers.create(**ARGUMENTS))
    assert (error.attempts, error.outcome_unknown) == (1, True)
    assert error.next_step == "reconcile"
    assert len(server.requests) == 2
