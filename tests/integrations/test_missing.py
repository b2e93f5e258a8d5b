"""Integrations without their frameworks, and the package without integrations."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from plastiq_async import ConfigurationError

FRAMEWORKS = ("fastapi", "aiohttp")
INTEGRATIONS = [
    ("fastapi", "fastapi", "fastapi"),
    ("aiohttp", "aiohttp", "aiohttp"),
    ("opentelemetry", "opentelemetry", "opentelemetry-api"),
    ("opentelemetry", "opentelemetry.trace", "opentelemetry-api"),
]


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a fresh interpreter."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.mark.parametrize(("name", "lacking", "package"), INTEGRATIONS)
def test_not_installed(
    name: str, lacking: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the framework, a one-line error says what to install."""
    module = f"plastiq_async.integrations.{name}"
    monkeypatch.delitem(sys.modules, module, raising=False)
    for loaded in [one for one in sys.modules if one.startswith(f"{lacking}.")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, lacking, None)
    with pytest.raises(ConfigurationError) as info:
        importlib.import_module(module)
    assert str(info.value) == (
        f"{module} needs a package that is not installed: pip install {package}"
    )
    assert info.value.__suppress_context__


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
