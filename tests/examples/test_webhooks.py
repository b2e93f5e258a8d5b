"""`examples/webhooks.py`, as a process, with a fake on a socket."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID, uuid4

import anyio
import httpx
import pytest

from plastiq_async.testing import FakePlastiq
from plastiq_async.webhooks import MAX_EVENT_BYTES
from tests.support.example_processes import EXAMPLES, serving
from tests.support.internals import add_intent
from tests.support.sessions import fake_session
from tests.support.timing import eventually
from tests.support.uvicorn_server import in_uvicorn

pytestmark = [
    pytest.mark.slow,
    # The application is under test, and it runs on asyncio.
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
]

COMMAND = [sys.executable, "-W", "error", str(EXAMPLES / "webhooks.py")]
KEY = "unguessable-4f7a"


def event_about(
    object_id: UUID, name: str = "payment.state_change"
) -> dict[str, object]:
    """Return a new event."""
    return {"id": str(uuid4()), "event": name, "data": {"id": str(object_id)}}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return the file for what the application prints."""
    return tmp_path / "log"


@pytest.fixture
def settings(tmp_path: Path, fake_plastiq: FakePlastiq) -> Iterator[dict[str, str]]:
    """Serve the fake, and return the settings of an application that uses it."""
    with in_uvicorn(fake_plastiq.app, lifespan="off") as url:
        yield {
            "PLASTIQ_BASE_URL": f"{url}/api",
            "PLASTIQ_ACCESS_TOKEN": fake_plastiq.access_token,
            "PLASTIQ_PAYER_ID": str(fake_plastiq.payer_id),
            "WEBHOOK_DATABASE": str(tmp_path / "events.sqlite3"),
            "WEBHOOK_KEY": KEY,
        }


def stored(settings: dict[str, str]) -> list[tuple[str, int]]:
    """Return the IDs of the stored events, and which of them are done."""
    with closing(sqlite3.connect(settings["WEBHOOK_DATABASE"])) as database:
        return database.execute("SELECT id, done FROM events").fetchall()


async def pay(fake: FakePlastiq) -> UUID:
    """Return the ID of a new payment."""
    payments = fake_session(fake).payments
    return (await payments.create(add_intent(fake), fake.payer_id)).id


async def test_events(
    fake_plastiq: FakePlastiq, settings: dict[str, str], log: Path
) -> None:
    """An event that arrives ten times at once is stored once, and the payment read."""
    payment_id = await pay(fake_plastiq)
    fake_plastiq.advance_payment(payment_id, "DEPOSITED")
    event = event_about(payment_id)
    statuses: list[int] = []

    with serving(COMMAND, log, settings) as address:
        async with httpx.AsyncClient(base_url=address, trust_env=False) as client:

            async def send() -> None:
                response = await client.post(f"/webhooks/{KEY}", json=event)
                statuses.append(response.status_code)

            async with anyio.create_task_group() as group:
                for _ in range(10):
                    group.start_soon(send)
            told = f"payment {payment_id} is DEPOSITED\n"
            await eventually(lambda: told in log.read_text())
            await eventually(lambda: stored(settings) == [(event["id"], 1)])
            await send()  # once more, afterwards

            forged, document = (
                event_about(uuid4()),
                event_about(uuid4(), "document.request"),
            )
            for one in (forged, document):
                await client.post(f"/webhooks/{KEY}", json=one)
            await eventually(
                lambda: (
                    all(done for _, done in stored(settings))
                    and len(stored(settings)) == 3
                )
            )
    assert statuses == [200] * 11
    shown = await anyio.Path(log).read_text()
    assert shown.count(str(payment_id)) == 1
    assert "is unknown: the webhook was not Plastiq's" in shown
    assert "document.request of" in shown


async def test_refused(settings: dict[str, str], log: Path) -> None:
    """A wrong key, what is no event, and what is too large are refused, unstored."""
    good = event_about(uuid4())
    with serving(COMMAND, log, settings) as address:
        async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
            wrong_key = await client.post("/webhooks/guessed", json=good)
            no_event = await client.post(f"/webhooks/{KEY}", json={"note": "s3cr3t"})
            large = b"x" * (MAX_EVENT_BYTES + 1)
            too_large = await client.post(f"/webhooks/{KEY}", content=large)
        assert stored(settings) == []
    responses = (wrong_key, no_event, too_large)
    assert [response.status_code for response in responses] == [404, 422, 413]
    shown = await anyio.Path(log).read_text()
    assert "body is no event of a webhook: missing @ $.id" in shown
    for private in ("s3cr3t", KEY, "guessed"):
        assert private not in shown


async def test_killed(
    fake_plastiq: FakePlastiq, settings: dict[str, str], log: Path
) -> None:
    """An event that was answered, but not worked on before a crash, is not lost."""
    payment_id = await pay(fake_plastiq)
    event = event_about(payment_id)
    fake_plastiq.fail_next(503, times=1000)
    with serving(COMMAND, log, settings, stop=signal.SIGKILL) as address:
        async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
            response = await client.post(f"/webhooks/{KEY}", json=event)
        assert response.status_code == 200
        await eventually(lambda: fake_plastiq.pending_faults < 1000)
    assert stored(settings) == [(event["id"], 0)]
    fake_plastiq.clear_faults()

    with serving(COMMAND, log, settings):
        await eventually(
            lambda: f"payment {payment_id} is SUBMITTED" in log.read_text()
        )
        await eventually(lambda: stored(settings) == [(event["id"], 1)])


async def test_events_that_fail(
    fake_plastiq: FakePlastiq, settings: dict[str, str], log: Path
) -> None:
    """More failing events than fit into one pass do not hide a newer one."""
    fake_plastiq.fail_next(403, times=100_000, on="payments.retrieve")
    with serving(COMMAND, log, settings) as address:
        async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
            for _ in range(21):
                await client.post(f"/webhooks/{KEY}", json=event_about(uuid4()))
            last = event_about(uuid4(), "document.request")
            await client.post(f"/webhooks/{KEY}", json=last)
        await eventually(lambda: (last["id"], 1) in stored(settings))
    assert sum(done for _, done in stored(settings)) == 1


async def test_database_that_fails(settings: dict[str, str], log: Path) -> None:
    """The worker goes on after an error of the database."""

    def rename(old: str, new: str) -> None:
        with closing(sqlite3.connect(settings["WEBHOOK_DATABASE"])) as database:
            database.execute(f"ALTER TABLE {old} RENAME TO {new}")

    event = event_about(uuid4(), "document.request")
    with serving(COMMAND, log, settings) as address:
        rename("events", "hidden")
        await eventually(
            lambda: "the database failed: no such table" in log.read_text()
        )
        rename("hidden", "events")
        async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
            response = await client.post(f"/webhooks/{KEY}", json=event)
        assert response.status_code == 200
        await eventually(lambda: stored(settings) == [(event["id"], 1)])


async def test_missing_setting(settings: dict[str, str]) -> None:
    """Without a payer the application does not start, rather than fail later."""
    environment = os.environ | settings
    del environment["PLASTIQ_PAYER_ID"]
    result = await anyio.run_process([*COMMAND, "0"], env=environment, check=False)
    assert result.returncode == 1
    assert b"KeyError: 'PLASTIQ_PAYER_ID'" in result.stderr
