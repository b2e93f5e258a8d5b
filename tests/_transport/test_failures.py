"""Connection errors: their reason, host and port, on each event loop and transport."""

from __future__ import annotations

import errno
import itertools
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from plastiq_async import APIConnectionError, PlastiqSession, _request
from plastiq_async._transport.failures import connection_error, reason_of
from tests.support.checks import check_form
from tests.support.private_texts import assert_untold, texts_of
from tests.support.sessions import PAYER, TOKEN
from tests.support.socket_server import Connection, Request, Server
from tests.support.steps import answer, drop, ignore, reset
from tests.support.tunnel import TunnelProxy
from tests.support.wirings import WIRINGS

REFUSED = os.strerror(errno.ECONNREFUSED)
RESET = os.strerror(errno.ECONNRESET)
UNKNOWN = "Name or service not known"


@pytest.fixture(params=WIRINGS, ids="-".join)
def wiring(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Run each test on each event loop and transport."""
    backend, transport = request.param
    return backend, transport


@pytest.fixture
def anyio_backend(wiring: tuple[str, str]) -> str:
    """Return the event loop for the test."""
    return wiring[0]


@pytest.fixture
def transport(wiring: tuple[str, str]) -> Any:
    """Return the transport for the test."""
    return wiring[1]


@pytest.fixture
def port() -> Iterator[int]:
    """Return a port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture(autouse=True)
def _resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve some names as a real resolver might, without a network."""
    getaddrinfo = socket.getaddrinfo

    def resolve(host: str | bytes | None, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name == "unknown.example":
            raise socket.gaierror(socket.EAI_NONAME, UNKNOWN)
        if name == "several.localhost":
            found = (getaddrinfo(f"127.0.0.{n}", *args, **kwargs) for n in range(1, 4))
            return [one for each in found for one in each]
        return getaddrinfo(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


async def fail(**options: Any) -> APIConnectionError:
    """Return the error of a call without a response, which tells no password."""
    settings = {"verify": False, "max_retries": 0} | options
    async with PlastiqSession(TOKEN, **settings) as session:
        with pytest.raises(APIConnectionError) as info:
            await session.client_secrets.create(PAYER)
    assert type(info.value) is APIConnectionError
    assert_untold(texts_of(info.value), ["passw0rd"])
    check_form(info.value)
    assert info.value.transient
    return info.value


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "::1"),
        ("localhost", "localhost"),
        ("several.localhost", "several.localhost"),
    ],
)
async def test_refused(host: str, shown: str, transport: Any, port: int) -> None:
    """The error of a refused connection says so once, however many addresses it has."""
    error = await fail(base_url=f"http://{host}:{port}/api", transport=transport)
    assert error.args[0] == f"ConnectError: {REFUSED} ({host}:{port})"
    assert error.host == shown
    assert not error.outcome_unknown


async def test_unknown_name(transport: Any) -> None:
    """The error of a name that does not resolve has the resolver's reason."""
    error = await fail(base_url="https://unknown.example", transport=transport)
    assert error.args[0] == f"ConnectError: {UNKNOWN} (unknown.example:443)"
    assert error.host == "unknown.example"


@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
async def test_unreachable_proxy(scheme: str, transport: Any, port: int) -> None:
    """The error has the proxy's address, too, but `host` is that of the base URL."""
    if (scheme, transport) == ("socks5", "aiohttp"):
        return
    for host, reason in [("127.0.0.1", REFUSED), ("unknown.example", UNKNOWN)]:
        error = await fail(
            base_url="https://a.example/api",
            transport=transport,
            proxy=f"{scheme}://user:passw0rd@{host}:{port}",
        )
        assert error.args[0] == (
            f"ConnectError: {reason} (a.example:443, proxy {host}:{port})"
        )
        assert error.host == "a.example"
        assert not error.outcome_unknown


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://unknown.example", "unknown.example:80"),
        ("https://unknown.example", "unknown.example:443"),
        ("http://[::1]:1", "[::1]:1"),
    ],
)
async def test_address_of_the_proxy(url: str, address: str, transport: Any) -> None:
    """A proxy without a port is named with the default one."""
    error = await fail(base_url="https://a.example", transport=transport, proxy=url)
    assert f"(a.example:443, proxy {address})" in str(error)


@pytest.mark.parametrize("tunnel", [False, True])
async def test_untrusted(
    tunnel: bool, transport: Any, server_tls: ssl.SSLContext, tmp_path: Path
) -> None:
    """The error of a certificate says what is wrong with it, also through a proxy."""
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    with Server(answer(), tls=server_tls) as server, TunnelProxy() as proxy:
        error = await fail(
            base_url=server.base_url,
            transport=transport,
            verify=str(other),
            proxy=proxy.url if tunnel else None,
        )
    assert "certificate verify failed: unable to get local issuer" in str(error)
    assert f"({server.url.removeprefix('https://')}" in str(error)
    assert not error.outcome_unknown


async def test_other_name(
    transport: Any, server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    """The error of a certificate for another name has the name that was expected."""
    with Server(answer(), tls=server_tls) as server:
        url = server.base_url.replace("127.0.0.1", "localhost")
        error = await fail(base_url=url, transport=transport, verify=str(ca_file))
    assert "certificate is not valid for 'localhost'" in str(error)


def not_tls(connection: Connection, _: Request) -> None:
    """Open the tunnel, then send bytes that are not TLS."""
    connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
    connection.pause(0.1)
    connection.send(b"HTTP/1.1 400 passw0rd\r\n\r\n")


async def test_no_tls(transport: Any) -> None:
    """The error of a server without TLS quotes OpenSSL, and not the server."""
    with Server(not_tls) as proxy:
        error = await fail(
            base_url="https://a.example", transport=transport, proxy=proxy.url
        )
    assert "SSL" in str(error)
    assert "no reason given" not in str(error)


async def test_connect_timeout(transport: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of a connect timeout says that it was one."""
    monkeypatch.setitem(_request.TIMEOUTS, "connect", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        error = await fail(base_url=f"https://{address}", transport=transport)
    assert error.args[0] == f"ConnectTimeout: timed out ({address})"
    assert not error.outcome_unknown


@pytest.mark.parametrize("step", [drop, reset])
async def test_lost(step: Any, transport: Any) -> None:
    """The error of a connection that was closed after the request says how."""
    with Server(step) as server:
        error = await fail(base_url=server.base_url, transport=transport)
    if step is reset:
        assert f"ReadError: {RESET} (" in str(error)
    else:
        assert "disconnected" in str(error).lower()
    assert error.outcome_unknown


async def test_error_that_the_caller_handles(transport: Any, port: int) -> None:
    """The reason is not that of an error which the caller is handling."""
    errors = []
    try:
        os.close(-1)
    except OSError:
        url = f"http://127.0.0.1:{port}"
        errors.append(await fail(base_url=url, transport=transport))
    (error,) = errors
    assert os.strerror(errno.EBADF) not in str(error)
    assert REFUSED in str(error)


async def test_host_of_a_timeout(transport: Any) -> None:
    """The error of a passed deadline has the host, too."""
    with Server(ignore) as server:
        options = {"base_url": server.base_url, "transport": transport}
        async with PlastiqSession(TOKEN, verify=False, **options) as session:
            with pytest.raises(APIConnectionError) as info:
                await session.client_secrets.create(PAYER, timeout=0.2)
    assert info.value.host == "127.0.0.1"


def chain(*errors: BaseException) -> BaseException:
    """Return the first error, each with the next as its cause."""
    for error, cause in itertools.pairwise(errors):
        error.__cause__ = cause
    return errors[0]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError(), ""),
        (ValueError("a"), "a"),
        (chain(ValueError(), ValueError("a"), ValueError("b")), "a"),
        (chain(ValueError("a"), OSError("b"), OSError("c")), "c"),
        (chain(ValueError("a"), OSError("b"), OSError()), "b"),
        (chain(ValueError("a"), OSError("b"), ValueError("c")), "b"),
        (OSError(errno.EPERM, "not permitted"), "not permitted"),
        (OSError(errno.ECONNREFUSED, "Connect call failed ('::1', 1, 0, 0)"), REFUSED),
        (
            OSError(errno.ECONNREFUSED, "Error connecting to ('::1', 1): refused"),
            REFUSED,
        ),
        (
            OSError(
                "Multiple exceptions: [Errno 101] no route, "
                f"[Errno {errno.ECONNREFUSED}] Connect call failed ('127.0.0.1', 1)"
            ),
            f"Multiple exceptions: no route, {REFUSED}",
        ),
        (
            chain(
                OSError("all failed"),
                ExceptionGroup("", [OSError("a"), OSError("b"), OSError("a")]),
            ),
            "a, b",
        ),
        (chain(OSError("all"), ExceptionGroup("", [ValueError("a")])), "all"),
        (OSError("a\r\nb\0"), "a  b"),
        (OSError("x" * 1000), "x" * 500),
    ],
)
def test_reason(error: BaseException, reason: str) -> None:
    """The reason is the innermost text of the operating system, else the first."""
    assert reason_of(error) == reason


NO_HTTP = "no valid HTTP (RemoteProtocolError)"
CUT = "peer closed connection without sending complete message body"
SOCKS = "Proxy Server could not connect: TTL expired."


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (httpx.RemoteProtocolError("s3cr3t"), NO_HTTP),
        (httpx.RemoteProtocolError(f"illegal: {CUT}"), NO_HTTP),
        (httpx.RemoteProtocolError(f"{CUT} s3cr3t"), f"RemoteProtocolError: {CUT}"),
        (httpx.ProxyError("502 s3cr3t"), "ProxyError: 502 Bad Gateway"),
        (httpx.ProxyError("403 s3cr3t"), "ProxyError: 403 Forbidden"),
        (httpx.ProxyError("599 s3cr3t"), "ProxyError: 599"),
        (httpx.ProxyError(SOCKS), f"ProxyError: {SOCKS}"),
        (httpx.ReadTimeout(""), "ReadTimeout: timed out"),
        (httpx.ReadError(""), "ReadError: no reason given"),
    ],
)
def test_text(error: httpx.HTTPError, text: str) -> None:
    """No text of a server or a proxy is in an error."""
    failure, _ = connection_error(error, httpx.URL("https://a.example/b"), None)
    assert failure.args[0] == f"{text} (a.example:443)"
    assert failure.transient == ("403" not in text and "599" not in text)
