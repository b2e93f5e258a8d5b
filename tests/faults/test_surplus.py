"""Fault 18: bytes after an answer that read as another, with another payer's secret."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import anyio
import pytest

from plastiq_async import APIConnectionError, PlastiqSession
from tests.faults.conftest import Connect
from tests.helpers import PAYER, eventually
from tests.servers import Connection, Request, Server, Step
from tests.steps import answer, response

OTHER = "11111111-1111-4111-8111-111111111111"
FOREIGN = b'{"clientSecret": "secret of another payer"}'
delivered_on_httpx = pytest.mark.fails_on_httpx(raises=AssertionError)

Send = Callable[[Connection, bytes, bytes], None]


def together(connection: Connection, own: bytes, foreign: bytes) -> None:
    """Send both in one packet."""
    connection.send(own + foreign)


def with_the_end(connection: Connection, own: bytes, foreign: bytes) -> None:
    """Send the foreign one in one packet with the end of the call's own."""
    connection.send(own[:-1])
    connection.pause(0.05)
    connection.send(own[-1:] + foreign)


def right_after(connection: Connection, own: bytes, foreign: bytes) -> None:
    """Send one after the other; with TLS, in a record of its own."""
    connection.send(own)
    connection.send(foreign)


def when_idle(connection: Connection, own: bytes, foreign: bytes) -> None:
    """Send the foreign one when the call is over."""
    connection.send(own)
    connection.pause(0.05)
    connection.send(foreign)


def surplus(send: Send, trace_id: str | None, status: int = 200) -> Step:
    """Return the step that sends an answer and then a foreign one.

    Its Trace-Id is the one given, an empty text for the call's own, or None for none.
    """

    def step(connection: Connection, request: Request) -> None:
        foreign = response(request, 200, FOREIGN, trace_id=trace_id)
        send(connection, response(request, status), foreign)

    return step


async def check_own(session: PlastiqSession, **options: object) -> None:
    """Make two calls, with time for a surplus in between: each gets its own secret."""
    for _ in range(2):
        secret = await session.client_secrets.create(PAYER, **options)  # type: ignore[arg-type]  # passed on
        assert secret.client_secret == f"secret-of-{secret.trace_id}"
        await anyio.sleep(0.1)


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("trace_id", [OTHER, None], ids=["other ID", "no ID"])
@pytest.mark.parametrize(
    "send",
    [
        pytest.param(together, marks=delivered_on_httpx),
        pytest.param(with_the_end, marks=delivered_on_httpx),
        right_after,
        when_idle,
    ],
)
async def test_surplus(connect: Connect, send: Send, trace_id: str | None) -> None:
    """Fault 18: a surplus answer is never delivered to the next call."""
    with Server(surplus(send, trace_id), answer()) as server:
        async with connect(server) as session:
            await check_own(session)
            assert server.connections[0].closed.is_set()


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("trace_id", [OTHER, None], ids=["other ID", "no ID"])
@pytest.mark.parametrize("send", [together, with_the_end, right_after, when_idle])
async def test_surplus_over_tls(
    connect: Connect,
    send: Send,
    trace_id: str | None,
    server_tls: ssl.SSLContext,
    ca_file: Path,
) -> None:
    """Fault 18: nor over TLS."""
    with Server(surplus(send, trace_id), answer(), tls=server_tls) as server:
        async with connect(server, verify=str(ca_file)) as session:
            await check_own(session)
            assert server.connections[0].closed.is_set()


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("send", [together, with_the_end, right_after])
async def test_surplus_before_a_retry(connect: Connect, send: Send) -> None:
    """Fault 18: nor to the next attempt of the same call."""
    with Server(surplus(send, OTHER, 503), answer()) as server:
        async with connect(server) as session:
            await check_own(session)


@pytest.mark.parametrize("verify", [True, False])
async def test_surplus_under_one_trace_id(connect: Connect, *, verify: bool) -> None:
    """Fault 18: what comes unasked is not looked at, whatever its trace ID says."""
    trace_id = str(uuid4())
    with Server(surplus(when_idle, ""), answer()) as server:
        async with connect(server, verify_trace_id=verify) as session:
            await check_own(session, trace_id=trace_id)


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("status", [200, 201])
@delivered_on_httpx
async def test_foreign_answer(connect: Connect, status: int) -> None:
    """Fault 18: an answer with another trace ID is refused, and the call retried."""
    with Server(answer(status, FOREIGN, trace_id=OTHER), answer()) as server:
        async with connect(server) as session:
            secret = await session.client_secrets.create(PAYER)
            assert secret.client_secret == f"secret-of-{secret.trace_id}"
            await eventually(server.connections[0].closed.is_set)
    assert secret.response.attempts == 2
    first, second = (request.header("Trace-Id") for request in server.requests)
    assert first == second == str(secret.trace_id)
    assert [len(one.requests) for one in server.connections] == [1, 1]


async def test_foreign_answer_without_retries(connect: Connect) -> None:
    """Fault 18: if that was the last attempt, nothing of it is told."""
    with Server(answer(200, FOREIGN, trace_id=OTHER)) as server:
        async with connect(server, max_retries=0) as session:
            with pytest.raises(APIConnectionError, match="another call's") as info:
                await session.client_secrets.create(PAYER)
    assert info.value.outcome_unknown
    assert str(info.value.trace_id) == server.requests[0].header("Trace-Id")
    assert OTHER not in str(info.value)
    assert info.value.__cause__ is None


@delivered_on_httpx
async def test_answer_without_a_trace_id(connect: Connect) -> None:
    """Fault 18: whose it was is not certain: its connection is not used again."""
    with Server(answer(trace_id=None)) as server:
        async with connect(server) as session:
            await check_own(session)
            assert len(server.connections) == 2
            await eventually(lambda: server.open_connections == 0)


@pytest.mark.usefixtures("quick_retries")
async def test_trace_id_no_more(connect: Connect) -> None:
    """Fault 18: on a connection whose answers had one, a result without is refused."""
    without = answer(body=FOREIGN, trace_id=None)
    with Server(answer(), without, answer()) as server:
        async with connect(server) as session:
            await check_own(session)
    assert [len(one.requests) for one in server.connections] == [2, 1]


@pytest.mark.usefixtures("quick_retries")
async def test_errors_need_no_trace_id(connect: Connect) -> None:
    """Fault 18: what is no result may come from a gateway, which knows no trace ID."""
    with Server(answer(), answer(503, b"", trace_id=None), answer()) as server:
        async with connect(server) as session:
            await check_own(session)
    assert [len(one.requests) for one in server.connections] == [2, 1]


async def test_without_the_check(connect: Connect, transport: str) -> None:
    """Fault 18: without the check a surplus may be delivered, though under its own ID.

    httpx reads it as the next answer, and only the trace ID of the result tells;
    aiohttp gives up a connection on which more came than was asked for.
    """
    trace_id = uuid4()
    with Server(surplus(together, OTHER), answer()) as server:
        async with connect(server, verify_trace_id=False) as session:
            await session.client_secrets.create(PAYER)
            secret = await session.client_secrets.create(PAYER, trace_id=trace_id)
    assert secret.response.attempts == 1
    assert secret.trace_id == (UUID(OTHER) if transport == "httpx" else trace_id)
    assert (secret.client_secret == f"secret-of-{trace_id}") == (
        secret.trace_id == trace_id
    )
