"""Fault 4: connections that cannot be established until the server recovers."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import trustme

from plastiq_async import (
    APIConnectionError,
    APITimeoutError,
    PlastiqSession,
    _request,
)
from tests.support.sessions import PAYER
from tests.support.socket_server import Server
from tests.support.steps import answer
from tests.support.timing import PATIENCE, eventually, in_time
from tests.support.wirings import Connect

pytestmark = pytest.mark.usefixtures("quick_retries")

NOBODY = "nobody.invalid"


async def fail_to_connect(session: PlastiqSession) -> str:
    """Make a call that cannot connect, and return the text of its error."""
    with pytest.raises(APIConnectionError) as info:
        await session.client_secrets.create(PAYER)
    error = info.value
    assert type(error) is APIConnectionError
    assert error.attempts == 3
    assert not error.outcome_unknown
    return str(error)


async def test_refused(connect: Connect) -> None:
    """Fault 4: a call fails while connections are refused, and works afterwards."""
    server = Server(answer())
    async with connect(server) as session:
        await fail_to_connect(session)
        with server:
            await session.client_secrets.create(PAYER)


@pytest.fixture
def resolvable(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return a set; host names added to it resolve to 127.0.0.1.

    The resolver is patched because a real one may need minutes without a network.
    """
    names: set[str] = set()
    getaddrinfo = socket.getaddrinfo

    def resolve(host: str | bytes | None, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name == NOBODY:
            if name not in names:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            host = "127.0.0.1"
        return getaddrinfo(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return names


async def test_unresolvable(
    connect: Connect, authority: trustme.CA, ca_file: Path, resolvable: set[str]
) -> None:
    """Fault 4: a call fails while DNS resolution fails, and works afterwards."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NOBODY).configure_cert(tls)
    with Server(answer(), tls=tls) as server:
        url = server.base_url.replace("127.0.0.1", NOBODY)
        async with connect(server, base_url=url, verify=str(ca_file)) as session:
            assert "not known" in await fail_to_connect(session)
            assert not server.connections
            resolvable.add(NOBODY)
            await session.client_secrets.create(PAYER)


@contextmanager
def full_backlog(server: Server) -> Iterator[None]:
    """Fill the backlog, so that TCP handshakes of further connections hang."""
    server.listener.listen(0)
    with ExitStack() as stack:
        while True:
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0.2)
            try:
                filler.connect(server.listener.getsockname())
            except TimeoutError:
                break
        yield


@contextmanager
def silent_server(server: Server) -> Iterator[None]:
    """Accept TCP connections, but do nothing on them."""
    server.listener.listen()
    yield


@contextmanager
def slow_resolver(_: Server) -> Iterator[None]:
    """Make DNS resolution hang."""
    over = threading.Event()
    getaddrinfo = socket.getaddrinfo

    def resolve(host: str | bytes | None, port: int, *rest: int) -> Any:
        *_, flags = rest
        # trio first checks for an IP address, in the thread of the event loop.
        if not flags & socket.AI_NUMERICHOST:
            over.wait(10)
        return getaddrinfo(host, port, *rest)

    with patch.object(socket, "getaddrinfo", resolve):
        yield
        over.set()


slow_to_connect = pytest.mark.parametrize(
    ("slow", "url"),
    [
        (full_backlog, "http://127.0.0.1"),
        (silent_server, "https://127.0.0.1"),
        (slow_resolver, "http://localhost"),
    ],
    ids=["TCP", "TLS", "DNS"],
)
Slow = Callable[[Server], AbstractContextManager[None]]


@pytest.fixture
def server(url: str, server_tls: ssl.SSLContext) -> Server:
    """Return a server that the test starts."""
    return Server(answer(), tls=server_tls if url.startswith("https") else None)


@pytest.fixture
def session(
    connect: Connect, server: Server, url: str, ca_file: Path
) -> PlastiqSession:
    """Return a session for the server at the parametrized URL."""
    _, address = server.base_url.split("//127.0.0.1")
    return connect(server, base_url=f"{url}{address}", verify=str(ca_file))


@pytest.mark.slow
@slow_to_connect
async def test_connect_timeout(
    slow: Slow, server: Server, session: PlastiqSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 4: a connect timeout leaves time for further attempts."""
    # Shorter than the default of 5 s, because there are three attempts.
    monkeypatch.setitem(_request.TIMEOUTS, "connect", 0.2)
    async with session:
        with slow(server):
            await fail_to_connect(session)
        monkeypatch.undo()
        with server:
            await session.client_secrets.create(PAYER)
            await eventually(lambda: server.open_connections == 1)


@pytest.mark.slow
@slow_to_connect
async def test_deadline(slow: Slow, server: Server, session: PlastiqSession) -> None:
    """Fault 7: a call ends at its deadline while connecting; nothing was sent."""
    async with session:
        with slow(server):
            async with in_time():
                with pytest.raises(APITimeoutError) as info:
                    await session.client_secrets.create(PAYER, timeout=PATIENCE)
            assert (info.value.attempts, info.value.outcome_unknown) == (1, False)
        with server:
            await session.client_secrets.create(PAYER)
            await eventually(lambda: server.open_connections == 1)


class Handshakes(ssl.SSLContext):
    """A TLS context that replaces the first handshakes with other bytes."""

    others: list[bytes]

    def wrap_socket(
        self, sock: socket.socket, *args: Any, **kwargs: Any
    ) -> ssl.SSLSocket:
        """Do the handshake, unless there are other bytes left to send."""
        if self.others:
            sock.recv(1 << 16)
            sock.sendall(self.others.pop())
            raise OSError
        return super().wrap_socket(sock, *args, **kwargs)


@pytest.mark.parametrize("other", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15", b""])
async def test_no_tls(
    connect: Connect, authority: trustme.CA, ca_file: Path, other: bytes
) -> None:
    """Fault 4: a call fails if the server does not speak TLS, or hangs up."""
    tls = Handshakes(ssl.PROTOCOL_TLS_SERVER)
    tls.others = [other] * 3
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with Server(answer(), tls=tls) as server:
        async with connect(server, verify=str(ca_file)) as session:
            await fail_to_connect(session)
            await eventually(lambda: server.open_connections == 0)
            await session.client_secrets.create(PAYER)
    assert len(server.requests) == 1


async def test_untrusted(
    connect: Connect, authority: trustme.CA, ca_file: Path
) -> None:
    """Fault 4: a call fails if the server's certificate is not trusted."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    with Server(answer(), tls=tls) as server:
        async with connect(server, verify=str(ca_file)) as session:
            assert "CERT" in (await fail_to_connect(session)).upper()
            await eventually(lambda: server.open_connections == 0)
            authority.issue_cert("127.0.0.1").configure_cert(tls)
            await session.client_secrets.create(PAYER)
    assert len(server.requests) == 1
