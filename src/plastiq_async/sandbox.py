"""The local fake: `FakePlastiq` on a socket, without an API key.

    python -m plastiq_async.sandbox [--host HOST] [--port N] [command ...]

Without a command, it prints its settings as shell `export` lines and serves until
Ctrl-C. On stderr, it prints requests to try. With a command, it runs the command with
the settings in its environment, and stops when the command ends. It needs the extra
`plastiq-async[sandbox]`. It is not Plastiq's sandbox, which is a server of the vendor.

The settings are `PLASTIQ_BASE_URL`, `PLASTIQ_ACCESS_TOKEN` and what the fake has from
the start: `PLASTIQ_PAYER_ID`, `PLASTIQ_PAYMENT_METHOD_ID` (a card of this payer),
`PLASTIQ_CATEGORY_ID` and `PLASTIQ_RECIPIENT_ID`. The IDs are always the same.

Web pages on loopback may use it, too (CORS). Programs on the same machine can order
faults, redeem client secrets, read the requests with their bodies and reset the fake.
They can add a card as the vendor's script in the browser does, and set the status of a
payment:

    curl http://127.0.0.1:8642/_sandbox/faults --json '{"fault": "fail", "status": 503}'
    curl http://127.0.0.1:8642/_sandbox/redeem --json '{"clientSecret": "..."}'
    curl 'http://127.0.0.1:8642/_sandbox/requests?limit=10'
    curl http://127.0.0.1:8642/_sandbox/reset --json '{}'
    curl http://127.0.0.1:8642/_sandbox/tokenize --json '{"clientSecret": "..."}'
    curl http://127.0.0.1:8642/_sandbox/advance --json \
        '{"paymentId": "...", "status": "DEPOSITED"}'

A fault is `"fail"`, `"garble"`, `"delay"`, `"drop"` or `"refuse"`, with the arguments
of the methods of `FakePlastiq`, such as `fail_next`, in camelCase.
"""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import json
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

_DEFAULT_HOST = "127.0.0.1"
_DEFAULT_PORT = 8642


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the local fake.

    Args:
        arguments: Command-line arguments without the program's name; by default
            `sys.argv[1:]`.

    Returns:
        The exit code: that of the command if there is one, or 0 after Ctrl-C. It
        is 1 if the local fake cannot start, and 126 or 127 if the command cannot.
    """
    options = _parse(arguments)
    try:
        import uvicorn  # noqa: PLC0415 -- an optional dependency

        from plastiq_async.testing._sandbox import (  # noqa: PLC0415 -- needs Starlette
            make_sandbox_app,
        )
        from plastiq_async.testing._seeds import SeededFake  # noqa: PLC0415 -- likewise
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn"):
            raise
        return _print_error(
            f"The local fake needs {error.name}, which is not installed: "
            "pip install 'plastiq-async[sandbox]'"
        )
    command: list[str] = options.command
    port: int | None = options.port
    if port is None:
        port = 0 if command else _DEFAULT_PORT
    host: str = options.host
    try:
        # Listens from here on, so that early connections wait and are not refused.
        listener = _listen(host, port)
    except OSError as error:
        return _print_error(
            f"Cannot listen on {host}:{port}: {error.strerror}. "
            "Choose another port with --port, or any free one with --port 0."
        )
    if not ipaddress.ip_address(listener.getsockname()[0]).is_loopback:
        _print_notice(
            f"Warning: --host {host} lets everyone on the network use the local fake. "
            "Do not send it real data. Its endpoints /_sandbox/ serve clients on "
            "loopback only."
        )
    fake = SeededFake()
    settings = {
        "PLASTIQ_BASE_URL": _base_url(host, listener),
        "PLASTIQ_ACCESS_TOKEN": fake.access_token,
        "PLASTIQ_PAYER_ID": str(fake.payer_id),
        "PLASTIQ_PAYMENT_METHOD_ID": str(fake.payment_method_id),
        "PLASTIQ_CATEGORY_ID": str(fake.category_id),
        "PLASTIQ_RECIPIENT_ID": str(fake.recipient_id),
    }
    server = uvicorn.Server(
        uvicorn.Config(
            make_sandbox_app(fake),
            lifespan="off",
            # Without a configuration Python prints warnings to stderr. That of
            # uvicorn would also write to stdout.
            log_config=None,
            log_level="warning",
            # The control endpoints check the address of the peer itself.
            proxy_headers=False,
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
            _print_notice(
                "Serving the local fake of Plastiq Connect on "
                f"{settings['PLASTIQ_BASE_URL']} with the access token "
                f"{fake.access_token}. Stop it with Ctrl-C. Try:"
            )
            for line in _commands_to_try(settings):
                _print_notice(line)
            server.run(sockets=[listener])
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m plastiq_async.sandbox",
        description="Serve the local fake of Plastiq Connect, without an API key.",
    )
    parser.add_argument(
        "--host",
        default=_DEFAULT_HOST,
        help="address to listen on; anyone who can reach it can use the fake; default: "
        "%(default)s",
    )
    parser.add_argument(
        "--port",
        type=_port,
        help=f"port, 0 for any free one; default: {_DEFAULT_PORT}, or 0 with a command",
    )
    parser.add_argument(
        "command",
        nargs=argparse.REMAINDER,
        help="command to run against the fake, which then stops with its exit code",
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


def _listen(host: str, port: int) -> socket.socket:
    (family, *_, address), *_ = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    return socket.create_server(address[:2], family=family)


def _base_url(host: str, listener: socket.socket) -> str:
    address, port = listener.getsockname()[:2]
    if ipaddress.ip_address(address).is_unspecified:
        # Listens on all addresses, so on loopback as well.
        host = "::1" if listener.family == socket.AF_INET6 else _DEFAULT_HOST
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/api"


def _commands_to_try(settings: Mapping[str, str]) -> Iterator[str]:
    """Yield shell commands: list categories, quote a payment, list cards."""
    payer, recipient, method = (
        {"id": settings[f"PLASTIQ_{name}_ID"]}
        for name in ("PAYER", "RECIPIENT", "PAYMENT_METHOD")
    )
    quote = {
        "payer": payer,
        "recipient": recipient,
        "paymentMethod": method,
        "targetAmount": {"value": 100, "currency": "USD"},
    }
    header = f"Authorization: Bearer {settings['PLASTIQ_ACCESS_TOKEN']}"
    for path, *body in (
        ("categories",),
        ("payment-intents", "--json", json.dumps(quote)),
        (f"payment-methods?payerId={payer['id']}",),
    ):
        url = f"{settings['PLASTIQ_BASE_URL']}/{path}"
        yield shlex.join(["curl", url, "-H", header, *body])


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
    _print_notice(message)
    return 1


def _print_notice(message: str) -> None:
    # stdout is for the settings, so that a shell can read them.
    print(message, file=sys.stderr, flush=True)  # noqa: T201 -- a command-line program


if __name__ == "__main__":
    sys.exit(main())
