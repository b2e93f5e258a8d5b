"""The sandbox as a process, and the settings that it prints."""

from __future__ import annotations

import shlex
import subprocess
import sys

SANDBOX = [sys.executable, "-m", "plastiq_async.sandbox"]
SETTINGS = (
    "PLASTIQ_BASE_URL",
    "PLASTIQ_ACCESS_TOKEN",
    "PLASTIQ_PAYER_ID",
    "PLASTIQ_PAYMENT_METHOD_ID",
    "PLASTIQ_CATEGORY_ID",
    "PLASTIQ_RECIPIENT_ID",
)


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start the sandbox as a process in its own process group."""
    return subprocess.Popen(
        [*SANDBOX, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def settings_of(lines: list[str]) -> dict[str, str]:
    """Parse the printed lines as a shell would."""
    words = [shlex.split(line) for line in lines]
    assert all(len(word) == 2 and word[0] == "export" for word in words)
    settings = dict(word[1].split("=", 1) for word in words)
    assert tuple(settings) == SETTINGS
    return settings


def read_settings(process: subprocess.Popen[str]) -> dict[str, str]:
    """Read the settings that a sandbox without a command prints."""
    assert process.stdout is not None
    return settings_of([process.stdout.readline() for _ in SETTINGS])
