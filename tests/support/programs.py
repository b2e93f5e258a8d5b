"""Server programs that run in the foreground, as child processes on loopback."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import pytest

HOST = "127.0.0.2"
"""The address of all programs.

Clients connect from 127.0.0.1, so that none of them can take the port of a program that
is about to start or to restart.
"""

# Folders of server programs, which are in the search path of root only.
_ADMIN_PATH = "/usr/local/sbin:/usr/sbin:/sbin"
_LONGEST = 30.0

# States of a socket in the kernel's tables.
ESTABLISHED = "01"
CLOSE_WAIT = "08"


class Program:
    """A server program, running or stopped.

    Args:
        command: The program and its arguments.
        port: The port on which it will listen.
        log: File to append its stdout and stderr to.
        host: The address on which it will listen.
    """

    def __init__(
        self, command: Sequence[object], port: int, log: Path, host: str = HOST
    ) -> None:
        name, *arguments = map(str, command)
        self._command = [find_program(name), *arguments]
        self._process: subprocess.Popen[bytes] | None = None
        self.log = log
        self.address = (host, port)

    @property
    def netloc(self) -> str:
        """Host and port, as in a URL."""
        return "{}:{}".format(*self.address)

    @property
    def pid(self) -> int:
        """The process ID of the running program."""
        assert self._process is not None
        return self._process.pid

    @property
    def children(self) -> set[int]:
        """The process IDs of the program's own children."""
        listing = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return {int(pid) for pid in listing.read_text().split()}

    def client_sockets(self) -> Counter[str]:
        """Return the number of clients' sockets to the program, by state."""
        rows = _sockets("self")
        return Counter(row[3] for row in rows if row[2] == self._hex_address)

    def pending_requests(self) -> int:
        """Return the number of connections with data that the program has not read."""
        # The fifth field has the sizes of the queues: to be sent, and to be read.
        return sum(
            row[1] == self._hex_address
            and row[3] == ESTABLISHED
            and not row[4].endswith(":00000000")
            for row in _sockets(str(self.pid))
        )

    @property
    def _hex_address(self) -> str:
        """The address as the kernel's tables show it."""
        host, port = self.address
        number = int.from_bytes(socket.inet_aton(host), sys.byteorder)
        return f"{number:08X}:{port:04X}"

    def start(self) -> None:
        """Start the program, and wait until it accepts connections."""
        with self.log.open("ab") as file:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                cwd=Path(__file__).parents[2],
            )
        end = time.monotonic() + _LONGEST
        while not self._accepts_connections():
            if self._process.poll() is not None or time.monotonic() > end:
                self.kill()
                msg = f"{self._command[0]} did not start:\n{self.log.read_text()}"
                raise RuntimeError(msg)
            time.sleep(0.02)

    def _accepts_connections(self) -> bool:
        with socket.socket() as client:
            client.settimeout(1)
            return client.connect_ex(self.address) == 0

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program."""
        os.kill(self.pid, number)

    def suspend(self) -> None:
        """Keep the program from running. The kernel still accepts its connections."""
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the program run again."""
        self.send(signal.SIGCONT)

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Keep the program from running during the block."""
        self.suspend()
        try:
            yield
        finally:
            self.resume()

    def kill(self) -> None:
        """Kill the program and its children at once."""
        if self._process is not None:
            # It leads a process group of its own, of which children may be left.
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@contextmanager
def running(program: Program) -> Iterator[Program]:
    """Run a program during the block."""
    try:
        program.start()
        yield program
    finally:
        program.kill()


def find_program(name: str) -> str:
    """Return the path of a program."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:{_ADMIN_PATH}")
    assert found, f"{name} is not installed: run `nox -s servers`"
    return found


def give_up(reason: str) -> NoReturn:
    """Fail the test in CI, and skip it elsewhere, because something is missing."""
    if "CI" in os.environ:
        pytest.fail(reason)
    pytest.skip(reason)


def free_port(host: str = HOST) -> int:
    """Return a free port, which no other socket gets before a program has it."""
    # Systems give sockets ports above these, also those of tests in other processes.
    for port in random.sample(range(20_000, 32_000), 100):
        with suppress(OSError), socket.create_server((host, port)):
            return port
    raise OSError("no free port")


def _sockets(pid: str) -> list[list[str]]:
    """Return the fields of all TCP sockets in the network of a process."""
    table = Path(f"/proc/{pid}/net/tcp").read_text()
    return [line.split() for line in table.splitlines()]
