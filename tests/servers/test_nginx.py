"""Calls through a real nginx in front of the fake."""

from __future__ import annotations

import getpass
import os
import signal
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from uuid import uuid4

import anyio
import pytest
import trustme

from plastiq_async import APIConnectionError, BadRequestError
from tests.servers.conftest import MakeCallers
from tests.support.callers import count_descriptors
from tests.support.programs import (
    CLOSE_WAIT,
    ESTABLISHED,
    HOST,
    Program,
    free_port,
    running,
)
from tests.support.timing import eventually
from tests.support.wirings import Connect

CONFIGURATION = """
daemon off;
error_log stderr;
pid nginx.pid;
worker_processes 1;
events {{ worker_connections 512; }}
{user}
http {{
  log_format attempt "$connection $status $pid";
  access_log access.log attempt;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  upstream fake {{ server {fake}; keepalive 64; }}
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  {http}
  server {{
    listen {listen};
    location / {{ proxy_pass http://{upstream}; {location} }}
    {server}
  }}
}}
"""

StartNginx = Callable[..., AbstractContextManager["Nginx"]]


class Nginx(Program):
    """A running nginx, which logs each attempt."""

    def attempts(self) -> list[tuple[str, str, int]]:
        """Return the connection, the status and the process ID of each attempt."""
        lines = self.log.with_name("access.log").read_text().splitlines()
        rows = [line.split() for line in lines]
        return [(connection, status, int(pid)) for connection, status, pid in rows]

    def statuses(self) -> set[str]:
        """Return the status codes of all attempts."""
        return {status for _, status, _ in self.attempts()}

    def connections(self) -> set[tuple[int, str]]:
        """Return the connections that carried at least one attempt."""
        return {(pid, connection) for connection, _, pid in self.attempts()}


@pytest.fixture
def start_nginx(fake: Program, tmp_path: Path) -> StartNginx:
    """Return a function that runs nginx with additions to its configuration."""

    @contextmanager
    def start(
        *,
        http: str = "",
        server: str = "",
        location: str = "",
        tls: bool = False,
        upstream: str = "fake",
    ) -> Iterator[Nginx]:
        port = free_port()
        configuration = CONFIGURATION.format(
            # Else its workers could not write to the folder.
            user=f"user {getpass.getuser()};" if os.geteuid() == 0 else "",
            fake=fake.netloc,
            upstream=upstream,
            listen=f"{HOST}:{port}{' ssl' if tls else ''}",
            http=http,
            server=server,
            location=location,
        )
        (tmp_path / "nginx.conf").write_text(configuration)
        command = ["nginx", "-e", "stderr", "-p", tmp_path, "-c", "nginx.conf"]
        with running(Nginx(command, port, tmp_path / "nginx.log")) as program:
            assert isinstance(program, Nginx)
            yield program

    return start


async def test_connections_with_few_requests(
    start_nginx: StartNginx, callers_of: MakeCallers
) -> None:
    """Connections that end after five requests need no retries."""
    with start_nginx(server="keepalive_requests 5;") as nginx:
        async with callers_of(f"http://{nginx.netloc}/api") as callers:
            await callers.call_together(20, calls=10)
            assert callers.ledger.outcomes == {("succeeded", 1): 200}
        # 20 more calls check the health, and 20 connections may be unfinished.
        assert 40 <= len(nginx.connections()) <= 64


async def test_idle_connections_are_closed(
    start_nginx: StartNginx, callers_of: MakeCallers
) -> None:
    """Connections that nginx closed while idle cost no attempt, and do not stay."""
    with start_nginx(server="keepalive_timeout 1s;") as nginx:
        async with callers_of(f"http://{nginx.netloc}/api") as callers:
            before = count_descriptors()
            for _ in range(2):
                await callers.call_together(20)
                await eventually(lambda: not nginx.client_sockets()[ESTABLISHED])
                await anyio.sleep(0.05)  # until the event loop has seen it, too
            async with callers.calling(1):
                await eventually(lambda: not nginx.client_sockets()[CLOSE_WAIT])
            assert count_descriptors() <= before + 1
            assert {attempts for _, attempts in callers.ledger.outcomes} == {1}


async def test_unrequested_compression(
    start_nginx: StartNginx, callers_of: MakeCallers
) -> None:
    """Responses are read although nginx compresses them against the request."""
    port = free_port()
    # nginx compresses only on request, so that the outer server requests it.
    inner = f"""
      gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any;
      upstream inner {{ server {HOST}:{port}; keepalive 64; }}
      server {{
        listen {HOST}:{port}; access_log off;
        location / {{ proxy_pass http://fake; }}
      }}
    """
    outer = """
      proxy_set_header Accept-Encoding gzip; proxy_set_header Connection "";
      add_header Was-Encoded $upstream_http_content_encoding always;
    """
    with start_nginx(http=inner, upstream="inner", location=outer) as nginx:
        async with callers_of(f"http://{nginx.netloc}/api") as callers:
            await callers.call_together(20, calls=5)
            assert callers.ledger.outcomes == {("succeeded", 1): 100}
            secret = await callers.session.client_secrets.create(
                trace_id := uuid4(), trace_id=trace_id
            )
            assert secret.response.headers["was-encoded"] == "gzip"


@pytest.mark.parametrize("retry_after", [None, 1])
@pytest.mark.parametrize(
    ("status", "error"), [(429, "RateLimitError"), (503, "ServiceUnavailableError")]
)
async def test_rate_limit(
    status: int,
    error: str,
    retry_after: int | None,
    start_nginx: StartNginx,
    callers_of: MakeCallers,
) -> None:
    """Calls beyond a rate limit are retried on the same connections."""
    server = f"limit_req_status {status};"
    if retry_after is not None:
        server += f"""
          error_page {status} @limited;
          location @limited {{
            add_header Retry-After {retry_after} always; return {status};
          }}
        """
    with start_nginx(
        http="limit_req_zone $server_port zone=all:1m rate=100r/s;",
        server=server,
        location="limit_req zone=all burst=9 nodelay;",
    ) as nginx:
        async with callers_of(
            f"http://{nginx.netloc}/api",
            max_connections=20,
            max_retries=5,
            healthy=False,
        ) as callers:
            await callers.call_together(20, calls=3)
            assert set(callers.outcomes) <= {"succeeded", error}
            assert callers.outcomes["succeeded"] >= 30
            assert callers.attempts > 60
        assert nginx.statuses() == {"200", str(status)}
        assert len(nginx.connections()) <= 20


async def test_upstream_timeout(
    start_nginx: StartNginx, callers_of: MakeCallers, fake: Program
) -> None:
    """The HTML of a gateway timeout is a typed error; the session stays healthy."""
    with start_nginx(location="proxy_read_timeout 1s;") as nginx:
        async with callers_of(f"http://{nginx.netloc}/api", max_retries=1) as callers:
            await callers.call_together(10)
            with fake.suspended():
                await callers.call_together(10)
            assert callers.ledger.outcomes == {
                ("succeeded", 1): 10,
                ("InternalServerError", 2): 10,
            }
            await callers.call_together(10)
        assert nginx.statuses() == {"200", "504"}


async def test_reload(start_nginx: StartNginx, callers_of: MakeCallers) -> None:
    """No call fails while nginx replaces its worker."""
    with start_nginx() as nginx:
        async with callers_of(f"http://{nginx.netloc}/api") as callers:
            async with callers.calling(50):
                await callers.see("succeeded")
                old = nginx.children
                nginx.send(signal.SIGHUP)
                await eventually(lambda: nginx.children and not nginx.children & old)
                await callers.see("succeeded")
            assert set(callers.outcomes) == {"succeeded"}


async def test_killed_worker(
    start_nginx: StartNginx, callers_of: MakeCallers, fake: Program
) -> None:
    """Calls that a killed worker had in hand are retried."""
    with start_nginx() as nginx:
        async with callers_of(f"http://{nginx.netloc}/api") as callers:
            async with callers.calling(50):
                await callers.see("succeeded")
                (worker,) = nginx.children
                with fake.suspended():
                    await eventually(fake.pending_requests)
                    os.kill(worker, signal.SIGKILL)
                await callers.see("succeeded")
            assert set(callers.outcomes) == {"succeeded"}
            assert ("succeeded", 2) in callers.ledger.outcomes
        assert nginx.children
        assert worker not in nginx.children


@pytest.fixture
def tls_settings(authority: trustme.CA, tmp_path: Path) -> str:
    """Write certificates, and return the settings for that of nginx itself."""
    certificate = authority.issue_cert(HOST).private_key_and_cert_chain_pem
    certificate.write_to_path(tmp_path / "nginx.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return "ssl_certificate nginx.pem; ssl_certificate_key nginx.pem;"


async def test_private_authority(
    start_nginx: StartNginx,
    callers_of: MakeCallers,
    connect: Connect,
    tls_settings: str,
    ca_file: Path,
) -> None:
    """A certificate of a private authority is accepted only if it is configured."""
    with start_nginx(server=tls_settings, tls=True) as nginx:
        url = f"https://{nginx.netloc}/api"
        async with callers_of(url, verify=str(ca_file)) as callers:
            await callers.call_together(20, calls=5)
            assert callers.ledger.outcomes == {("succeeded", 1): 100}
        made = len(nginx.connections())
        assert made <= 20
        async with connect(base_url=url, max_retries=0) as session:
            with pytest.raises(APIConnectionError, match=r"(?i)certificate"):
                await session.client_secrets.create(uuid4())
        assert len(nginx.connections()) == made


async def test_client_certificates(
    start_nginx: StartNginx,
    callers_of: MakeCallers,
    connect: Connect,
    tls_settings: str,
    authority: trustme.CA,
) -> None:
    """A client certificate is presented to a gateway that requires one."""
    settings = f"{tls_settings} ssl_verify_client on; ssl_client_certificate ca.pem;"
    with start_nginx(server=settings, tls=True) as nginx:
        url = f"https://{nginx.netloc}/api"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(context)
        async with connect(base_url=url, verify=context) as session:
            with pytest.raises(BadRequestError) as caught:
                await session.client_secrets.create(uuid4())
            assert caught.value.attempts == 1
        authority.issue_cert("client.example").configure_cert(context)
        async with callers_of(url, verify=context) as callers:
            await callers.call_together(20, calls=5)
            assert callers.ledger.outcomes == {("succeeded", 1): 100}
