"""Faults 5 and 6: connections lost between two requests, or during one."""

from __future__ import annotations

import ssl
import threading
from functools import partial
from pathlib import Path

import anyio
import pytest

from plastiq_async import APIConnectionError
from tests.support.sessions import PAYER
from tests.support.socket_server import Connection, Request, Server, Step
from tests.support.steps import answer, drop, reset, response
from tests.support.timing import eventually
from tests.support.wirings import Connect

pytestmark = [pytest.mark.usefixtures("quick_retries")]

endings = pytest.mark.parametrize("end", [drop, reset], ids=["FIN", "RST"])


@pytest.fixture(params=["http", "https"])
def tls(
    request: pytest.FixtureRequest, server_tls: ssl.SSLContext
) -> ssl.SSLContext | None:
    """Return the TLS context of the server, or None for http."""
    return server_tls if request.param == "https" else None


@pytest.fixture
def connect(connect: Connect, ca_file: Path) -> Connect:
    """Return a function that makes sessions that trust the server's certificate."""
    return partial(connect, verify=ssl.create_default_context(cafile=ca_file))


def traces(server: Server) -> list[str]:
    """Return the trace IDs of the requests."""
    return [request.header("Trace-Id") for request in server.requests]


@pytest.mark.slow
@endings
async def test_closed_while_idle(
    connect: Connect, tls: ssl.SSLContext | None, end: Step
) -> None:
    """Fault 5: a connection that was closed while idle is not used."""
    idle = threading.Event()

    def answer_and_end(connection: Connection, request: Request) -> None:
        connection.send(response(request))
        idle.wait(10)
        end(connection, request)

    with Server(answer_and_end, answer(), tls=tls) as server:
        async with connect(server) as session:
            await session.client_secrets.create(PAYER)
            idle.set()
            await eventually(lambda: server.open_connections == 0)
            await anyio.sleep(0.05)  # lets the event loop notice
            secret = await session.client_secrets.create(PAYER)
    assert secret.response.attempts == 1
    assert traces(server)[1:] == [str(secret.trace_id)]


@pytest.mark.fails_on_httpx
@endings
async def test_closed_as_the_request_leaves(
    connect: Connect, tls: ssl.SSLContext | None, end: Step
) -> None:
    """Fault 5: a call is retried if a reused connection is lost."""
    with Server(answer(), end, answer(), tls=tls) as server:
        async with connect(server) as session:
            await session.client_secrets.create(PAYER)
            secret = await session.client_secrets.create(PAYER)
    assert secret.response.attempts == 2
    assert traces(server)[1:] == [str(secret.trace_id)] * 2
    assert len(server.connections) == 2


@pytest.mark.slow
@pytest.mark.fails_on_httpx
async def test_closed_at_about_the_same_time(
    connect: Connect, tls: ssl.SSLContext | None
) -> None:
    """Fault 5: a call succeeds whenever the server closes the idle connection."""

    def hasten(connection: Connection, request: Request) -> None:
        connection.send(response(request))
        connection.pause(0.003)
        connection.close()

    with Server(hasten, tls=tls) as server:
        async with connect(server) as session:
            secrets = []
            # The wait varies from much shorter than the server's delay to much longer.
            for wait in [wait * 0.0007 for wait in range(8)] * 25:
                secrets.append(await session.client_secrets.create(PAYER))
                await anyio.sleep(wait)
    assert max(secret.response.attempts for secret in secrets) <= 2


def half(head: bytes) -> Step:
    """Return the step that sends `head` and closes the connection."""

    def step(connection: Connection, _: Request) -> None:
        connection.send(head)
        connection.close()

    return step


lost_answers = pytest.mark.parametrize(
    "lose",
    [
        pytest.param(drop, id="FIN"),
        pytest.param(reset, id="RST"),
        pytest.param(half(b"HTT"), id="half a line"),
        pytest.param(half(b"HTTP/1.1 200 OK\r\nContent-Le"), id="half a head"),
        pytest.param(half(b"HTTP/1.1 103 Early Hints\r\n\r\n"), id="interim answer"),
    ],
)


@pytest.mark.fails_on_httpx
@lost_answers
async def test_lost_answer(
    connect: Connect, tls: ssl.SSLContext | None, lose: Step
) -> None:
    """Fault 6: a request whose response is lost is retried with the same trace ID."""
    with Server(lose, lose, answer(), tls=tls) as server:
        async with connect(server) as session:
            secret = await session.client_secrets.create(PAYER)
    assert secret.response.attempts == 3
    assert traces(server) == [str(secret.trace_id)] * 3
    assert len({request.body for request in server.requests}) == 1


@pytest.mark.slow
@lost_answers
async def test_lost_answers(
    connect: Connect, tls: ssl.SSLContext | None, lose: Step
) -> None:
    """Fault 6: if every response is lost, the outcome is unknown."""
    with Server(lose, lose, lose, answer(), tls=tls) as server:
        async with connect(server, max_connections=1) as session:
            with pytest.raises(APIConnectionError) as info:
                await session.client_secrets.create(PAYER)
            error = info.value
            assert type(error) is APIConnectionError
            assert (error.attempts, error.outcome_unknown) == (3, True)
            assert traces(server) == [str(error.trace_id)] * 3
            await eventually(lambda: server.open_connections == 0)
            await session.client_secrets.create(PAYER)
