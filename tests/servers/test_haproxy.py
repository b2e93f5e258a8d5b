"""Calls through a real HAProxy in front of the fake."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import anyio
import pytest

from tests.servers.conftest import MakeCallers
from tests.support.callers import count_descriptors
from tests.support.fake_program import fake_program
from tests.support.programs import HOST, Program, free_port, give_up, running

CONFIGURATION = """
global
  nbthread 1
  stats socket ipv4@{control} level admin
defaults
  mode http
  log stdout format raw local0
  option dontlognull
  log-format "%cp %ST %tsc"
  timeout connect 2s
  timeout client 60s
  timeout server 60s
frontend entry
  bind {listen}
  {frontend}
  default_backend api
backend api
  {backend}
  server fake {fake} {server}
"""
# Every fifth or tenth time that a rule is evaluated.
COUNT = "set-var(proc.count) var(proc.count,0),add(1)"
FIFTH = "{ var(proc.count),mod(5) eq 0 }"
TENTH = "{ var(proc.count),mod(10) eq 0 }"

StartHAProxy = Callable[..., AbstractContextManager["HAProxy"]]


class HAProxy(Program):
    """A running HAProxy, which logs each attempt."""

    control: tuple[str, int]

    def attempts(self) -> list[tuple[str, str]]:
        """Return the client's port and the status of each attempt."""
        lines = self.log.read_text().splitlines()
        rows = [line.split() for line in lines if line[:1].isdigit()]
        return [(port, status) for port, status, *_ in rows]

    def statuses(self) -> set[str]:
        """Return the status codes of all attempts."""
        return {status for _, status in self.attempts()}

    def order(self, command: str) -> None:
        """Give HAProxy a command."""
        with socket.create_connection(self.control) as client:
            client.sendall(f"{command}\n".encode())
            # It responds with an empty line, unless something is wrong.
            assert not client.makefile().read().strip()


@pytest.fixture
def start_haproxy(fake: Program, tmp_path: Path) -> StartHAProxy:
    """Return a function that runs HAProxy with additions to its configuration."""

    @contextmanager
    def start(
        *frontend: str, backend: str = "", server: str = "", api: Program = fake
    ) -> Iterator[HAProxy]:
        port, control = free_port(), free_port()
        configuration = CONFIGURATION.format(
            control=f"{HOST}:{control}",
            listen=f"{HOST}:{port}",
            frontend="\n  ".join(frontend),
            backend=backend,
            fake=api.netloc,
            server=server,
        )
        (tmp_path / "haproxy.cfg").write_text(configuration)
        command = ["haproxy", "-db", "-f", tmp_path / "haproxy.cfg"]
        haproxy = HAProxy(command, port, tmp_path / "haproxy.log")
        haproxy.control = (HOST, control)
        with running(haproxy):
            yield haproxy

    return start


async def test_server_connections_are_closed(
    start_haproxy: StartHAProxy, callers_of: MakeCallers
) -> None:
    """The client's connections stay although HAProxy closes those to the server."""
    with start_haproxy("option http-server-close") as haproxy:
        async with callers_of(f"http://{haproxy.netloc}/api") as callers:
            await callers.call_together(20, calls=10)
            assert callers.ledger.outcomes == {("succeeded", 1): 200}
        assert len({port for port, _ in haproxy.attempts()}) <= 20


@pytest.mark.usefixtures("quick_retries")
async def test_resets(start_haproxy: StartHAProxy, callers_of: MakeCallers) -> None:
    """Connections that are reset before they carry anything cost attempts only."""
    with start_haproxy(
        "option nolinger",
        "option httpclose",
        f"tcp-request connection {COUNT}",
        f"tcp-request connection reject if {FIFTH}",
    ) as haproxy:
        async with callers_of(
            f"http://{haproxy.netloc}/api", max_retries=8, healthy=False
        ) as callers:
            await callers.call_together(10, calls=20)
            assert callers.outcomes == {"succeeded": 200}
            assert callers.attempts in range(245, 252)


@pytest.mark.usefixtures("quick_retries")
async def test_rejected_requests(
    start_haproxy: StartHAProxy, callers_of: MakeCallers
) -> None:
    """Requests that are rejected without a response are sent again."""
    with start_haproxy(
        "tcp-request inspect-delay 2s",
        f"tcp-request content {COUNT} if HTTP",
        f"tcp-request content reject if HTTP {FIFTH}",
    ) as haproxy:
        async with callers_of(
            f"http://{haproxy.netloc}/api", max_retries=8, healthy=False
        ) as callers:
            await callers.call_together(10, calls=20)
            assert callers.outcomes == {"succeeded": 200}
            assert callers.attempts in range(245, 252)


@pytest.mark.usefixtures("quick_retries")
async def test_request_timeouts(
    start_haproxy: StartHAProxy, callers_of: MakeCallers
) -> None:
    """A 408 of the proxy is retried."""
    with start_haproxy(
        f"http-request {COUNT}",
        f"http-request deny deny_status 408 if {FIFTH}",
    ) as haproxy:
        async with callers_of(
            f"http://{haproxy.netloc}/api", max_retries=8, healthy=False
        ) as callers:
            await callers.call_together(10, calls=20)
            assert callers.outcomes == {"succeeded": 200}
            assert callers.attempts in range(245, 252)
        assert haproxy.statuses() == {"200", "408"}


async def test_queue(
    start_haproxy: StartHAProxy, callers_of: MakeCallers, tmp_path: Path
) -> None:
    """Requests that wait in the proxy's queue need no retries."""
    folder = tmp_path / "slow"
    folder.mkdir()
    with (
        fake_program(folder, delay=0.02) as slow,
        start_haproxy(
            backend="timeout queue 20s", server="maxconn 2", api=slow
        ) as haproxy,
    ):
        async with callers_of(f"http://{haproxy.netloc}/api") as callers:
            await callers.call_together(20, calls=5)
            assert callers.ledger.outcomes == {("succeeded", 1): 100}


async def test_server_down(
    start_haproxy: StartHAProxy, callers_of: MakeCallers
) -> None:
    """Calls fail with the proxy's 503 only while the server is down."""
    with start_haproxy() as haproxy:
        async with callers_of(f"http://{haproxy.netloc}/api", max_retries=0) as callers:
            async with callers.calling(20):
                await callers.see("succeeded")
                await anyio.to_thread.run_sync(
                    haproxy.order, "set server api/fake state maint"
                )
                await callers.see("ServiceUnavailableError")
                await anyio.to_thread.run_sync(
                    haproxy.order, "set server api/fake state ready"
                )
                await callers.see("succeeded")
            assert set(callers.outcomes) == {"succeeded", "ServiceUnavailableError"}
        assert haproxy.statuses() == {"200", "503"}


async def test_dropped_responses(
    start_haproxy: StartHAProxy, callers_of: MakeCallers
) -> None:
    """A response that is silently dropped costs an attempt and no descriptor."""
    if os.geteuid() != 0:
        give_up("HAProxy drops connections silently only if it is run by root")
    with start_haproxy(
        f"http-response {COUNT}", f"http-response silent-drop if {TENTH}"
    ) as haproxy:
        before = count_descriptors()
        async with callers_of(
            f"http://{haproxy.netloc}/api",
            max_connections=10,
            max_retries=5,
            attempt_timeout=1.0,
            healthy=False,
        ) as callers:
            await callers.call_together(10, calls=10)
            assert callers.outcomes == {"succeeded": 100}
            assert callers.attempts >= 110
            assert count_descriptors() <= before + 10
