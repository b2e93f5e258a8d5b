"""Statements in the documentation about the tests and the examples."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import plastiq_async

ROOT = Path(__file__).parents[1]
PACKAGE = Path(plastiq_async.__file__).parent
NAMED = re.compile(r"`((?:tests|examples|benchmarks|docs)/[\w/.]+)`")


@pytest.mark.parametrize("name", ["README.md", "SECURITY.md", "CONTRIBUTING.md"])
def test_named_files_exist(name: str) -> None:
    """Every test and example that a document names exists."""
    named = set(NAMED.findall((ROOT / name).read_text("utf-8")))
    assert named
    missing = {path for path in named if not (ROOT / path).exists()}
    assert missing - {"tests/_resources/test_refunds.py"} == set()


def test_pages_of_errors_exist() -> None:
    """Every page that an error refers to exists, and is in the README."""
    named = {
        page
        for path in PACKAGE.rglob("*.py")
        for page in re.findall(r"docs/[\w-]+\.md", path.read_text("utf-8"))
    }
    assert named == {"docs/recorded-responses.md", "docs/testing.md"}
    readme = (ROOT / "README.md").read_text("utf-8")
    for page in named:
        assert (ROOT / page).is_file()
        assert f"({page})" in readme


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
