"""A Plastiq Connect on a real socket, for everyone without an API key.

    python -m plastiq_async.sandbox [--port N] [command ...]

Without a command it serves until Ctrl-C, and prints the settings that reach it
as lines for a shell. With one, it runs the command with these settings in its
environment, and ends with it. Needs the extra `plastiq-async[sandbox]`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import uvicorn

__all__ = ["main"]

_HOST = "127.0.0.1"
_DEFAULT_PORT = 8642


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sandbox.

    Args:
        arguments: Those of the command line, without the program's name; by
            default `sys.argv[1:]`.

    Returns:
        The exit code: the command's own where there is one; else 0 after
        Ctrl-C. 1 if the sandbox cannot start, 126 or 127 if the command cannot.
    """
    options = _parse(arguments)
    try:
        import uvicorn  # noqa: PLC0415

        from plastiq_async.testing import FakePlastiq  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn"):
            raise
        return _complain(
            f"The sandbox needs {error.name}, which is not installed: "
            "pip install 'plastiq-async[sandbox]'"
        )
    command: list[str] = options.command
    port: int | None = options.port
    if port is None:
        port = 0 if command else _DEFAULT_PORT
    try:
        # Listening from here on: who connects early waits, and is not refused.
        listener = socket.create_server((_HOST, port))
    except OSError as error:
        return _complain(
            f"Cannot listen on {_HOST}:{port}: {error.strerror}. "
            "Choose another port with --port, or any free one with --port 0."
        )
    fake = FakePlastiq()
    settings = {
        "PLASTIQ_BASE_URL": f"http://{_HOST}:{listener.getsockname()[1]}/api",
        "PLASTIQ_ACCESS_TOKEN": fake.access_token,
        "PLASTIQ_PAYER_ID": str(fake.payer_id),
    }
    server = uvicorn.Server(
        uvicorn.Config(
            fake.app,
            lifespan="off",
            # Python's own last resort prints warnings, on stderr; uvicorn's
            # configuration would hold on to stdout as well.
            log_config=None,
            log_level="warning",
            timeout_graceful_shutdown=1,
            ws="none",
        )
    )
    with listener:
        if command:
            with _serving(server, listener):
                return _run(command, settings)
        # uvicorn ends orderly, and then hands the interrupt on.
        with contextlib.suppress(KeyboardInterrupt):
            for name, value in settings.items():
                print(f"export {name}={shlex.quote(value)}", flush=True)  # noqa: T201
            server.run(sockets=[listener])
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m plastiq_async.sandbox",
        description="Serve a Plastiq Connect that needs no API key, on loopback.",
    )
    parser.add_argument(
        "--port",
        type=_port,
        help=f"0 is any free one; default: {_DEFAULT_PORT}, with a command 0",
    )
    parser.add_argument(
        "command",
        nargs=argparse.REMAINDER,
        help="run this against the sandbox, then stop, with its exit code",
    )
    options = parser.parse_args(arguments)
    # Whether argparse itself drops the separator depends on Python's version.
    if options.command[:1] == ["--"]:
        del options.command[0]
    return options


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:  # noqa: PLR2004
        message = f"{port} is not between 0 and 65535"
        raise argparse.ArgumentTypeError(message)
    return port


@contextlib.contextmanager
def _serving(server: uvicorn.Server, listener: socket.socket) -> Iterator[None]:
    # In a thread of its own, uvicorn leaves the process's signals alone.
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


def _run(command: Sequence[str], settings: Mapping[str, str]) -> int:
    # A terminal sends Ctrl-C to the command, too: what follows is its decision.
    # A handler, not SIG_IGN, which the command would inherit.
    on_interrupt = signal.signal(signal.SIGINT, lambda *_: None)
    running: list[subprocess.Popen[bytes]] = []

    def hand_on(*_: object) -> None:
        for process in running:
            process.terminate()

    on_terminate = signal.signal(signal.SIGTERM, hand_on)
    try:
        process = subprocess.Popen(  # noqa: S603  # it is what the user asked for
            command, env={**os.environ, **settings}
        )
        running.append(process)
        status = process.wait()
    except OSError as error:
        _complain(f"Cannot run {command[0]}: {error.strerror}")
        return 127 if isinstance(error, FileNotFoundError) else 126
    finally:
        signal.signal(signal.SIGINT, on_interrupt)
        signal.signal(signal.SIGTERM, on_terminate)
    # A command that a signal ended: the shell's way to say so.
    return status if status >= 0 else 128 - status


def _complain(message: str) -> int:
    print(message, file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
