"""The checkout example as a process, with the sandbox in this one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.example_processes import EXAMPLES, serving
from tests.support.internals import SeededFake, make_sandbox_app
from tests.support.uvicorn_server import in_uvicorn

COMMAND = [sys.executable, str(EXAMPLES / "checkout" / "app.py")]
CARD = "4242424242424242"
DECLINED = "4000000000000002"


@contextmanager
def sandbox(fake: SeededFake) -> Iterator[dict[str, str]]:
    """Serve a fake as the sandbox does, and yield the settings for the example."""
    with in_uvicorn(make_sandbox_app(fake), lifespan="off") as url:
        yield {
            "PLASTIQ_BASE_URL": f"{url}/api",
            "PLASTIQ_ACCESS_TOKEN": fake.access_token,
            "PLASTIQ_PAYER_ID": str(fake.payer_id),
            "PLASTIQ_RECIPIENT_ID": str(fake.recipient_id),
        }


@contextmanager
def checkout(log: Path, settings: dict[str, str]) -> Iterator[str]:
    """Run the checkout example, and yield its URL."""
    with serving(COMMAND, log, settings) as url:
        yield url


def keys_of(fake: SeededFake) -> list[str]:
    """Return the idempotency keys of all requests to pay, oldest first."""
    return [
        request.headers["idempotency-key"]
        for request in fake.requests
        if request.operation == "payments.create"
    ]
