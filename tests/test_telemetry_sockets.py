"""The observer and the state of a session over sockets, with each transport."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from plastiq_async import APIConnectionError, CallRecord, SessionStateError
from plastiq_async.testing import FakePlastiq
from tests.support.internals import add_intent
from tests.support.sessions import ANY_CONTEXT, PAYER, fake_session, session_for
from tests.support.socket_server import Server
from tests.support.steps import answer, drop, ignore
from tests.support.timing import eventually
from tests.support.uvicorn_server import in_uvicorn
from tests.support.wirings import WIRINGS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize(
        ("anyio_backend", "transport"), WIRINGS, indirect=["anyio_backend"]
    ),
]


async def test_state(transport: Any, fake_plastiq: FakePlastiq) -> None:
    """Connections are idle after their calls, and none is left in a closed session."""
    with in_uvicorn(fake_plastiq.app) as url:
        async with fake_session(
            fake_plastiq,
            base_url=f"{url}/api",
            transport=transport,
            verify=ANY_CONTEXT,
        ) as session:
            assert session.stats.idle_connections == 0
            fake_plastiq.delay_next(60, times=3)
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(session.client_secrets.create, PAYER)
                await eventually(lambda: len(fake_plastiq.requests) == 3)
                assert session.stats.in_use == 3
                assert session.stats.idle_connections == 0
                tasks.cancel_scope.cancel()
            assert session.stats.in_use == session.stats.idle_connections == 0
            await session.client_secrets.create(PAYER)
            assert session.stats.in_use == 0
            assert session.stats.idle_connections == 1
        assert session.stats.idle_connections == 0


async def test_lost_connections(transport: Any) -> None:
    """A call whose connections are lost has one record, and leaves none idle."""
    records: list[CallRecord] = []
    with Server(answer(), answer(503), drop) as server:
        async with session_for(
            server, transport=transport, observer=records.append, max_retries=1
        ) as session:
            await session.client_secrets.create(PAYER)
            with pytest.raises(APIConnectionError):
                await session.client_secrets.create(PAYER)
            assert session.stats.idle_connections == 0
    good, bad = records
    assert (good.status, good.attempts, good.error_type) == (200, 1, None)
    assert (bad.status, bad.attempts, bad.error_type) == (None, 2, "APIConnectionError")
    assert bad.retries == ("ServiceUnavailableError",)
    assert bad.outcome_unknown


async def test_closed_in_flight(transport: Any) -> None:
    """Closing a session loses no record of its calls in flight."""
    records: list[CallRecord] = []
    with Server(ignore) as server:
        session = session_for(server, transport=transport, observer=records.append)

        async def create() -> None:
            with pytest.raises(SessionStateError):
                await session.client_secrets.create(PAYER)

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(create)
            await eventually(lambda: len(server.requests) == 10)
            await session.aclose()
    assert [record.error_type for record in records] == ["SessionStateError"] * 10
    assert all(record.outcome_unknown for record in records)


async def test_upload(transport: Any, fake_plastiq: FakePlastiq) -> None:
    """An upload, which has a connection of its own, has a record of the same kind."""
    records: list[CallRecord] = []
    with in_uvicorn(fake_plastiq.app) as url:
        async with fake_session(
            fake_plastiq,
            base_url=f"{url}/api",
            transport=transport,
            verify=ANY_CONTEXT,
            observer=records.append,
        ) as session:
            place = await session.documents.create(
                fake_plastiq.payer_id,
                filename="a.pdf",
                payment_intent_id=add_intent(fake_plastiq),
            )
            await session.documents.upload(place, b"%PDF")
    created, uploaded = records
    assert (created.operation, created.host) == ("documents.create", "127.0.0.1")
    assert (uploaded.operation, uploaded.host) == ("documents.upload", None)
    assert [record.status for record in records] == [200, 201]
