"""Fault 18: surplus bytes after a response, which form a response for another payer."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import anyio
import httpx
import pytest

from plastiq_async import (
    APIConnectionError,
    APIStatusError,
    ClientSecret,
    PlastiqSession,
    ServiceUnavailableError,
)
from tests.support.checks import call
from tests.support.sessions import PAYER
from tests.support.socket_server import Connection, Request, Server, Step
from tests.support.steps import answer, response
from tests.support.timing import eventually
from tests.support.wirings import Connect

OTHER = "11111111-1111-4111-8111-111111111111"
FOREIGN = b'{"clientSecret": "secret of another payer"}'
delivered_on_httpx = pytest.mark.fails_on_httpx(raises=AssertionError)

Send = Callable[[Connection, bytes, bytes], None]


def together(connection: Connection, own: bytes, foreign: bytes) -> None:
    """Send both responses in one packet."""
    connection.send(own + foreign)


def with_the_end(connection: Connection, own: bytes, foreign: bytes) -> None:
    """Send the foreign response in one packet with the last byte of the first."""
    connection.send(own[:-1])
    connection.pause(0.05)
    connection.send(own[-1:] + foreign)


def right_after(connection: Connection, own: bytes, foreign: bytes) -> None:
    """Send the responses one after the other; with TLS, in separate records."""
    connection.send(own)
    connection.send(foreign)


def when_idle(connection: Connection, own: bytes, foreign: bytes) -> None:
    """Send the foreign response when the call is over."""
    connection.send(own)
    connection.pause(0.05)
    connection.send(foreign)


def surplus(send: Send, trace_id: str | None, status: int = 200) -> Step:
    """Return the step that sends a response and then a foreign one.

    `trace_id` is the Trace-Id header of the foreign response. An empty string repeats
    that of the request; None omits the header.
    """

    def step(connection: Connection, request: Request) -> None:
        foreign = response(request, 200, FOREIGN, trace_id=trace_id)
        send(connection, response(request, status), foreign)

    return step


async def all_sent(server: Server) -> None:
    """Wait until the event loop can know everything that the server has sent."""
    await eventually(lambda: not server.busy)
    await anyio.sleep(0.05)


async def check_own(server: Server, session: PlastiqSession, **options: object) -> None:
    """Make two calls with a pause after each; check that each gets its own secret."""
    for _ in range(2):
        secret = await session.client_secrets.create(PAYER, **options)  # type: ignore[arg-type]  # passed on
        assert secret.client_secret == f"secret-of-{secret.trace_id}"
        await all_sent(server)


@pytest.mark.slow
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
    """Fault 18: a surplus response is never delivered to the next call."""
    with Server(surplus(send, trace_id), answer()) as server:
        async with connect(server) as session:
            await check_own(server, session)
            await eventually(server.connections[0].closed.is_set)


@pytest.mark.slow
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
    """Fault 18: a surplus response over TLS is never delivered to the next call."""
    with Server(surplus(send, trace_id), answer(), tls=server_tls) as server:
        async with connect(server, verify=str(ca_file)) as session:
            await check_own(server, session)
            await eventually(server.connections[0].closed.is_set)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("send", [together, with_the_end, right_after])
async def test_surplus_before_a_retry(connect: Connect, send: Send) -> None:
    """Fault 18: a surplus response is never delivered to a retry of the call."""
    with Server(surplus(send, OTHER, 503), answer()) as server:
        async with connect(server) as session:
            await check_own(server, session)


@pytest.mark.slow
@pytest.mark.parametrize("verify", [True, False])
async def test_surplus_under_one_trace_id(connect: Connect, *, verify: bool) -> None:
    """Fault 18: a surplus response is dropped even if its trace ID matches."""
    trace_id = str(uuid4())
    with Server(surplus(when_idle, ""), answer()) as server:
        async with connect(server, verify_trace_id=verify) as session:
            await check_own(server, session, trace_id=trace_id)


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("status", [200, 201])
@delivered_on_httpx
async def test_foreign_answer(connect: Connect, status: int) -> None:
    """Fault 18: a response with another trace ID is refused, and the call retried."""
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
    """Fault 18: the error for a wrong trace ID does not show the response."""
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
    """Fault 18: a connection is not reused after a response without a trace ID."""
    with Server(answer(trace_id=None)) as server:
        async with connect(server) as session:
            await check_own(server, session)
            assert len(server.connections) == 2
            await eventually(lambda: server.open_connections == 0)


@pytest.mark.usefixtures("quick_retries")
async def test_trace_id_no_more(connect: Connect) -> None:
    """Fault 18: a result without a trace ID is refused if earlier ones had one."""
    without = answer(body=FOREIGN, trace_id=None)
    with Server(answer(), without, answer()) as server:
        async with connect(server) as session:
            await check_own(server, session)
    assert [len(one.requests) for one in server.connections] == [2, 1]


@pytest.mark.usefixtures("quick_retries")
async def test_errors_need_no_trace_id(connect: Connect) -> None:
    """Fault 18: an error response without a trace ID keeps the connection."""
    with Server(answer(), answer(503, b"", trace_id=None), answer()) as server:
        async with connect(server) as session:
            await check_own(server, session)
    assert [len(one.requests) for one in server.connections] == [3]


@pytest.mark.parametrize("status", [302, 404, 429, 502])
async def test_errors_of_a_gateway(connect: Connect, status: int) -> None:
    """Fault 18: all error responses of a gateway come on one connection."""
    refusal = answer(status, b"<html>no</html>", trace_id=None)
    with Server(*[refusal] * 4, answer(), refusal, answer()) as server:
        async with connect(server, max_retries=0) as session:
            for kind in [
                *[APIStatusError] * 4,
                ClientSecret,
                APIStatusError,
                ClientSecret,
            ]:
                assert isinstance(await call(session), kind)
    assert [len(one.requests) for one in server.connections] == [7]


@pytest.mark.parametrize(
    "spell", [str.upper, str.title, str.swapcase], ids=lambda spell: spell.__name__
)
@pytest.mark.parametrize("status", [200, 400])
async def test_other_spelling(
    connect: Connect, spell: Callable[[str], str], status: int
) -> None:
    """Fault 18: the connection is kept if our trace ID comes back in other letters."""

    def step(connection: Connection, request: Request) -> None:
        trace_id = spell(request.header("Trace-Id"))
        connection.send(response(request, status, trace_id=trace_id))

    with Server(step) as server:
        async with connect(server, max_retries=0) as session:
            for _ in range(3):
                trace_id = uuid4()
                result = await call(session, trace_id=trace_id)
                assert isinstance(
                    result, ClientSecret if status == 200 else APIStatusError
                )
                assert result.trace_id == trace_id
    assert [len(one.requests) for one in server.connections] == [3]


@pytest.mark.slow
@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize(
    "send",
    [
        pytest.param(together, marks=delivered_on_httpx),
        pytest.param(with_the_end, marks=delivered_on_httpx),
        right_after,
        when_idle,
    ],
)
async def test_surplus_after_an_error_without_a_trace_id(
    connect: Connect, send: Send
) -> None:
    """Fault 18: after an error without a trace ID, a result needs one."""

    def step(connection: Connection, request: Request) -> None:
        error = response(request, 503, b"", trace_id=None)
        send(connection, error, response(request, 200, FOREIGN, trace_id=None))

    with Server(step, answer()) as server:
        async with connect(server) as session:
            once = session.with_options(max_retries=0)
            with pytest.raises((ServiceUnavailableError, httpx.HTTPStatusError)):
                await once.client_secrets.create(PAYER)
            await all_sent(server)
            await check_own(server, session)
            await eventually(server.connections[0].closed.is_set)


async def test_without_the_check(connect: Connect, transport: str) -> None:
    """Fault 18: without the trace ID check, a surplus response may be delivered.

    httpx reads it as the next response, and only the trace ID of the result reveals it.
    aiohttp closes a connection that received more bytes than expected.
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
