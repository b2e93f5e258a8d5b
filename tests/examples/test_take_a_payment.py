"""`examples/take_a_payment.py`, as a process, with a fake on a socket."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from plastiq_async.testing import FakePlastiq
from tests.support.example_processes import EXAMPLES
from tests.support.internals import forget_keys
from tests.support.uvicorn_server import in_uvicorn

pytestmark = pytest.mark.slow

Run: TypeAlias = "Callable[[], subprocess.CompletedProcess[str]]"

UUID = "[0-9a-f-]{36}"
QUOTED = rf"""category   General Inventory
payer      {UUID}
recipient  {UUID}
card       Visa ending in 4242
fee        2\.85 USD \(2\.85%\)
you pay    102\.85 USD
order      stored in order\.json
"""
PAID = rf"""payment    ({UUID})( of an earlier run)?
status     SUBMITTED \(not final\)
refund     succeeded
listed     \1 102\.85 USD CANCELLED
"""


@pytest.fixture
def run(fake_plastiq: FakePlastiq, tmp_path: Path) -> Iterator[Run]:
    """Return a function that runs the example in its own folder with the fake."""
    with in_uvicorn(fake_plastiq.app, lifespan="off") as url:
        environment = {
            **os.environ,
            "PLASTIQ_BASE_URL": f"{url}/api",
            "PLASTIQ_ACCESS_TOKEN": fake_plastiq.access_token,
        }

        def run() -> subprocess.CompletedProcess[str]:
            done = subprocess.run(
                [sys.executable, "-W", "error", EXAMPLES / "take_a_payment.py"],
                capture_output=True,
                text=True,
                timeout=50,
                check=False,
                cwd=tmp_path,
                env=environment,
            )
            for secret in ("4242424242424242", "3829473294723", "Traceback"):
                assert secret not in done.stdout + done.stderr
            assert not re.search(" $", done.stdout, re.MULTILINE)
            return done

        yield run


def test_payment(run: Run, fake_plastiq: FakePlastiq, tmp_path: Path) -> None:
    """The card is charged and refunded once, and nothing is left in the folder."""
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(QUOTED + PAID, done.stdout)
    assert "earlier" not in done.stdout
    assert (fake_plastiq.charges, fake_plastiq.refunds) == (1, 1)
    assert list(tmp_path.iterdir()) == []


def test_unknown_outcome(run: Run, fake_plastiq: FakePlastiq, tmp_path: Path) -> None:
    """A charge without a response is found by the next run, with the stored key."""
    fake_plastiq.drop_next(times=3, after_processing=True, on="payments.create")
    done = run()
    assert done.returncode == 1
    assert re.fullmatch(QUOTED, done.stdout)
    assert done.stderr.startswith("The card may have been charged. Run this again.")
    assert (tmp_path / "order.json").exists()

    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(PAID, done.stdout)
    assert "of an earlier run" in done.stdout
    assert (fake_plastiq.charges, fake_plastiq.refunds) == (1, 1)
    keys = {
        request.headers["idempotency-key"]
        for request in fake_plastiq.requests
        if request.operation == "payments.create"
    }
    assert len(keys) == 1


def test_declined(run: Run, fake_plastiq: FakePlastiq, tmp_path: Path) -> None:
    """A decline asks for another card, and its key is forgotten."""
    fake_plastiq.fail_next(400, code="PAYMENT_METHOD_DECLINED", on="payments.create")
    done = run()
    assert done.returncode == 1
    assert done.stderr.startswith("The card was declined. Use another one.")
    assert list(tmp_path.iterdir()) == []
    assert fake_plastiq.charges == 0


def test_mistake(run: Run, fake_plastiq: FakePlastiq, tmp_path: Path) -> None:
    """After a mistake is corrected, the next run pays the stored order."""
    fake_plastiq.fail_next(401, on="payments.create")
    done = run()
    assert done.returncode == 1
    assert done.stderr.startswith("Correct it, and run this again.")
    assert [path.name for path in tmp_path.iterdir()] == ["order.json"]
    assert fake_plastiq.charges == 0

    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(PAID, done.stdout)
    assert "earlier" not in done.stdout
    assert fake_plastiq.charges == 1


def test_refused(run: Run, fake_plastiq: FakePlastiq, tmp_path: Path) -> None:
    """After another refusal the order is kept, because it may still be paid."""
    fake_plastiq.fail_next(400, code="VALIDATION_ERROR", on="payments.create")
    done = run()
    assert done.returncode == 1
    assert done.stderr.startswith("It is not known yet if it is paid.")
    assert [path.name for path in tmp_path.iterdir()] == ["order.json"]


def test_expired(run: Run, fake_plastiq: FakePlastiq, tmp_path: Path) -> None:
    """An order whose quote has expired is forgotten, and the next run makes another."""
    fake_plastiq.refuse_next(times=3, on="payments.create")
    assert run().returncode == 1
    fake_plastiq.advance(300)
    done = run()
    assert done.returncode == 1
    assert done.stderr.startswith("The quote has expired, and nothing was charged.")
    assert list(tmp_path.iterdir()) == []
    assert run().returncode == 0
    assert fake_plastiq.charges == 1


def test_forgotten_key(run: Run, fake_plastiq: FakePlastiq, tmp_path: Path) -> None:
    """If the API has forgotten the key, the payment is found by reading."""
    fake_plastiq.drop_next(times=3, after_processing=True, on="payments.create")
    assert run().returncode == 1
    forget_keys(fake_plastiq)
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(PAID, done.stdout)
    assert list(tmp_path.iterdir()) == []
    assert (fake_plastiq.charges, fake_plastiq.refunds) == (1, 1)
