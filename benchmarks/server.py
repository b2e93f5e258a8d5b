"""Benchmark server: returns a valid response to every request.

It is an asyncio protocol that parses only the end of a request and its trace ID, so
that the clients are the bottleneck. `running` starts it as a process of its own, which
prints its port and exits when its stdin is closed.
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d"
BODY = b'{"clientSecret":"XYZCLIENTSECRET1234"}'
START = HEAD % len(BODY)
END = b"\r\n\r\n" + BODY


class Responder(asyncio.Protocol):
    """Protocol of one connection, which responds to each request after a delay.

    Args:
        delay: The delay before each response, in seconds.
    """

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 -- it is TCP
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Respond to a complete request, which alone ends with a brace."""
        request = self._buffer + data
        if not request.endswith(b"}"):
            self._buffer = request
            return
        self._buffer = b""
        start = request.lower().find(b"\r\ntrace-id:")
        trace = request[start : request.find(b"\r\n", start + 2)] if start >= 0 else b""
        response = START + trace + END
        if self._delay:
            loop = asyncio.get_running_loop()
            loop.call_later(self._delay, self._transport.write, response)
        else:
            self._transport.write(response)


async def serve(delay: float, context: ssl.SSLContext | None) -> None:
    """Serve until stdin is closed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Responder(delay), "127.0.0.1", 0, ssl=context, backlog=4096
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


@attrs.frozen
class Running:
    """A server process.

    Attributes:
        url: The base URL.
        pid: The process ID.
    """

    url: str
    pid: int


@contextmanager
def running(delay_ms: float = 0, certificate: Path | None = None) -> Iterator[Running]:
    """Run a server during the block.

    Args:
        delay_ms: The delay before each response, in milliseconds.
        certificate: The PEM file of a certificate and its key; None to use no TLS.

    Yields:
        The server.
    """
    command = [sys.executable, __file__, f"--delay-ms={delay_ms}"]
    if certificate:
        command.append(f"--certificate={certificate}")
    pipe = subprocess.PIPE
    # Leaving the block closes stdin and waits for the process to exit.
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None  # noqa: S101 -- it is a pipe
        port = int(process.stdout.readline())
        scheme = "https" if certificate else "http"
        try:
            yield Running(f"{scheme}://127.0.0.1:{port}", process.pid)
        finally:
            process.terminate()


def main() -> None:
    """Parse the arguments, and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay-ms", type=float, default=0)
    parser.add_argument("--certificate", type=Path, help="PEM file with its key")
    arguments = parser.parse_args()
    context = None
    if arguments.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(arguments.certificate)
    asyncio.run(serve(arguments.delay_ms / 1000, context))


if __name__ == "__main__":
    main()
