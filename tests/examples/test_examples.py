"""The examples in examples/, run as their readers run them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.example_processes import EXAMPLES

# What each example prints, at the beginning of a line.
EXPECTED = {
    "bulk.py": [
        r"client secrets .* 100%",
        r"990 created$",
        r"10 failed: BadRequestErr",
    ],
    "quickstart.py": [
        r"<PlastiqSession http://127\.0\.0\.1:\d+/api \(open\)>$",
        r"result      ClientSecret\(trace_id=UUID\(",
        r"secret      \d+ characters",
        r"trace ID    [0-9a-f-]{36}$",
        r"expires at  .* UTC \(expired: False\)$",
        r"response    ResponseInfo\(status=200, ",
    ],
    "observability.py": [
        r"client_secrets.create: UNSET \{.*'plastiq.attempts': 1",
        r"client_secrets.create: ERROR \{.*BadRequestError.*'plastiq.attempts': 1",
        r"client_secrets.create: ERROR \{.*APIConnectionError.*'plastiq.attempts': 2",
        r"    POST: ERROR \{.*\}\n    POST: ERROR \{.*\}$",
        r'plastiq_client_call_duration_seconds_count\{.*_code="200",.*\} 1\.0$',
        r'plastiq_client_call_duration_seconds_count\{.*_code="400",.*\} 1\.0$',
        r"plastiq_client_call_attempts_total\{.*\} 4\.0$",
        r'plastiq_client_call_retries_total\{.*="APIConnectionError",.*\} 1\.0$',
    ],
    "task_group.py": [
        r"3 secrets, each with 60 seconds to live$",
        "one trace ID: True$",
    ],
    "trio_program.py": [r"secret until \d\d:\d\d:\d\d UTC$"],
}


# Some examples have their own tests, named here.
TESTED_ELSEWHERE = {
    "aiohttp_app.py": "examples/test_web_examples.py",
    "app.py": "support/checkout.py",
    "fastapi_app.py": "examples/test_web_examples.py",
    "outbox.py": "outbox/test_processes.py",
    "place.py": "outbox/test_processes.py",
    "take_a_payment.py": "examples/test_take_a_payment.py",
    "webhooks.py": "examples/test_webhooks.py",
    "worker.py": "outbox/test_processes.py",
    "worker_taskiq.py": "examples/test_worker_taskiq.py",
}


def test_all_are_run() -> None:
    """Every example is run by a test."""
    # The other modules in the folder of an example are parts of it.
    patterns = ("*.py", "*/app.py", "outbox/*.py")
    found = {path.name for pattern in patterns for path in EXAMPLES.glob(pattern)}
    assert found == EXPECTED.keys() | TESTED_ELSEWHERE.keys()
    for example, test in TESTED_ELSEWHERE.items():
        assert example in (Path(__file__).parents[1] / test).read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPECTED)
def test_example(name: str) -> None:
    """The example prints the expected lines with the sandbox, and no errors."""
    sandbox = [sys.executable, "-m", "plastiq_async.sandbox"]
    done = subprocess.run(
        [*sandbox, sys.executable, "-W", "error", str(EXAMPLES / name)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for pattern in EXPECTED[name]:
        assert re.search(pattern, done.stdout, re.MULTILINE)
