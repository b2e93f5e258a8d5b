"""The sandbox, on real sockets and as a real process."""

from __future__ import annotations

import io
import os
import re
import shlex
import signal
import socket
import sys
import threading
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from plastiq_async import sandbox
from tests.support.programs import free_port
from tests.support.sandbox_process import read_settings, settings_of, start

CALL = """
import json, os, sys, urllib.request
request = urllib.request.Request(
    os.environ["PLASTIQ_BASE_URL"] + "/client-secrets",
    json.dumps({"payer": {"id": os.environ["PLASTIQ_PAYER_ID"]}}).encode(),
    {
        "Authorization": "Bearer " + os.environ["PLASTIQ_ACCESS_TOKEN"],
        "Content-Type": "application/json",
    },
)
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
with opener.open(request) as response:
    print(sorted(json.load(response)))
sys.exit(7)
"""


def has_ipv6() -> bool:
    """Return whether this machine has an IPv6 loopback address."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6")
posix_only = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")


@pytest.fixture
def unused_port() -> int:
    """Return a port that nobody uses."""
    return free_port("127.0.0.1")


def create(settings: dict[str, str]) -> httpx.Response:
    """Create a client secret with the printed settings."""
    with httpx.Client(trust_env=False) as client:
        return client.post(
            f"{settings['PLASTIQ_BASE_URL']}/client-secrets",
            json={"payer": {"id": settings["PLASTIQ_PAYER_ID"]}},
            headers={"Authorization": f"Bearer {settings['PLASTIQ_ACCESS_TOKEN']}"},
        )


@pytest.mark.slow
@posix_only
def test_serves_until_interrupted() -> None:
    """The printed settings work, a line says how to stop, and Ctrl-C does it."""
    with start("--port", "0") as process:
        settings = read_settings(process)
        assert re.fullmatch(
            r"http://127\.0\.0\.1:\d+/api", settings["PLASTIQ_BASE_URL"]
        )
        assert UUID(settings["PLASTIQ_PAYER_ID"]).version == 4
        response = create(settings)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
    assert response.status_code == 200
    assert (process.returncode, output) == (0, "")
    line, *commands = errors.splitlines()
    assert line == (
        "Serving the local fake of Plastiq Connect on "
        f"{settings['PLASTIQ_BASE_URL']} with the access token "
        f"{settings['PLASTIQ_ACCESS_TOKEN']}. Stop it with Ctrl-C. Try:"
    )
    assert [shlex.split(command)[0] for command in commands] == ["curl"] * 3


@posix_only
def test_default_port_is_fixed(
    monkeypatch: pytest.MonkeyPatch, unused_port: int
) -> None:
    """Without `--port`, the port is the same each time."""
    printed = threading.Event()

    class Output(io.StringIO):
        def flush(self) -> None:
            if "PLASTIQ_RECIPIENT_ID" in self.getvalue():
                printed.set()

    output = Output()
    responses = []

    def call_and_interrupt() -> None:
        if printed.wait(30):
            try:
                # From the first response on, the server handles the interrupt.
                responses.append(create(settings_of(output.getvalue().splitlines())))
            finally:
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(sandbox, "_DEFAULT_PORT", unused_port)
    monkeypatch.setattr(sys, "stdout", output)
    thread = threading.Thread(target=call_and_interrupt)
    thread.start()
    assert sandbox.main([]) == 0
    thread.join()
    (response,) = responses
    assert response.status_code == 200
    assert response.url.port == unused_port


def test_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    """If the port is in use, the message names it and suggests a solution."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert sandbox.main(["--port", str(port)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"127.0.0.1:{port}" in captured.err
    assert "--port" in captured.err


@pytest.mark.parametrize("port", ["-1", "65536", "x"])
def test_impossible_port(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An invalid port is a usage error."""
    with pytest.raises(SystemExit) as info:
        sandbox.main([f"--port={port}"])
    assert info.value.code == 2
    assert port in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("separator", [[], ["--"]])
def test_runs_a_command(
    separator: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """The command can use the sandbox, owns stdout, and sets the exit status."""
    assert sandbox.main([*separator, sys.executable, "-c", CALL]) == 7
    assert capfd.readouterr() == ("['clientSecret']\n", "")


def test_runs_a_command_on_a_chosen_port(
    unused_port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """`--port` works together with a command, whose own options are passed to it."""
    code = "import os, sys; print(os.environ['PLASTIQ_BASE_URL'], sys.argv[1:])"
    arguments = ["--port", str(unused_port), sys.executable, "-c", code, "--port", "x"]
    assert sandbox.main(arguments) == 0
    expected = f"http://127.0.0.1:{unused_port}/api ['--port', 'x']\n"
    assert capfd.readouterr().out == expected


def test_command_not_found(capfd: pytest.CaptureFixture[str]) -> None:
    """A command that does not exist gives the shell's exit status."""
    assert sandbox.main(["no-such-command-anywhere"]) == 127
    assert "no-such-command-anywhere" in capfd.readouterr().err


@posix_only
def test_command_not_executable(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A command that is not executable gives the shell's exit status."""
    assert sandbox.main([str(tmp_path)]) == 126
    assert str(tmp_path) in capfd.readouterr().err


@posix_only
def test_command_ended_by_a_signal() -> None:
    """A command that is ended by a signal gives the shell's exit status."""
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert sandbox.main([sys.executable, "-c", code]) == 128 + signal.SIGKILL


@posix_only
def test_signals_are_left_to_the_command() -> None:
    """SIGINT is left to the command, and SIGTERM is passed on to it."""
    code = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))\n"
        "os.kill(os.getppid(), signal.SIGINT)\n"
        "while True:\n"
        "    os.kill(os.getppid(), signal.SIGTERM)\n"
        "    time.sleep(0.05)\n"
    )
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert sandbox.main([sys.executable, "-c", code]) == 3
    assert before == (
        signal.getsignal(signal.SIGINT),
        signal.getsignal(signal.SIGTERM),
    )


@pytest.mark.slow
@posix_only
def test_interrupted_with_its_command() -> None:
    """Ctrl-C in a terminal reaches both; the command determines the exit status."""
    code = (
        "import sys, time\n"
        "try:\n"
        "    print('ready', flush=True); time.sleep(600)\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(5)\n"
    )
    with start(sys.executable, "-c", code) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGINT)
        output, errors = process.communicate()
    assert (process.returncode, output, errors) == (5, "", "")


PRINT_URL = [
    sys.executable,
    "-c",
    "import os; print(os.environ['PLASTIQ_BASE_URL'])",
]


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "localhost"),
        pytest.param("::1", "[::1]", marks=needs_ipv6),
    ],
)
def test_loopback_hosts(
    host: str, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Any address of loopback can be chosen, without a warning."""
    assert sandbox.main(["--host", host, *PRINT_URL]) == 0
    output, errors = capfd.readouterr()
    assert re.fullmatch(rf"http://{re.escape(name)}:\d+/api\n", output)
    assert errors == ""


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("0.0.0.0", "127.0.0.1"),  # noqa: S104 -- under test
        pytest.param("::", "[::1]", marks=needs_ipv6),
    ],
)
def test_hosts_on_the_network(
    host: str, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A host that others can reach is a warning; the URL is one of this machine."""
    assert sandbox.main(["--host", host, *PRINT_URL]) == 0
    output, errors = capfd.readouterr()
    assert re.fullmatch(rf"http://{re.escape(name)}:\d+/api\n", output)
    assert errors.startswith(f"Warning: --host {host} lets everyone on the network")


def test_impossible_host(capsys: pytest.CaptureFixture[str]) -> None:
    """A host that is not one of this machine is named in the error."""
    assert sandbox.main(["--host", "192.0.2.1", "--port", "1"]) == 1
    assert "192.0.2.1:1" in capsys.readouterr().err


@pytest.mark.slow
def test_other_programs_can_control_it(capfd: pytest.CaptureFixture[str]) -> None:
    """Another program can order a fault of the fake that is served."""
    code = (
        "import json, os, urllib.error, urllib.request as u\n"
        "opener = u.build_opener(u.ProxyHandler({}))\n"
        "def post(url, body):\n"
        "    data = json.dumps(body).encode()\n"
        "    headers = {'Content-Type': 'application/json'}\n"
        "    return opener.open(u.Request(url, data, headers))\n"
        "url = os.environ['PLASTIQ_BASE_URL']\n"
        "order = {'fault': 'fail', 'status': 503}\n"
        "post(url.replace('/api', '/_sandbox/faults'), order)\n"
        "try:\n"
        "    post(url + '/client-secrets', {})\n"
        "except urllib.error.HTTPError as error:\n"
        "    print(error.code)\n"
    )
    assert sandbox.main([sys.executable, "-c", code]) == 0
    assert capfd.readouterr() == ("503\n", "")


@pytest.mark.parametrize("name", ["starlette", "uvicorn"])
def test_missing_extra_is_named(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If the servers' packages are not installed, the message names the extra."""
    for module in list(sys.modules):
        if module.startswith("plastiq_async.testing"):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    assert sandbox.main([]) == 1
    error = capsys.readouterr().err
    assert name in error
    assert "plastiq-async[sandbox]" in error


def test_other_missing_modules_are_not_explained_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A missing module that no extra provides is reported as an ordinary error."""
    monkeypatch.delitem(sys.modules, "uvicorn", raising=False)
    for module in list(sys.modules):
        if module.startswith("plastiq_async.testing"):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "anyio", None)
    with pytest.raises(ModuleNotFoundError):
        sandbox.main([])
