"""Test that runs the ``python`` code blocks of the documents and the docstrings.

`nox -s docs` runs it with the local fake, which sets the environment variables that
`PlastiqSession()` reads. The blocks of a file run in order, share one namespace, and
may use top-level `await`. A block that cannot run is fenced as `py`.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from pathlib import Path
from types import FunctionType
from typing import Any

import anyio
import pytest

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^( *)```python\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
FILES = [
    path
    for path in (
        ROOT / "README.md",
        *sorted((ROOT / "docs").glob("*.md")),
        *sorted((ROOT / "src").rglob("*.py")),
    )
    if FENCE.search(path.read_text(encoding="utf-8"))
]


def run(code: str, path: Path, line: int, namespace: dict[str, Any]) -> None:
    """Run a code block that starts at `line` of `path`, as tracebacks show."""
    compiled = compile(
        "\n" * (line - 1) + code,
        path,
        "exec",
        flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
        dont_inherit=True,
    )
    function = FunctionType(compiled, namespace)
    if inspect.iscoroutinefunction(function):
        anyio.run(function)
    else:
        function()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_examples_run(path: Path) -> None:
    """All code blocks of the file run without an error."""
    text = path.read_text(encoding="utf-8")
    namespace: dict[str, Any] = {"__name__": f"example_{path.stem}"}
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start(2)) + 1
        run(textwrap.dedent(match[2]), path, line, namespace)
