"""Optional packages that are not installed: integrations, transports and the fake."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys

import pytest

from plastiq_async import MissingDependencyError, PlastiqSession
from tests.support.internals import AIOHTTP_TRANSPORT
from tests.support.sessions import TOKEN

FRAMEWORKS = ("fastapi", "aiohttp")
MODULES = [
    ("integrations.fastapi", "fastapi", "fastapi"),
    ("integrations.aiohttp", "aiohttp", "aiohttp"),
    ("integrations.limits", "redis", "'plastiq-async[redis]'"),
    ("integrations.opentelemetry", "opentelemetry", "opentelemetry-api"),
    ("integrations.opentelemetry", "opentelemetry.context", "opentelemetry-api"),
    ("testing", "starlette", "'plastiq-async[testing]'"),
]
SOCKS = "socks5://user:s3cr3t@127.0.0.1:9"


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a fresh interpreter."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.mark.parametrize(("name", "lacking", "package"), MODULES)
def test_modules(
    name: str, lacking: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the package that a module needs, an error says what to install."""
    module = f"plastiq_async.{name}"
    monkeypatch.delitem(sys.modules, module, raising=False)
    for loaded in [one for one in sys.modules if one.startswith(f"{lacking}.")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, lacking, None)
    with pytest.raises(ImportError) as info:
        importlib.import_module(module)
    check(info.value, module, lacking, package)


def check(error: ImportError, needed_by: str, lacking: str, package: str) -> None:
    """Check that the error names the package, and survives pickling."""
    assert type(error) is MissingDependencyError
    assert str(error) == (
        f"{needed_by} needs a package that is not installed: pip install {package}"
    )
    assert f"{error.name}.".startswith(f"{lacking}.")
    assert error.__suppress_context__
    copied = pickle.loads(pickle.dumps(error))  # noqa: S301 -- our own
    assert (str(copied), copied.name) == (str(error), error.name)


def test_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    """If aiohttp is not installed, the error says how to install it."""
    monkeypatch.delitem(sys.modules, AIOHTTP_TRANSPORT, raising=False)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(ImportError) as info:
        PlastiqSession(TOKEN, transport="aiohttp")
    package = "'plastiq-async[aiohttp]'"
    check(info.value, 'transport="aiohttp"', "aiohttp", package)


@pytest.mark.parametrize("missing", ["yarl", "multidict"])
def test_broken_transport(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a dependency of aiohttp is missing, aiohttp is not blamed."""
    monkeypatch.delitem(sys.modules, AIOHTTP_TRANSPORT, raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(
        ModuleNotFoundError, match=f"^import of {missing} halted"
    ) as info:
        PlastiqSession(TOKEN, transport="aiohttp")
    assert type(info.value) is ModuleNotFoundError


@pytest.mark.parametrize("setting", ["proxy", "ALL_PROXY"])
def test_socks(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without socksio, the error for a SOCKS proxy says how to install it."""
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("ALL_PROXY", SOCKS)
    proxy = SOCKS if setting == "proxy" else None
    with pytest.raises(ImportError) as info:
        PlastiqSession(TOKEN, proxy=proxy, verify=False)
    needed_by = f"{setting} is not usable: a SOCKS proxy"
    check(info.value, needed_by, "socksio", "'httpx[socks]'")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "needed"), [("fastapi", "pydantic"), ("aiohttp", "yarl")]
)
def test_something_else_is_missing(name: str, needed: str) -> None:
    """If a dependency of the framework is missing, the framework is not blamed."""
    code = f"import sys; sys.modules['{needed}'] = None\n"
    code += f"import plastiq_async.integrations.{name}"
    done = run(code)
    assert done.returncode == 1
    assert f"\nModuleNotFoundError: import of {needed} halted; " in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("package", ["plastiq_async", "plastiq_async.integrations"])
def test_not_imported(package: str) -> None:
    """Importing the package imports no integration."""
    code = f"import {package}, sys; print(*sys.modules)"
    loaded = set(run(code).stdout.split())
    assert package in loaded
    assert not loaded & {*FRAMEWORKS, "starlette"}
    assert not any(name.startswith(f"{package}.integrations.") for name in loaded)
