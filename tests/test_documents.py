"""Statements in the documentation about the tests and the examples."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import plastiq_async
from plastiq_async.testing import FakePlastiq

ROOT = Path(__file__).parents[1]
PACKAGE = Path(plastiq_async.__file__).parent
# CONTRIBUTING shows how to add a resource that does not exist.
INVENTED = {
    "tests/_resources/test_disputes.py",
    "tests/models/test_disputes.py",
    "tests/testing/test_disputes_routes.py",
}
NAMED = re.compile(r"`((?:tests|examples|benchmarks|docs)/[\w/.]+)`")


@pytest.mark.parametrize("name", ["README.md", "SECURITY.md", "CONTRIBUTING.md"])
def test_named_files_exist(name: str) -> None:
    """Every test and example that a document names exists."""
    named = set(NAMED.findall((ROOT / name).read_text("utf-8")))
    assert named
    missing = {path for path in named if not (ROOT / path).exists()}
    assert missing == (INVENTED if name == "CONTRIBUTING.md" else set())


def test_pages_are_linked() -> None:
    """The README links every page, and every page that the code names exists."""
    named = {
        page
        for path in PACKAGE.rglob("*.py")
        for page in re.findall(r"docs/[\w-]+\.md", path.read_text("utf-8"))
    }
    pages = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}
    assert named
    assert named <= pages
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [page for page in pages if f"({page})" not in readme] == []


def test_operations_are_listed() -> None:
    """The README lists each operation once, with its endpoint."""
    readme = (ROOT / "README.md").read_text("utf-8")
    listed = re.findall(
        r"^\| `(\w+\.\w+)` \|.*?\| `([A-Z]+) (/.*?)` \|", readme, re.MULTILINE
    )
    routes = [
        (route.operation, route.method, route.path) for route in FakePlastiq.routes
    ]
    assert sorted(listed) == sorted(routes)
    assert f"all {len(routes)} operations of the public API document" in readme


def test_no_error_advises_to_turn_off_a_check() -> None:
    """No string in the code but its documentation names the switch of a check."""
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        raised = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        for text in (node.value for node in raised if isinstance(node.value, str)):
            assert not re.search(r"(verify\w*|trust_env|secure)=(False|True)", text)


def test_faults_are_promised() -> None:
    """The README names each group of faults."""
    text = (ROOT / "README.md").read_text("utf-8")
    text += (ROOT / "SECURITY.md").read_text("utf-8")
    groups = sorted((ROOT / "tests" / "faults").glob("test_*.py"))
    assert groups
    assert [path.name for path in groups if path.name not in text] == []


def test_every_fault_has_a_test() -> None:
    """Each of the twenty faults is named by the docstring of a test."""
    found: set[int] = set()
    for path in (ROOT / "tests" / "faults").glob("test_*.py"):
        found |= {
            int(one) for one in re.findall(r"Fault (\d+):", path.read_text("utf-8"))
        }
    assert found == set(range(1, 21))


@pytest.mark.parametrize(
    "group", ["bodies", "cancellation", "deadline", "sizes", "surplus"]
)
def test_controlled(group: str) -> None:
    """Faults 2, 3, 8, 9, 14 and 18 have tests that plain httpx is known to fail."""
    path = ROOT / "tests" / "faults" / f"test_{group}.py"
    assert "mark.fails_on_httpx" in path.read_text("utf-8")
