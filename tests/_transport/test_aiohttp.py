"""The aiohttp transport: its errors, its connections, and what it leaves alone."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from pathlib import Path

import anyio
import pytest

from plastiq_async import (
    APIConnectionError,
    ConfigurationError,
    EndUser,
    PlastiqError,
    PlastiqSession,
)
from tests.helpers import PAYER, TOKEN, eventually, session_for
from tests.servers import Connection, Request, Server, Step
from tests.steps import answer, drop, reset, response


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio: this transport is for nothing else."""
    return "asyncio"


def session(server: Server, **options: object) -> PlastiqSession:
    """Return a session that uses aiohttp and tries once."""
    return session_for(server, transport="aiohttp", max_retries=0, **options)


async def fail(server: Server, **options: object) -> PlastiqError:
    """Return the error that a call ends in."""
    async with session(server, **options) as plastiq:
        with pytest.raises(PlastiqError) as info:
            await plastiq.client_secrets.create(PAYER)
    return info.value


def garbage(connection: Connection, _: Request) -> None:
    """Answer with what is no HTTP, and quotes a secret."""
    connection.send(b"s3cr3t s3cr3t\r\n\r\n")


def half(connection: Connection, request: Request) -> None:
    """Answer with half a body, and hang up."""
    connection.send(response(request)[:-10])
    connection.close()


async def test_request_and_answer() -> None:
    """The request is ours to the letter: no cookies, no headers of aiohttp's own."""
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
    """A request that was taken and not answered has an unknown outcome."""
    with Server(step) as server:
        error = await fail(server)
    assert type(error) is APIConnectionError
    assert error.outcome_unknown
    assert "s3cr3t" not in f"{error!r}{error.__cause__!r}{error.__context__!r}"


async def test_refused() -> None:
    """Where nobody listens, nothing was sent."""
    with Server(answer()) as server:
        pass
    error = await fail(server)
    assert type(error) is APIConnectionError
    assert not error.outcome_unknown


@pytest.mark.parametrize("credentials", ["user:passw0rd@", ""])
async def test_tunnel(
    credentials: str, server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    """The proxy gets the address and its password, and no more."""

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
    """A proxy that is not there is a connection error without its password."""
    with Server(answer()) as origin, Server(answer()) as proxy:
        pass
    url = proxy.url.replace("//", "//user:passw0rd@")
    error = await fail(origin, proxy=url)
    assert not error.outcome_unknown
    assert "passw0rd" not in f"{error!r}{error.__cause__!r}{error.__context__!r}"


@pytest.mark.parametrize("delay", [0, 0.02])
async def test_connection_after_an_answer_without_a_trace_id(delay: float) -> None:
    """It is closed, whether or not the body came along with the headers."""

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
    """Where trace IDs are not verified, such an answer ends no connection."""
    with Server(answer(trace_id=None)) as server:
        async with session(server, verify_trace_id=False) as plastiq:
            await plastiq.client_secrets.create(PAYER)
            await plastiq.client_secrets.create(PAYER)
    assert len(server.connections) == 1


async def test_keep_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle connections are probed, so that no gateway forgets them silently."""
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


def test_on_trio() -> None:
    """On another event loop than asyncio's it says so."""

    async def main() -> None:
        async with PlastiqSession(TOKEN, transport="aiohttp") as plastiq:
            with pytest.raises(ConfigurationError, match="asyncio only"):
                await plastiq.client_secrets.create(PAYER)

    anyio.run(main, backend="trio")
