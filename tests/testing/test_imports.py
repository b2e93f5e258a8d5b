"""Which modules of the fake import which."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import plastiq_async.testing

ROOT = Path(plastiq_async.testing.__file__).parent
PREFIX = "plastiq_async.testing"


def name_of(file: Path) -> str:
    """Return the dotted name of a module."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join((PREFIX, *parts)).removesuffix(".__init__")


FILES = {name_of(file): file for file in sorted(ROOT.rglob("*.py"))}


def imports_of(module: str) -> set[str]:
    """Return what a module imports anywhere in it, also for type checkers only."""
    found = set()
    for node in ast.walk(ast.parse(FILES[module].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None
            assert node.level == 0
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names} & {*FILES}
    return found - {module}


def test_all_modules_are_found() -> None:
    """The search finds the package, its modules and its routes."""
    assert {PREFIX, f"{PREFIX}._wire", f"{PREFIX}._routes.client_secrets"} <= {*FILES}


def test_no_import_circle() -> None:
    """No two modules import each other, not even for type checkers."""
    graph = {module: imports_of(module) & {*FILES} for module in FILES}
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("module", FILES)
def test_no_code_of_the_client(module: str) -> None:
    """The fake imports nothing of the client, so that they share no mistake.

    The error for a package that is not installed says nothing about the API.
    """
    ours = {name for name in imports_of(module) if name.startswith("plastiq_async")}
    assert ours - {"plastiq_async._missing"} <= {*FILES}
