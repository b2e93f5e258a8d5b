"""The aiohttp transport: requests, errors and connections."""

from __future__ import annotations

import asyncio
import base64
import gc
import socket
import ssl
import weakref
from contextlib import suppress
from pathlib import Path

import anyio
import httpx
import pytest

from plastiq_async import (
    APIConnectionError,
    APIResponseError,
    ConfigurationError,
    EndUser,
    PlastiqError,
    PlastiqSession,
)
from plastiq_async._transport.bounded import MAX_BODY
from plastiq_async.middleware import Handler
from tests.support.sessions import PAYER, TOKEN, session_for
from tests.support.socket_server import Connection, Request, Server, Step
from tests.support.steps import answer, drop, reset, response
from tests.support.timing import eventually


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, the only event loop that aiohttp supports."""
    return "asyncio"


def session(server: Server, **options: object) -> PlastiqSession:
    """Return a session on aiohttp without retries."""
    return session_for(server, transport="aiohttp", max_retries=0, **options)


async def fail(server: Server, **options: object) -> PlastiqError:
    """Return the error of a call that must fail."""
    async with session(server, **options) as plastiq:
        with pytest.raises(PlastiqError) as info:
            await plastiq.client_secrets.create(PAYER)
    return info.value


def garbage(connection: Connection, _: Request) -> None:
    """Send bytes that are not HTTP and contain a secret."""
    connection.send(b"s3cr3t s3cr3t\r\n\r\n")


def half(connection: Connection, request: Request) -> None:
    """Send a response with a truncated body, and close the connection."""
    connection.send(response(request)[:-10])
    connection.close()


async def test_request_and_answer() -> None:
    """The aiohttp library adds neither cookies nor headers to a request."""
    with Server(answer(headers=[("Set-Cookie", "a=b; Path=/")]), answer()) as server:
        async with session(server) as plastiq:
            for agent in ("Mozilla/5.0", None):
                await plastiq.client_secrets.create(
                    PAYER, end_user=EndUser(user_agent=agent)
                )
    first, second = server.requests
    assert first.body == second.body
    assert first.header("User-Agent") == "Mozilla/5.0"
    assert second.header("User-Agent").startswith("plastiq-async/")
    assert {name.lower() for name, _ in second.headers} == {
        "host",
        "accept",
        "accept-encoding",
        "content-type",
        "content-length",
        "user-agent",
        "trace-id",
        "authorization",
    }
    assert len(server.connections) == 1


@pytest.mark.parametrize("step", [drop, reset, half, garbage])
async def test_lost_answer(step: Step) -> None:
    """The outcome is unknown if the server got the request but did not respond."""
    with Server(step) as server:
        error = await fail(server)
    assert type(error) is APIConnectionError
    assert error.outcome_unknown
    assert "s3cr3t" not in f"{error!r}{error.__cause__!r}{error.__context__!r}"


async def test_refused() -> None:
    """The outcome is known if the connection is refused."""
    with Server(answer()) as server:
        pass
    error = await fail(server)
    assert type(error) is APIConnectionError
    assert not error.outcome_unknown


@pytest.mark.parametrize("credentials", ["user:passw0rd@", ""])
async def test_tunnel(
    credentials: str, server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    """The proxy and the server each receive only their own credentials."""

    def tunnel(connection: Connection, _: Request) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
        connection.start_tls(server_tls)

    with Server(tunnel, answer()) as proxy:
        async with PlastiqSession(
            TOKEN,
            transport="aiohttp",
            base_url="https://127.0.0.1:9/api",
            verify=str(ca_file),
            proxy=proxy.url.replace("//", f"//{credentials}"),
        ) as plastiq:
            await plastiq.client_secrets.create(PAYER)
    connect, post = proxy.requests
    assert connect.line == "CONNECT 127.0.0.1:9 HTTP/1.1"
    assert not connect.header("Authorization")
    basic = base64.b64encode(credentials.removesuffix("@").encode()).decode()
    assert connect.header("Proxy-Authorization") == (basic and f"Basic {basic}")
    assert post.line == "POST /api/client-secrets HTTP/1.1"
    assert not post.header("Proxy-Authorization")


async def test_dead_proxy() -> None:
    """The error for an unreachable proxy does not contain the proxy's password."""
    with Server(answer()) as origin, Server(answer()) as proxy:
        pass
    url = proxy.url.replace("//", "//user:passw0rd@")
    error = await fail(origin, proxy=url)
    assert not error.outcome_unknown
    assert "passw0rd" not in f"{error!r}{error.__cause__!r}{error.__context__!r}"


@pytest.mark.parametrize("delay", [0, 0.02])
async def test_connection_after_an_answer_without_a_trace_id(delay: float) -> None:
    """A connection is closed after a response without a trace ID."""

    def slowly(connection: Connection, request: Request) -> None:
        whole = response(request, trace_id=None)
        connection.send(whole[:-1] if delay else whole)
        connection.pause(delay)
        connection.send(whole[-1:] if delay else b"")

    with Server(slowly) as server:
        async with session(server) as plastiq:
            await plastiq.client_secrets.create(PAYER)
            await plastiq.client_secrets.create(PAYER)
            await eventually(lambda: server.open_connections == 0)
    assert len(server.connections) == 2


async def test_without_verification() -> None:
    """Without the trace ID check, a missing trace ID keeps the connection."""
    with Server(answer(trace_id=None)) as server:
        async with session(server, verify_trace_id=False) as plastiq:
            await plastiq.client_secrets.create(PAYER)
            await plastiq.client_secrets.create(PAYER)
    assert len(server.connections) == 1


async def test_keep_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """TCP keep-alive is enabled, so that gateways do not drop idle connections."""
    made: list[socket.socket] = []
    connect = asyncio.get_running_loop().sock_connect

    async def spy(sock: socket.socket, address: object) -> None:
        made.append(sock)
        await connect(sock, address)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", spy)
    with Server(answer()) as server:
        async with session(server) as plastiq:
            await plastiq.client_secrets.create(PAYER)
            assert made[0].getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


async def test_nothing_is_kept_of_an_abandoned_body() -> None:
    """An oversized response does not keep its request in memory."""
    requests: list[weakref.ref[httpx.Request]] = []

    async def watch(request: httpx.Request, call_next: Handler) -> httpx.Response:
        requests.append(weakref.ref(request))
        return await call_next(request)

    with Server(answer(200, bytes(2 * MAX_BODY))) as server:
        async with session(server, middleware=[watch]) as plastiq:
            # Not pytest.raises, because it would keep the traceback alive.
            with suppress(APIResponseError):
                await plastiq.client_secrets.create(PAYER)
    gc.collect()
    assert [one() for one in requests] == [None]


def test_on_trio() -> None:
    """A call on trio raises a ConfigurationError."""

    async def main() -> None:
        async with PlastiqSession(TOKEN, transport="aiohttp") as plastiq:
            with pytest.raises(ConfigurationError, match="asyncio only"):
                await plastiq.client_secrets.create(PAYER)

    anyio.run(main, backend="trio")
