"""`FakeOfCallers` in a process of its own: ``python -m tests.support.fake_program``."""

from __future__ import annotations

import argparse
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import trustme
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support.internals import FakeOfCallers
from tests.support.programs import HOST, Program, free_port, running
from tests.support.sessions import TOKEN


class Delayed:
    """ASGI middleware that delays each request by some seconds."""

    def __init__(self, app: ASGIApp, delay: float) -> None:
        self._app = app
        self._delay = delay

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await anyio.sleep(self._delay)
        await self._app(scope, receive, send)


def main() -> None:
    """Serve the fake until a signal arrives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--certificate", help="PEM file with the key and certificates")
    options = parser.parse_args()
    fake = FakeOfCallers(access_tokens=[TOKEN], history=100)
    config = uvicorn.Config(
        Delayed(fake.app, options.delay),
        lifespan="off",
        log_level="warning",
        ssl_certfile=options.certificate,
        ssl_keyfile=options.certificate,
        # Not before the tests end, so that no connection ends by chance.
        timeout_keep_alive=300,
        ws="none",
    )
    address = (options.host, options.port)
    with socket.create_server(address, backlog=1024) as listener:
        uvicorn.Server(config).run(sockets=[listener])


@contextmanager
def fake_program(
    folder: Path,
    *,
    host: str = HOST,
    delay: float = 0.0,
    authority: trustme.CA | None = None,
    prefix: tuple[str, ...] = (),
) -> Iterator[Program]:
    """Run the fake in a process during the block.

    Args:
        folder: Folder for its files.
        host: The address on which it listens.
        delay: Seconds by which it delays each response.
        authority: Issuer of its certificate, for https instead of http.
        prefix: A command that runs the command which follows it.
    """
    port = free_port() if host == HOST else 8443
    command = [*prefix, sys.executable, "-m", "tests.support.fake_program"]
    command += ["--host", host, "--port", str(port), "--delay", str(delay)]
    if authority is not None:
        certificate = folder / "fake.pem"
        blob = authority.issue_cert(host).private_key_and_cert_chain_pem
        blob.write_to_path(certificate)
        command += ["--certificate", str(certificate)]
    with running(Program(command, port, folder / "fake.log", host)) as program:
        yield program


if __name__ == "__main__":
    main()
