from __future__ import annotations

import time
from uuid import UUID

import anyio
import pytest

import outbox
from outbox import Order, Outcome, Sessions, State, back_off, claim, store
from tests.support.outbox_table import add_order, all_orders

pytestmark = pytest.mark.slow


async def test_each_is_claimed_once(sessions: Sessions) -> None:
    """Concurrent workers claim different orders, and none that is not due."""
    added = {(await add_order(sessions)).id for _ in range(20)}
    claimed: list[Order | None] = []

    async def work() -> None:
        claimed.extend([await claim(sessions) for _ in range(5)])

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(work)
    # With PostgreSQL, a claim finds nothing while others hold the last orders.
    while (order := await claim(sessions)) is not None:
        claimed.append(order)
    found = [order.id for order in claimed if order is not None]
    assert sorted(found) == sorted(added)


async def test_dead_worker(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of a dead worker is claimed again after the lease, not before."""
    added = await add_order(sessions)
    first = await claim(sessions)
    assert first is not None
    assert await claim(sessions) is None
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + outbox.LEASE + 1)
    second = await claim(sessions)
    assert second is not None
    assert (first.id, second.id) == (added.id, added.id)
    assert (first.attempts, second.attempts) == (1, 2)


async def test_slow_worker(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose lease is over cannot end another's, but store a final outcome."""
    await add_order(sessions)
    monkeypatch.setattr(outbox, "LEASE", -1.0)
    slow = await claim(sessions)
    monkeypatch.setattr(outbox, "LEASE", 60.0)
    other = await claim(sessions)
    assert slow is not None
    assert other is not None
    monkeypatch.setattr(outbox, "FIRST_DELAY", 0.0)
    assert await store(sessions, slow, Outcome("pending")) == "pending"
    assert await claim(sessions) is None

    payment_id = UUID(int=7)
    assert await store(sessions, slow, Outcome("charged", payment_id)) == "charged"
    assert await store(sessions, other, Outcome("pending")) == "charged"
    assert await store(sessions, other, Outcome("unclear")) == "charged"
    (order,) = await all_orders(sessions)
    assert (order.state, order.payment_id) == ("charged", payment_id)
    assert await claim(sessions) is None


async def test_payment_of_another_order(sessions: Sessions) -> None:
    """No two orders are charged by the same payment."""
    first = await add_order(sessions)
    second = await add_order(sessions)
    payment_id = UUID(int=7)
    charged = Outcome("charged", payment_id)
    assert await store(sessions, first, charged) == "charged"
    assert await store(sessions, second, charged) == "unclear"
    stored = [
        (order.state, order.payment_id, order.disputed_payment_id)
        for order in await all_orders(sessions)
    ]
    assert stored == [("charged", payment_id, None), ("unclear", None, payment_id)]


@pytest.mark.parametrize("state", ["unclear", "declined", "not_charged"])
async def test_charged_after_all(sessions: Sessions, state: State) -> None:
    """A payment that is found replaces an unclear outcome, and no other."""
    added = await add_order(sessions)
    assert await store(sessions, added, Outcome(state)) == state
    replaced = state == "unclear"
    expected = ("charged", UUID(int=7)) if replaced else (state, None)
    assert await store(sessions, added, Outcome("charged", UUID(int=7))) == expected[0]
    (order,) = await all_orders(sessions)
    assert (order.state, order.payment_id) == expected


async def test_back_off(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    """An order whose outcome is unknown is due again after the back-off."""
    await add_order(sessions)
    now = time.time() + 1
    monkeypatch.setattr(time, "time", lambda: now)
    for attempts in (1, 2, 3):
        order = await claim(sessions)
        assert order is not None
        await store(sessions, order, Outcome("pending"))
        assert await claim(sessions) is None
        (order,) = await all_orders(sessions)
        assert order.due_at == now + back_off(attempts)
        now = order.due_at


def test_delays() -> None:
    """The delay doubles, up to a limit."""
    delays = [back_off(attempts) for attempts in range(1, 12)]
    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600]
    assert back_off(10_000) == 600
