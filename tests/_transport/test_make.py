"""Transport settings: TLS, the choice of a transport, and errors in their values."""

from __future__ import annotations

import hashlib
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509

from plastiq_async import APIConnectionError, ConfigurationError, PlastiqSession
from tests.support.internals import httpx_transport_to, request_to
from tests.support.sessions import PAYER, TOKEN, session_for
from tests.support.socket_server import Server
from tests.support.steps import answer


async def create(server: Server, **options: Any) -> None:
    """Make one successful call."""
    async with session_for(server, **options) as session:
        await session.client_secrets.create(PAYER)


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
        lambda path: path,
        lambda path: str(make_folder(path)),
        lambda path: ssl.create_default_context(cafile=path),
        lambda _: False,
    ],
    ids=["file", "path", "folder", "context", "off"],
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


@pytest.mark.parametrize(
    ("verify", "reason"),
    [
        (None, "it must be a bool, a path or an ssl.SSLContext"),
        (3, "it must be a bool, a path or an ssl.SSLContext"),
        (b"\0", "it must be a bool, a path or an ssl.SSLContext"),
        ("", "the path is empty or has a null character"),
        ("s3cr3t\0", "the path is empty or has a null character"),
        ("/s3cr3t", "No such file or directory"),
        (Path("/s3cr3t"), "No such file or directory"),
        ("/dev/null", "no certificate or crl found"),
    ],
)
def test_bad_verify(verify: Any, reason: str) -> None:
    """The error for a `verify` that is not usable says why, without the value."""
    with pytest.raises(ConfigurationError, match=r"^verify is not usable: ") as info:
        PlastiqSession(TOKEN, verify=verify)
    assert reason in str(info.value)
    assert "s3cr3t" not in str(info.value)
    assert info.value.__context__ is None


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("SSL_CERT_FILE", "/s3cr3t", "No such file or directory"),
        ("SSL_CERT_DIR", "/s3cr3t", "Not a directory"),
    ],
)
def test_bad_variable(
    name: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error for a variable that is not usable says why, without the value."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as info:
        PlastiqSession(TOKEN)
    assert str(info.value) == f"{name} is not usable: {reason}"


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
