"""Example servers that run as subprocesses."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.programs import free_port

EXAMPLES = Path(__file__).parents[2] / "examples"
_LONGEST = 30.0


@contextmanager
def serving(
    command: Sequence[str],
    log: Path,
    settings: Mapping[str, str] | None = None,
    *,
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator[str]:
    """Run a server command with a free port as last argument, and yield its URL.

    Args:
        command: The command, without the port.
        log: The file for stdout and stderr of the command.
        settings: Environment variables to add.
        stop: The signal that ends the server.
    """
    port = free_port("127.0.0.1")
    environment = {**os.environ, **(settings or {})}
    with (
        log.open("w") as file,
        subprocess.Popen(
            [*command, str(port)], stdout=file, stderr=file, env=environment
        ) as process,
    ):
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(stop)
            process.wait(_LONGEST)
    assert "Traceback" not in log.read_text()


def _wait_for(port: int) -> None:
    end = time.monotonic() + _LONGEST
    while time.monotonic() < end:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError
