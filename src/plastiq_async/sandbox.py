"""The sandbox: `FakePlastiq` on a loopback socket, without an API key.

    python -m plastiq_async.sandbox [--port N] [command ...]

Without a command, the sandbox prints its settings as shell `export` lines and
serves until Ctrl-C. With a command, it runs the command with the settings in its
environment, and stops when the command ends. It needs the extra
`plastiq-async[sandbox]`.
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
        arguments: Command-line arguments without the program's name; by default
            `sys.argv[1:]`.

    Returns:
        The exit code: that of the command if there is one, or 0 after Ctrl-C. It
        is 1 if the sandbox cannot start, and 126 or 127 if the command cannot.
    """
    options = _parse(arguments)
    try:
        import uvicorn  # noqa: PLC0415 -- an optional dependency

        from plastiq_async.testing import FakePlastiq  # noqa: PLC0415 -- needs Starlette
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn"):
            raise
        return _print_error(
            f"The sandbox needs {error.name}, which is not installed: "
            "pip install 'plastiq-async[sandbox]'"
        )
    command: list[str] = options.command
    port: int | None = options.port
    if port is None:
        port = 0 if command else _DEFAULT_PORT
    try:
        # Listens from here on, so that early connections wait and are not refused.
        listener = socket.create_server((_HOST, port))
    except OSError as error:
        return _print_error(
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
            # Without a configuration Python prints warnings to stderr. That of
            # uvicorn would also write to stdout.
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
        # uvicorn shuts down, and then raises the interrupt again.
        with contextlib.suppress(KeyboardInterrupt):
            for name, value in settings.items():
                line = f"export {name}={shlex.quote(value)}"
                print(line, flush=True)  # noqa: T201 -- a command-line program
            server.run(sockets=[listener])
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m plastiq_async.sandbox",
        description="Serve a fake Plastiq Connect API on loopback, without an API key.",
    )
    parser.add_argument(
        "--port",
        type=_port,
        help=f"port, 0 for any free one; default: {_DEFAULT_PORT}, or 0 with a command",
    )
    parser.add_argument(
        "command",
        nargs=argparse.REMAINDER,
        help="command to run against the sandbox, which then stops with its exit code",
    )
    options = parser.parse_args(arguments)
    # Some versions of argparse drop the separator, some do not.
    if options.command[:1] == ["--"]:
        del options.command[0]
    return options


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:  # noqa: PLR2004 -- the range of ports
        msg = f"{port} is not between 0 and 65535"
        raise argparse.ArgumentTypeError(msg)
    return port


@contextlib.contextmanager
def _serving(server: uvicorn.Server, listener: socket.socket) -> Iterator[None]:
    # In a thread, uvicorn does not install signal handlers.
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


def _run(command: Sequence[str], settings: Mapping[str, str]) -> int:
    # A terminal sends Ctrl-C to the command, too, and the command decides what to do.
    # This is a handler because the command would inherit SIG_IGN.
    on_interrupt = signal.signal(signal.SIGINT, lambda *_: None)
    running: list[subprocess.Popen[bytes]] = []

    def terminate(*_: object) -> None:
        for process in running:
            process.terminate()

    on_terminate = signal.signal(signal.SIGTERM, terminate)
    try:
        process = subprocess.Popen(  # noqa: S603 -- the command is the user's own
            command, env={**os.environ, **settings}
        )
        running.append(process)
        status = process.wait()
    except OSError as error:
        _print_error(f"Cannot run {command[0]}: {error.strerror}")
        return 127 if isinstance(error, FileNotFoundError) else 126
    finally:
        signal.signal(signal.SIGINT, on_interrupt)
        signal.signal(signal.SIGTERM, on_terminate)
    # A negative status is a signal, for which shells return 128 plus its number.
    return status if status >= 0 else 128 - status


def _print_error(message: str) -> int:
    print(message, file=sys.stderr)  # noqa: T201 -- a command-line program
    return 1


if __name__ == "__main__":
    sys.exit(main())
