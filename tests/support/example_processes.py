"""Example servers that run as subprocesses."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
_LONGEST = 30.0


@contextmanager
def serving(
    command: Sequence[str], log: Path, settings: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Run a server command with a free port as last argument, and yield its URL.

    Args:
        command: The command, without the port.
        log: The file for stdout and stderr of the command.
        settings: Environment variables to add.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
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
            process.terminate()
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
