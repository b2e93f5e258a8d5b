"""A Redis server on loopback that persists nothing."""

from __future__ import annotations

from pathlib import Path

from tests.support.programs import HOST, Program, free_port


def redis_program(folder: Path) -> Program:
    """Return a Redis server whose files are in `folder`."""
    port = free_port()
    options = {"bind": HOST, "port": port, "save": "", "dir": folder}
    arguments = [
        word for name, value in options.items() for word in (f"--{name}", value)
    ]
    return Program(["redis-server", *arguments], port, folder / "redis.log")


def url_of(program: Program) -> str:
    """Return the URL of a Redis server."""
    return f"redis://{program.netloc}"
