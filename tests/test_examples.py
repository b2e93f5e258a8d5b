"""The examples, as their readers run them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples"
# What each of them prints, at the beginning of a line.
EXPECTED = {
    "quickstart.py": [
        r"<PlastiqSession http://127\.0\.0\.1:\d+/api \(open\)>$",
        r"result      ClientSecret\(trace_id=UUID\(",
        r"secret      \d+ characters",
        r"trace ID    [0-9a-f-]{36}$",
        r"expires at  .* UTC \(expired: False\)$",
        r"answer      ResponseInfo\(status=200, ",
    ],
}


def test_all_are_run() -> None:
    """No example goes without a test."""
    assert {path.name for path in FOLDER.glob("*.py")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_example(name: str) -> None:
    """The example does against the sandbox what it says, and does not complain."""
    sandbox = [sys.executable, "-m", "plastiq_async.sandbox"]
    done = subprocess.run(
        [*sandbox, sys.executable, "-W", "error", str(FOLDER / name)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for pattern in EXPECTED[name]:
        assert re.search(pattern, done.stdout, re.MULTILINE)
