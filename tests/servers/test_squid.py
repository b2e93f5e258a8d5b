"""Calls through a real squid as forward proxy."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import anyio
import pytest

from plastiq_async import APIConnectionError, PlastiqError
from tests.servers.conftest import MakeCallers
from tests.support.programs import (
    ESTABLISHED,
    HOST,
    Program,
    free_port,
    running,
)
from tests.support.sessions import PAYER
from tests.support.wirings import Connect

CONFIGURATION = """
http_port {listen}
visible_hostname squid.example
pid_filename none
cache deny all
cache_log /dev/null
access_log none
netdb_filename none
pinger_enable off
shutdown_lifetime 0 seconds
{access}
"""
OPEN = "http_access allow all"
RESTRICTED = """
auth_param basic program /usr/lib/squid/basic_ncsa_auth {passwords}
auth_param basic children 2 startup=1
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all
"""
PASSWORD = "password-of-the-proxy"

StartSquid = Callable[..., AbstractContextManager[Program]]


@pytest.fixture
def start_squid(tmp_path: Path) -> StartSquid:
    """Return a function that runs squid, which may require a password."""

    @contextmanager
    def start(*, password: str | None = None) -> Iterator[Program]:
        port = free_port()
        # If squid is started as root, it runs as another user, who must read the file.
        with tempfile.TemporaryDirectory() as folder:
            passwords = Path(folder, "passwords")
            passwords.parent.chmod(0o755)
            access = OPEN
            if password is not None:
                # squid wants this or crypt, which Python no longer has.
                digest = hashlib.md5(password.encode(), usedforsecurity=False)
                passwords.write_text(f"ada:{digest.hexdigest()}\n")
                access = RESTRICTED.format(passwords=passwords)
            configuration = tmp_path / "squid.conf"
            configuration.write_text(
                CONFIGURATION.format(listen=f"{HOST}:{port}", access=access)
            )
            name = f"plastiq{os.getpid()}"
            command = ["squid", "-N", "-d", "1", "-n", name, "-f", configuration]
            try:
                with running(Program(command, port, tmp_path / "squid.log")) as program:
                    yield program
            finally:
                # The shared memory of a squid that was killed.
                for segment in Path("/dev/shm").glob(f"{name}-*"):  # noqa: S108 -- squid chose it
                    segment.unlink()

    return start


@pytest.fixture(params=["http", "https"])
def target(request: pytest.FixtureRequest) -> str:
    """Return the base URL of a fake, which squid reaches with and without CONNECT."""
    name = {"http": "fake", "https": "tls_fake"}[request.param]
    return f"{request.param}://{request.getfixturevalue(name).netloc}/api"


async def test_without_password(
    start_squid: StartSquid, callers_of: MakeCallers, target: str, ca_file: Path
) -> None:
    """Calls through an open proxy succeed, and share its connections."""
    with start_squid() as squid:
        async with callers_of(
            target, verify=str(ca_file), proxy=f"http://{squid.netloc}"
        ) as callers:
            await callers.call_together(20, calls=5)
            assert callers.ledger.outcomes == {("succeeded", 1): 100}
            assert squid.client_sockets()[ESTABLISHED] <= 20


async def test_password(
    start_squid: StartSquid, callers_of: MakeCallers, target: str, ca_file: Path
) -> None:
    """The password reaches the proxy, for http and for https."""
    with start_squid(password=PASSWORD) as squid:
        async with callers_of(
            target, verify=str(ca_file), proxy=f"http://ada:{PASSWORD}@{squid.netloc}"
        ) as callers:
            await callers.call_together(20, calls=5)
            assert callers.ledger.outcomes == {("succeeded", 1): 100}


@pytest.mark.parametrize("credentials", ["", "ada:wrong-password@"])
async def test_refused_credentials(
    credentials: str,
    start_squid: StartSquid,
    connect: Connect,
    target: str,
    ca_file: Path,
) -> None:
    """A proxy that refuses the credentials is asked once, and the error says so."""
    with start_squid(password=PASSWORD) as squid:
        async with connect(
            base_url=target,
            verify=str(ca_file),
            proxy=f"http://{credentials}{squid.netloc}",
        ) as session:
            with pytest.raises(PlastiqError, match="407") as caught:
                await session.client_secrets.create(PAYER)
    assert caught.value.attempts == 1
    assert "wrong-password" not in f"{caught.value!r} {caught.value}"
    if target.startswith("https"):
        assert isinstance(caught.value, APIConnectionError)
        assert not caught.value.outcome_unknown


async def test_killed_proxy(
    start_squid: StartSquid, callers_of: MakeCallers, target: str, ca_file: Path
) -> None:
    """Calls fail with connection errors only while the proxy is gone."""
    with start_squid() as squid:
        async with callers_of(
            target, verify=str(ca_file), proxy=f"http://{squid.netloc}", max_retries=1
        ) as callers:
            async with callers.calling(30):
                await callers.see("succeeded")
                await anyio.to_thread.run_sync(squid.kill)
                await callers.see("APIConnectionError")
                await anyio.to_thread.run_sync(squid.start)
                await callers.see("succeeded")
            assert set(callers.outcomes) == {"succeeded", "APIConnectionError"}
