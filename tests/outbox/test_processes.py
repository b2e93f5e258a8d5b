from __future__ import annotations

import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import pytest
from sqlalchemy import func, select, text

from outbox import Order, Sessions
from plastiq_async import PaymentOrder
from plastiq_async.testing import FakePlastiq
from tests.support.internals import FakeOfKeys
from tests.support.outbox_pool import FOLDER, GAPS, WorkerPool, start_python
from tests.support.outbox_table import DECLINED_CARD, add_orders, all_orders
from tests.support.sandbox_process import read_settings
from tests.support.sandbox_process import start as start_sandbox

pytestmark = pytest.mark.slow

NOON = 1_800_000_000.0  # any time, in seconds since the epoch


@contextmanager
def killed_at_last(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill a process after the block, unless it has ended."""
    try:
        yield
    finally:
        process.kill()


async def test_as_its_readers_run_it(sessions: Sessions, database_url: str) -> None:
    """The programs place orders with the sandbox, and settle them."""
    with start_sandbox("--port", "0") as sandbox, killed_at_last(sandbox):
        settings = {**read_settings(sandbox), "DATABASE_URL": database_url}
        with start_python(str(FOLDER / "outbox.py"), settings=settings) as table:
            assert table.communicate() == ("", "")
        program = str(FOLDER / "worker.py")
        with start_python(program, settings=settings) as worker, killed_at_last(worker):
            arguments = (str(FOLDER / "place.py"), "tea", "coffee")
            place = start_python(*arguments, settings=settings)
            with place, killed_at_last(place):
                output, errors = place.communicate(timeout=60)
            worker.send_signal(signal.SIGINT)
            log, complaints = worker.communicate(timeout=30)
    assert errors == ""
    assert complaints.endswith("\nKeyboardInterrupt\n")
    stored = await all_orders(sessions)
    assert output.splitlines() == [
        f"{order.item}: charged, payment {order.payment_id}" for order in stored
    ]
    assert len({order.payment_id for order in stored} - {None}) == 2
    assert sorted(log.splitlines()) == ["order 1: charged", "order 2: charged"]


async def test_failed_worker(sessions: Sessions, database_url: str) -> None:
    """If the database fails, a worker ends, so that its supervisor restarts it."""
    await add_orders(sessions, FakePlastiq(), 1)
    settings = {
        "DATABASE_URL": database_url,
        "PLASTIQ_BASE_URL": "http://127.0.0.1:9",  # where nothing listens
        "PLASTIQ_ACCESS_TOKEN": "token",
    }
    program = str(FOLDER / "worker.py")
    with start_python(program, settings=settings) as worker, killed_at_last(worker):
        assert worker.stdout is not None
        assert "Connection refused" in worker.stdout.readline()  # it works
        async with sessions.begin() as database:
            await database.execute(text("ALTER TABLE orders RENAME TO lost"))
        _, errors = worker.communicate(timeout=30)
    assert worker.returncode == 1
    assert "orders" in errors
    async with sessions.begin() as database:
        await database.execute(text("DROP TABLE lost"))


async def settle_all(sessions: Sessions, pool: WorkerPool) -> None:
    """Let the workers work until no order is pending."""
    pending = select(func.count()).where(Order.state == "pending")
    with pool.at_work():
        while True:
            pool.replace()
            async with sessions() as database:
                if not await database.scalar(pending):
                    return
            await anyio.sleep(0.05)


@pytest.mark.timeout(400)
async def test_killed_workers(sessions: Sessions, database_url: str) -> None:
    """Workers are killed everywhere, and each of 200 orders is charged once."""
    fake = FakeOfKeys(clock=lambda: NOON)  # no payment intent expires meanwhile
    await add_orders(sessions, fake, 190)
    await add_orders(sessions, fake, 10, number=DECLINED_CARD)
    pool = WorkerPool(fake, {"DATABASE_URL": database_url}, kills=3)
    await settle_all(sessions, pool)

    stored = await all_orders(sessions)
    assert Counter(order.state for order in stored) == {"charged": 190, "declined": 10}
    charged = {
        (PaymentOrder.from_json(order.payment).payment_intent_id, order.payment_id)
        for order in stored
        if order.state == "charged"
    }
    assert len(fake.payments) == fake.charges == 190
    assert set(fake.payments) == charged
    # All that the test is about has happened.
    assert pool.killed == dict.fromkeys(GAPS, 3)
    assert pool.lost >= 10
    assert sum(order.attempts for order in stored) >= 200 + pool.lost


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_fresh_keys(sessions: Sessions, database_url: str) -> None:
    """With a new key for each attempt, payers are charged more than once."""
    fake = FakeOfKeys(clock=lambda: NOON)  # no payment intent expires meanwhile
    await add_orders(sessions, fake, 40)
    pool = WorkerPool(fake, {"DATABASE_URL": database_url}, "--fresh-keys", kills=1)
    await settle_all(sessions, pool)
    assert {order.state for order in await all_orders(sessions)} == {"charged"}
    assert fake.charges > 40
