"""The server of the benchmarks: answers as the contract says, and does nothing else.

An asyncio protocol that looks for the end of a request and for its trace ID; it parses
no more, so that the clients are what is measured. `running` starts it as a process of
its own, which prints its port and ends with its stdin.
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


class Answers(asyncio.Protocol):
    """One connection: an answer for each request, after the delay.

    Args:
        delay: Seconds to wait before each answer.
    """

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to answer through."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 -- it is TCP
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer what is complete: our bodies end with a brace, headers never do."""
        request = self._buffer + data
        if not request.endswith(b"}"):
            self._buffer = request
            return
        self._buffer = b""
        start = request.lower().find(b"\r\ntrace-id:")
        trace = request[start : request.find(b"\r\n", start + 2)] if start >= 0 else b""
        answer = START + trace + END
        if self._delay:
            loop = asyncio.get_running_loop()
            loop.call_later(self._delay, self._transport.write, answer)
        else:
            self._transport.write(answer)


async def serve(delay: float, context: ssl.SSLContext | None) -> None:
    """Serve until stdin ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Answers(delay), "127.0.0.1", 0, ssl=context, backlog=4096
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


@attrs.frozen
class Running:
    """A server process.

    Attributes:
        url: The address to call.
        pid: The process, to look at its use of CPU.
    """

    url: str
    pid: int


@contextmanager
def running(delay_ms: float = 0, certificate: Path | None = None) -> Iterator[Running]:
    """Run a server for the length of the block.

    Args:
        delay_ms: Milliseconds to wait before each answer.
        certificate: The PEM file of a certificate and its key; without it, no TLS.

    Yields:
        Where it is.
    """
    command = [sys.executable, __file__, f"--delay-ms={delay_ms}"]
    if certificate:
        command.append(f"--certificate={certificate}")
    pipe = subprocess.PIPE
    # To leave the block closes stdin, at which the process ends, and waits for it.
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None  # noqa: S101 -- it is a pipe
        port = int(process.stdout.readline())
        scheme = "https" if certificate else "http"
        try:
            yield Running(f"{scheme}://127.0.0.1:{port}", process.pid)
        finally:
            process.terminate()


def main() -> None:
    """Read the arguments and serve."""
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
