"""Transport settings: TLS, proxies, and errors in their values."""

from __future__ import annotations

import base64
import hashlib
import socket
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509

from plastiq_async import APIConnectionError, ConfigurationError, PlastiqSession
from tests.support.internals import AIOHTTP_TRANSPORT, httpx_transport_to, request_to
from tests.support.sessions import ANY_CONTEXT, PAYER, TOKEN, session_for
from tests.support.socket_server import Connection, Request, Server
from tests.support.steps import answer


def proxied(server: Server) -> list[str]:
    """Return the targets of the requests that the server received as a proxy."""
    targets = [request.line.split()[1] for request in server.requests]
    return [target for target in targets if target.startswith("http://")]


async def create(server: Server, **options: Any) -> None:
    """Make one successful call."""
    async with session_for(server, **options) as session:
        await session.client_secrets.create(PAYER)


async def test_explicit_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The `proxy` argument takes precedence over the environment."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "*")
    with Server(answer()) as origin, Server(answer()) as proxy:
        url = proxy.url.replace("//", "//user:passw0rd@")
        await create(origin, proxy=url)
        await create(origin, proxy=httpx.Proxy(url))
    assert origin.requests == []
    assert proxied(proxy) == [f"{origin.base_url}/client-secrets"] * 2
    expected = "Basic " + base64.b64encode(b"user:passw0rd").decode()
    assert proxy.requests[0].header("Proxy-Authorization") == expected


@pytest.mark.parametrize(
    ("variables", "options", "uses_proxy"),
    [
        ({"HTTP_PROXY": "{url}"}, {}, True),
        ({"http_proxy": "{address}"}, {}, True),
        ({"ALL_PROXY": "{url}"}, {}, True),
        ({"HTTP_PROXY": "{url}", "ALL_PROXY": "http://127.0.0.1:1"}, {}, True),
        ({"HTTPS_PROXY": "{url}"}, {}, False),
        ({"ALL_PROXY": "{url}", "NO_PROXY": "127.0.0.1"}, {}, False),
        ({"ALL_PROXY": "{url}", "NO_PROXY": "example.test,*"}, {}, True),
        ({"ALL_PROXY": "{url}", "NO_PROXY": "*"}, {}, False),
        ({"ALL_PROXY": "{url}", "NO_PROXY": "example.test"}, {}, True),
        ({"ALL_PROXY": "{url}"}, {"trust_env": False}, False),
    ],
)
async def test_proxy_of_the_environment(
    variables: dict[str, str],
    options: dict[str, Any],
    uses_proxy: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The usual proxy variables are respected unless `trust_env` is false."""
    with Server(answer()) as origin, Server(answer()) as proxy:
        address = proxy.url.removeprefix("http://")
        for name, value in variables.items():
            monkeypatch.setenv(name, value.format(url=proxy.url, address=address))
        await create(origin, **options)
    assert bool(proxied(proxy)) == uses_proxy
    assert bool(origin.requests) != uses_proxy


async def test_tunnel(
    monkeypatch: pytest.MonkeyPatch, server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    """For https, the proxy sees only the host and port of the server."""

    def tunnel(connection: Connection, _: Request) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
        connection.start_tls(server_tls)

    with Server(tunnel, answer()) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with PlastiqSession(
            TOKEN, base_url="https://127.0.0.1:9/api", verify=str(ca_file)
        ) as session:
            await session.client_secrets.create(PAYER)
    connect, post = proxy.requests
    assert connect.line == "CONNECT 127.0.0.1:9 HTTP/1.1"
    assert not connect.header("Authorization")
    assert post.line == "POST /api/client-secrets HTTP/1.1"


async def test_proxy_that_refuses() -> None:
    """A proxy that refuses a tunnel causes a connection error; nothing was sent."""
    with Server(answer(407, b"")) as proxy:
        async with PlastiqSession(
            TOKEN,
            base_url="https://127.0.0.1:9/api",
            proxy=proxy.url.replace("//", "//user:passw0rd@"),
            max_retries=0,
        ) as session:
            with pytest.raises(APIConnectionError, match="407") as info:
                await session.client_secrets.create(PAYER)
    assert not info.value.outcome_unknown
    assert "passw0rd" not in str(info.value)


BAD_PROXIES = [
    "ftp://user:passw0rd@host",
    "http://user:passw0rd@host:port",
    "http://",
]


@pytest.mark.parametrize("url", BAD_PROXIES)
@pytest.mark.parametrize("setting", ["proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_bad_proxy(url: str, setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error for an invalid proxy names the setting but not the password."""
    options: dict[str, Any] = {"verify": ANY_CONTEXT}
    if setting == "proxy":
        options["proxy"] = url
    else:
        monkeypatch.setenv(setting, url)
    with pytest.raises(ConfigurationError, match=rf"^{setting} is not usable") as info:
        PlastiqSession(TOKEN, base_url="http://127.0.0.1", **options)
    assert "passw0rd" not in str(info.value)
    assert info.value.__context__ is None


@pytest.mark.parametrize("setting", ["proxy", "ALL_PROXY"])
def test_proxy_that_needs_more(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error for SOCKS without the `socksio` package names the setting."""
    monkeypatch.setitem(sys.modules, "socksio", None)
    options: dict[str, Any] = {}
    if setting == "proxy":
        options["proxy"] = "socks5://127.0.0.1:1"
    else:
        monkeypatch.setenv(setting, "socks5://127.0.0.1:1")
    with pytest.raises(ConfigurationError, match=rf"^{setting} is not usable"):
        PlastiqSession(TOKEN, base_url="http://127.0.0.1", **options)


def make_folder(ca_file: Path) -> Path:
    """Return a folder with the certificate under the hash name OpenSSL expects."""
    subject = x509.load_pem_x509_certificate(ca_file.read_bytes()).subject
    values = [(one.oid, str(one.value).lower()) for one in subject]
    name = x509.Name([x509.NameAttribute(*value) for value in values])
    der = name.public_bytes()
    content = der[2 if der[1] < 0x80 else 2 + der[1] - 0x80 :]
    digest = hashlib.sha1(content, usedforsecurity=False).digest()
    folder = ca_file.parent / "folder"
    folder.mkdir(exist_ok=True)
    link = folder / f"{int.from_bytes(digest[:4], 'little'):08x}.0"
    link.write_bytes(ca_file.read_bytes())
    return folder


def is_untrusted(error: BaseException) -> bool:
    """Return whether the error was caused by certificate verification."""
    behind: BaseException | None = error
    while behind is not None and not isinstance(behind, ssl.SSLCertVerificationError):
        behind = behind.__cause__ or behind.__context__
    return behind is not None


Verify = Callable[[Path], Any]


@pytest.mark.parametrize(
    "verify",
    [
        str,
        lambda path: str(make_folder(path)),
        lambda path: ssl.create_default_context(cafile=path),
        lambda _: False,
    ],
    ids=["file", "folder", "context", "off"],
)
async def test_verify(
    verify: Verify, server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    """`verify` accepts a CA file, a CA folder, an SSL context and False."""
    with Server(answer(), tls=server_tls) as server:
        await create(server, verify=verify(ca_file))
    assert len(server.requests) == 1


@pytest.mark.parametrize("trust_env", [True, False])
async def test_ca_file_of_the_environment(
    trust_env: bool,
    server_tls: ssl.SSLContext,
    ca_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SSL_CERT_FILE is respected unless `trust_env` is false."""
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    with Server(answer(), tls=server_tls) as server:
        options = {"verify": True, "trust_env": trust_env, "max_retries": 0}
        if trust_env:
            await create(server, **options)
        else:
            with pytest.raises(APIConnectionError) as info:
                await create(server, **options)
            assert is_untrusted(info.value)
    assert len(server.requests) == trust_env


@pytest.mark.usefixtures("quick_retries")
async def test_unknown_authority(server_tls: ssl.SSLContext) -> None:
    """By default, a server with an untrusted certificate gets no request."""
    with Server(answer(), tls=server_tls) as server:
        async with session_for(server, verify=True) as session:
            with pytest.raises(APIConnectionError) as info:
                await session.client_secrets.create(PAYER)
    assert server.requests == []
    assert is_untrusted(info.value)
    assert info.value.attempts == 3
    assert not info.value.outcome_unknown


async def test_untrusted_by_name(server_tls: ssl.SSLContext) -> None:
    """The text of the error says that certificate verification failed."""
    with Server(answer(), tls=server_tls) as server:
        async with session_for(server, verify=True, max_retries=0) as session:
            with pytest.raises(APIConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
                await session.client_secrets.create(PAYER)


async def test_address_that_the_certificate_lacks(
    server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    """A certificate for another host name is refused."""
    with Server(answer(), tls=server_tls) as server:
        async with PlastiqSession(
            TOKEN,
            base_url=server.base_url.replace("127.0.0.1", "localhost"),
            verify=str(ca_file),
            max_retries=0,
        ) as session:
            with pytest.raises(APIConnectionError) as info:
                await session.client_secrets.create(PAYER)
    assert server.requests == []
    assert is_untrusted(info.value)


async def test_folder_alone(
    server_tls: ssl.SSLContext,
    ca_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a CA folder, no other certificate authorities are trusted."""
    # OpenSSL itself reads this variable for the default authorities.
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    with (
        Server(answer(), tls=server_tls) as server,
        pytest.raises(APIConnectionError) as info,
    ):
        await create(server, verify=str(tmp_path), max_retries=0)
    assert is_untrusted(info.value)


@pytest.mark.parametrize("content", [None, "no certificate"])
@pytest.mark.parametrize("setting", ["verify", "SSL_CERT_FILE"])
def test_bad_ca_file(
    setting: str,
    content: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error for a missing or invalid CA file names the setting."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    options: dict[str, Any] = {}
    if setting == "verify":
        options["verify"] = str(path)
    else:
        monkeypatch.setenv(setting, str(path))
    with pytest.raises(ConfigurationError, match=rf"^{setting} is not usable"):
        PlastiqSession(TOKEN, **options)


@pytest.mark.parametrize("verify", [None, 3, b"\0"])
def test_bad_verify(verify: Any) -> None:
    """A `verify` that is not a boolean, path or SSL context is refused."""
    with pytest.raises(ConfigurationError, match=r"^verify is not usable"):
        PlastiqSession(TOKEN, verify=verify)


@pytest.mark.parametrize("options", [{"proxy": "http://127.0.0.1"}, {"verify": False}])
def test_ready_made_transport(options: dict[str, Any]) -> None:
    """Transport settings are refused together with a transport object."""
    transport = httpx.AsyncHTTPTransport(verify=False)
    with pytest.raises(ConfigurationError, match=r"^transport"):
        PlastiqSession(TOKEN, transport=transport, **options)


@pytest.mark.parametrize("transport", ["urllib3", None, httpx.HTTPTransport])
def test_unknown_transport(transport: Any) -> None:
    """A value that is not a transport is refused."""
    with pytest.raises(ConfigurationError, match=r"^transport must be"):
        PlastiqSession(TOKEN, transport=transport)


async def test_keep_alive() -> None:
    """TCP keep-alive is enabled, so that gateways do not drop idle connections."""
    with Server(answer()) as server:
        async with httpx_transport_to(server) as transport:
            answered = await transport.handle_async_request(request_to(server))
            stream = answered.extensions["network_stream"]
            connected = stream.get_extra_info("socket")
            alive = connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            await answered.aclose()
    assert alive


def test_aiohttp_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """If aiohttp is not installed, the error says how to install it."""
    monkeypatch.delitem(sys.modules, AIOHTTP_TRANSPORT, raising=False)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(ConfigurationError, match=r"pip install .*\[aiohttp\]"):
        PlastiqSession(TOKEN, transport="aiohttp")
