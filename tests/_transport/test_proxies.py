"""Proxies: which one is used, what it is sent, and which ones are refused."""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from plastiq_async import (
    APIConnectionError,
    APIStatusError,
    ConfigurationError,
    PlastiqError,
    PlastiqSession,
)
from plastiq_async._transport import proxies as proxies_module
from tests.support.private_texts import assert_untold, texts_of
from tests.support.sessions import PAYER, TOKEN, session_for
from tests.support.socket_server import Server
from tests.support.steps import answer
from tests.support.tunnel import SocksProxy, TunnelProxy
from tests.support.wirings import WIRINGS

CREDENTIALS = "user:passw0rd"
BASIC = "Basic " + base64.b64encode(CREDENTIALS.encode()).decode()
# Nobody listens there, and https is refused without a connection.
ELSEWHERE = "https://a.example/api"


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
def origin(server_tls: ssl.SSLContext) -> Iterator[Server]:
    """Run a server with https."""
    with Server(answer(), tls=server_tls) as server:
        yield server


def with_credentials(url: str) -> str:
    """Return a URL with the credentials."""
    return url.replace("//", f"//{CREDENTIALS}@")


async def create(server: Server, **options: Any) -> None:
    """Make one successful call."""
    async with session_for(server, **options) as session:
        await session.client_secrets.create(PAYER)


async def fail(**options: Any) -> PlastiqError:
    """Return the error of a call, which tells no password."""
    async with PlastiqSession(TOKEN, **{"verify": False} | options) as session:
        with pytest.raises(PlastiqError) as info:
            await session.client_secrets.create(PAYER)
    assert_untold(texts_of(info.value), ["passw0rd", BASIC])
    return info.value


@pytest.mark.parametrize("kind", ["URL", "object", "auth"])
async def test_http_server(
    kind: str, transport: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy of the argument gets the whole request to an http server."""
    monkeypatch.setenv("NO_PROXY", "*")
    with Server(answer()) as server, Server(answer()) as proxy:
        url = with_credentials(proxy.url)
        headers = [("X-Tenant", "blue"), ("X-Tenant", "red"), ("Trace-Id", "other")]
        chosen: str | httpx.Proxy = url
        if kind == "object":
            chosen = httpx.Proxy(url, headers=headers)
        elif kind == "auth":
            chosen = httpx.Proxy(proxy.url, auth=("user", "passw0rd"))
        async with session_for(server, transport=transport, proxy=chosen) as session:
            for _ in range(2):
                await session.client_secrets.create(PAYER)
        assert server.requests == []
    assert len(proxy.connections) == 1
    for request in proxy.requests:
        assert request.line == f"POST {server.base_url}/client-secrets HTTP/1.1"
        assert request.header("Proxy-Authorization") == BASIC
        assert request.header("X-Tenant") == ("blue, red" if kind == "object" else "")
        # The request's own header takes precedence.
        assert "other" not in request.header("Trace-Id")
        assert request.header("Authorization") == f"Bearer {TOKEN}"


@pytest.mark.parametrize("proxy_tls", [False, True], ids=["http", "https"])
async def test_https_server(
    proxy_tls: bool,
    transport: Any,
    origin: Server,
    server_tls: ssl.SSLContext,
    ca_file: Path,
) -> None:
    """A proxy sees only its own credentials and headers; the server sees neither.

    `verify` is also what an https proxy is checked with.
    """
    with TunnelProxy(server_tls if proxy_tls else None) as proxy:
        chosen = httpx.Proxy(with_credentials(proxy.url), headers={"X-Tenant": "blue"})
        await create(origin, transport=transport, proxy=chosen, verify=str(ca_file))
    (head,) = proxy.heads
    address = origin.url.removeprefix("https://")
    assert head.startswith(f"CONNECT {address} HTTP/1.1\r\n")
    assert f"proxy-authorization: {BASIC.lower()}\r\n" in head.lower()
    assert "x-tenant: blue\r\n" in head.lower()
    assert TOKEN not in head
    (request,) = origin.requests
    assert request.line == "POST /api/client-secrets HTTP/1.1"
    assert not request.header("Proxy-Authorization")
    assert not request.header("X-Tenant")


async def test_http_server_through_https(
    transport: Any, server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    """An https proxy on a loopback host gets the requests to an http server."""
    with Server(answer(), tls=server_tls) as proxy, Server(answer()) as server:
        url = with_credentials(proxy.url)
        await create(server, transport=transport, proxy=url, verify=str(ca_file))
        assert server.requests == []
    assert proxy.requests[0].header("Proxy-Authorization") == BASIC


async def test_untrusted_proxy(transport: Any, ca_file: Path) -> None:
    """An https proxy with a certificate of another authority is not used."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    with TunnelProxy(tls) as proxy:
        error = await fail(
            base_url=ELSEWHERE,
            transport=transport,
            proxy=with_credentials(proxy.url),
            verify=str(ca_file),
            max_retries=0,
        )
    assert proxy.heads == []
    assert "certificate verify failed" in str(error)
    assert not error.outcome_unknown


async def test_context_of_the_proxy(
    transport: Any, origin: Server, ca_file: Path
) -> None:
    """A TLS context for the proxy alone is used, or refused by aiohttp."""
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with TunnelProxy(tls) as proxy:
        chosen = httpx.Proxy(proxy.url, ssl_context=context)
        options: dict[str, Any] = {"transport": transport, "proxy": chosen}
        if transport == "aiohttp":
            with pytest.raises(ConfigurationError, match='transport="httpx" supports'):
                session_for(origin, verify=str(ca_file), **options)
            # If it is the session's, there is nothing to refuse.
            authority.configure_trust(context)
            context.load_verify_locations(ca_file)
            await create(origin, verify=context, **options)
        else:
            await create(origin, verify=str(ca_file), **options)
    assert len(proxy.heads) == len(origin.requests) == 1


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
async def test_socks(
    scheme: str, transport: Any, origin: Server, ca_file: Path
) -> None:
    """A SOCKS proxy works on httpx; aiohttp refuses it and says what supports it."""
    with SocksProxy(accept=True) as proxy:
        url = with_credentials(proxy.url).replace("socks5", scheme)
        options = {"transport": transport, "proxy": url, "verify": str(ca_file)}
        if transport == "aiohttp":
            with pytest.raises(ConfigurationError) as info:
                session_for(origin, **options)
            assert str(info.value) == (
                'proxy is not usable: transport="aiohttp" does not support SOCKS, but '
                'transport="httpx" does'
            )
            return
        await create(origin, **options)
    assert proxy.heads == [CREDENTIALS]


@pytest.mark.usefixtures("quick_retries")
async def test_socks_with_a_wrong_password(wiring: tuple[str, str]) -> None:
    """A SOCKS proxy that refuses the password is not asked again."""
    if wiring[1] == "aiohttp":
        return
    with SocksProxy(accept=False) as proxy:
        error = await fail(base_url=ELSEWHERE, proxy=with_credentials(proxy.url))
    assert isinstance(error, APIConnectionError)
    assert "Invalid username/password" in str(error)
    assert (error.attempts, error.transient, error.next_step) == (1, False, "fix")
    assert len(proxy.heads) == 1


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize(
    ("status", "attempts"),
    [(407, 1), (403, 1), (400, 1), (302, 1), (502, 3), (503, 3), (504, 3), (429, 3)],
)
async def test_refused_tunnel(status: int, attempts: int, transport: Any) -> None:
    """A refusal of a tunnel shows its status, and is retried if it is transient."""
    with Server(answer(status, b"s3cr3t")) as proxy:
        error = await fail(
            base_url=ELSEWHERE, transport=transport, proxy=with_credentials(proxy.url)
        )
    assert type(error) is APIConnectionError
    assert f": {status} " in str(error)
    assert "Whatever" not in str(error)
    assert "s3cr3t" not in str(error)
    address = proxy.url.removeprefix("http://")
    assert f"(a.example:443, proxy {address})" in str(error)
    assert (error.host, error.attempts) == ("a.example", attempts)
    assert error.transient == (attempts > 1)
    assert error.next_step == ("again" if attempts > 1 else "fix")
    assert len(proxy.requests) == attempts
    assert not error.outcome_unknown


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize(("status", "attempts"), [(407, 1), (403, 1), (502, 3)])
async def test_refused_request(status: int, attempts: int, transport: Any) -> None:
    """A refusal of a request to an http server is a response with this status."""
    with Server(answer(status, b"", trace_id=None)) as proxy:
        error = await fail(
            base_url="http://127.0.0.1:9", transport=transport, proxy=proxy.url
        )
    assert isinstance(error, APIStatusError)
    assert (error.status_code, error.attempts) == (status, attempts)
    assert str(error).startswith(f"{status}: ")


@pytest.mark.parametrize(
    ("variables", "options", "uses_proxy"),
    [
        ({"HTTPS_PROXY": "{url}"}, {}, True),
        ({"https_proxy": "{address}"}, {}, True),
        ({"ALL_PROXY": "{url}"}, {}, True),
        ({"HTTPS_PROXY": "{url}", "ALL_PROXY": "http://127.0.0.1:1"}, {}, True),
        ({"HTTP_PROXY": "{url}"}, {}, False),
        ({"ALL_PROXY": "{url}", "NO_PROXY": "127.0.0.1"}, {}, False),
        ({"ALL_PROXY": "{url}", "NO_PROXY": "::ffff:127.0.0.1"}, {}, False),
        ({"ALL_PROXY": "{url}", "NO_PROXY": "127.0.0.1:{port}"}, {}, False),
        ({"ALL_PROXY": "{url}", "NO_PROXY": "127.0.0.1:1"}, {}, True),
        ({"ALL_PROXY": "{url}", "no_proxy": "a.example, 127.0.0.0/8"}, {}, False),
        ({"ALL_PROXY": "{url}", "NO_PROXY": "a.example,*"}, {}, False),
        ({"ALL_PROXY": "{url}", "NO_PROXY": "a.example"}, {}, True),
        ({"ALL_PROXY": "{url}"}, {"trust_env": False}, False),
        ({"ALL_PROXY": "http://127.0.0.1:1"}, {"proxy": "{url}"}, True),
        ({"NO_PROXY": "*"}, {"proxy": "{url}"}, True),
    ],
)
async def test_environment(
    *,
    variables: dict[str, str],
    options: dict[str, Any],
    uses_proxy: bool,
    transport: Any,
    origin: Server,
    ca_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The usual variables set the proxy, unless one is given or they are not read."""
    with TunnelProxy() as proxy:
        texts = {
            "url": proxy.url,
            "address": proxy.url.removeprefix("http://"),
            "port": origin.url.rpartition(":")[2],
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value.format(**texts))
        if "proxy" in options:
            options = {"proxy": options["proxy"].format(**texts)}
        await create(origin, transport=transport, verify=str(ca_file), **options)
    assert bool(proxy.heads) == uses_proxy
    assert len(origin.requests) == 1


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "a.localhost", "plastiq-fake"],
)
async def test_no_environment_proxy_over_http(
    name: str, host: str, transport: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy of the environment never gets a request with the token in clear text."""
    getaddrinfo = socket.getaddrinfo

    def resolve(name: str | bytes | None, *args: Any, **kwargs: Any) -> Any:
        text = name.decode() if isinstance(name, bytes) else name
        known = text in {"a.localhost", "plastiq-fake"}
        return getaddrinfo("127.0.0.1" if known else name, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with Server(answer()) as server, Server(answer()) as proxy:
        monkeypatch.setenv(name, proxy.url)
        url = server.base_url.replace("127.0.0.1", host)
        options = {"transport": transport, "allow_http_hosts": ["plastiq-fake"]}
        if ":" in host:
            # The server has an IPv4 socket, which not all systems let IPv6 reach.
            monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        await create(server, base_url=url, **options)
        assert not proxy.connections
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("base_url", "proxy", "usable"),
    [
        ("http://127.0.0.1", "http://127.0.0.2:9", True),
        ("http://127.0.0.1", "https://[::1]:9", True),
        ("http://127.0.0.1", "http://proxy.localhost:9", True),
        ("http://127.0.0.1", "http://PLASTIQ-FAKE:9", True),
        ("http://127.0.0.1", "http://user:passw0rd@10.0.0.1:9", False),
        ("http://127.0.0.1", "https://user:passw0rd@proxy.example:9", False),
        ("http://127.0.0.1", "http://user:passw0rd@localhost.example:9", False),
        ("http://localhost", "http://user:passw0rd@10.0.0.1:9", False),
        ("http://[::1]", "http://user:passw0rd@10.0.0.1:9", False),
        ("http://plastiq-fake", "http://user:passw0rd@10.0.0.1:9", False),
        ("http://plastiq-fake", "http://127.0.0.1:9", True),
        ("https://127.0.0.1", "http://user:passw0rd@10.0.0.1:9", True),
        ("https://a.example", "http://user:passw0rd@proxy.example:9", True),
    ],
)
async def test_proxy_that_would_read_the_token(
    base_url: str, proxy: str, usable: bool, transport: Any
) -> None:
    """Over http, the only usable proxies are where a server over http could be."""
    options: dict[str, Any] = {"base_url": base_url, "transport": transport}
    options |= {"allow_http_hosts": ("plastiq-fake",), "verify": False}
    for value in (proxy, httpx.Proxy(proxy)):
        if usable:
            await PlastiqSession(TOKEN, proxy=value, **options).aclose()
            continue
        with pytest.raises(ConfigurationError) as info:
            PlastiqSession(TOKEN, proxy=value, **options)
        assert str(info.value).startswith("proxy is not usable: it would read the ")
        assert "allow_http_hosts" not in str(info.value)
        assert_untold(texts_of(info.value), ["passw0rd"])


HEADERS = {"X-Tenant": "blue"}
CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
SCHEMES = "the scheme of its URL must be one of http, https, socks5, socks5h"


@pytest.mark.parametrize(
    ("proxy", "problem"),
    [
        ("http://user:passw0rd@host:port", "it is not a valid URL"),
        ("http://user:passw0rd@[::1", "it is not a valid URL"),
        ("http://user:passw\n0rd@host", "it is not a valid URL"),
        (5, "it is not a valid URL"),
        ("ftp://user:passw0rd@host", SCHEMES),
        ("//user:passw0rd@host", SCHEMES),
        ("", SCHEMES),
        ("http://", "its URL must have a valid host"),
        ("http://user:passw0rd@", "its URL must have a valid host"),
        ("http://user:passw0rd@a..example", "its URL must have a valid host"),
        ("http://user:passw0rd@host:0", "the port of its URL must be between"),
        (
            httpx.Proxy("http://127.0.0.1", ssl_context=CONTEXT),
            "its ssl_context has no use, because its URL is not one of https",
        ),
        (
            httpx.Proxy("http://127.0.0.1", headers={"X-Tenant": "passw0rd\r\nX: y"}),
            "the name or value of one of its headers is not valid",
        ),
        (
            httpx.Proxy("http://127.0.0.1", headers={"passw0rd ": "blue"}),
            "the name or value of one of its headers is not valid",
        ),
    ],
)
def test_bad_proxy(proxy: Any, problem: str, transport: Any) -> None:
    """The error for a proxy that is not usable says why, without its value."""
    with pytest.raises(ConfigurationError) as info:
        PlastiqSession(TOKEN, proxy=proxy, transport=transport, verify=False)
    assert str(info.value).startswith(f"proxy is not usable: {problem}")
    assert info.value.__context__ is None
    assert_untold(texts_of(info.value), ["passw0rd", "passw\n0rd"])


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"headers": HEADERS}, "SOCKS has no headers"),
        ({"ssl_context": CONTEXT}, "its ssl_context has no use"),
    ],
)
def test_what_socks_would_ignore(options: dict[str, Any], problem: str) -> None:
    """Headers and a TLS context are refused if SOCKS would ignore them."""
    proxy = httpx.Proxy("socks5://127.0.0.1", **options)
    with pytest.raises(ConfigurationError, match=f"^proxy is not usable: {problem}"):
        PlastiqSession(TOKEN, proxy=proxy, verify=False)


@pytest.mark.parametrize("bypassed", [False, True])
async def test_settings_of_the_system(
    bypassed: bool,
    transport: Any,
    origin: Server,
    ca_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On macOS and Windows, the system's settings are used if no variable is set."""
    asked: list[str] = []

    def bypass(host: str) -> bool:
        asked.append(host)
        return bypassed

    with TunnelProxy() as proxy:
        # These functions read the system's settings only there.
        settings = {"https": proxy.url}
        monkeypatch.setattr(proxies_module, "getproxies", lambda: settings)
        monkeypatch.setattr(proxies_module, "proxy_bypass", bypass)
        await create(origin, transport=transport, verify=str(ca_file))
    assert asked == [origin.url.removeprefix("https://")]
    assert bool(proxy.heads) != bypassed
