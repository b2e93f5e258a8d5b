"""Run the fenced ``python`` blocks of the README and of the docstrings.

`nox -s docs` starts this inside the sandbox, so that `PlastiqSession()` finds a server
and a token in the environment. The blocks of one file share one namespace, top to
bottom, and may use `await` at top level. A fragment that cannot run is fenced as `py`.
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
    for path in (ROOT / "README.md", *sorted((ROOT / "src").rglob("*.py")))
    if FENCE.search(path.read_text(encoding="utf-8"))
]


def run(code: str, path: Path, line: int, namespace: dict[str, Any]) -> None:
    """Execute one block; it starts at the given line, and tracebacks say so."""
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
    """What we tell people to write works as written."""
    text = path.read_text(encoding="utf-8")
    namespace: dict[str, Any] = {"__name__": f"example_{path.stem}"}
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start(2)) + 1
        run(textwrap.dedent(match[2]), path, line, namespace)
