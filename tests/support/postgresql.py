"""A private PostgreSQL server that listens on a Unix socket only."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.support.programs import give_up

# Where Debian has the programs of each version.
_FOLDERS = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
_LONGEST = 60.0


@contextmanager
def postgresql() -> Iterator[str]:
    """Run a new server, and yield the address of its database for SQLAlchemy.

    PostgreSQL refuses to run as root, so root runs it as the user postgres, who comes
    with the Debian package.
    """
    as_user: dict[str, Any] = {"user": "postgres"} if os.geteuid() == 0 else {}
    with TemporaryDirectory(prefix="postgresql-") as folder:
        if as_user:
            shutil.chown(folder, "postgres")
        data = f"--pgdata={folder}/data"
        options: dict[str, Any] = {"cwd": folder, **as_user}
        subprocess.run(
            [_find("initdb"), data, "--username=postgres", "--auth=trust", "--no-sync"],
            check=True,
            stdout=subprocess.DEVNULL,
            **options,
        )
        settings = ("--listen_addresses=", f"--unix_socket_directories={folder}")
        log = Path(folder, "log")
        with (
            log.open("wb") as file,
            subprocess.Popen(
                [_find("postgres"), "-D", f"{folder}/data", "--fsync=off", *settings],
                stdout=file,
                stderr=file,
                **options,
            ) as server,
        ):
            try:
                _wait_for(folder, log)
                yield f"postgresql+asyncpg://postgres@/postgres?host={folder}"
            finally:
                server.send_signal(signal.SIGQUIT)  # an immediate shutdown


def _find(name: str) -> str:
    path = os.pathsep.join([os.environ["PATH"], *_FOLDERS])
    return shutil.which(name, path=path) or give_up(f"{name} is not installed")


def _wait_for(folder: str, log: Path) -> None:
    end = time.monotonic() + _LONGEST
    command = [_find("pg_isready"), "--quiet", f"--host={folder}"]
    while subprocess.run(command, check=False).returncode:
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)
