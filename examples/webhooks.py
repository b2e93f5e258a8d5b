"""FastAPI application that receives webhooks, and reads the payments again afterwards.

A webhook is a hint: it is stored and answered at once, and what happened is read from
the API. The events are in SQLite, so that none is lost if the application stops between
its answer and its work.

Requires fastapi and uvicorn. Run it with the local fake, then send an event:

    WEBHOOK_KEY=unguessable python -m plastiq_async.sandbox \
        python examples/webhooks.py 8000
    curl -i http://127.0.0.1:8000/webhooks/unguessable --json '{"event":
        "payment.state_change", "id": "5f0c0a9e-8a3f-4f0e-9d3b-2d7c7a6f4e11",
        "data": {"id": "0c8a2b1d-94e7-4c55-8a8e-1f2d3c4b5a69"}}'
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from uuid import UUID

import anyio
import uvicorn
from anyio.to_thread import run_sync
from fastapi import FastAPI, Request, Response

from plastiq_async import (
    InvalidArgumentError,
    NotFoundError,
    PlastiqError,
    PlastiqSession,
)
from plastiq_async.webhooks import MAX_EVENT_BYTES, WebhookEvent, parse_event

DATABASE = os.environ.get("WEBHOOK_DATABASE", "webhooks.sqlite3")
KEY = os.environ["WEBHOOK_KEY"]  # the part of the URL that nobody can guess
PAYER_ID = os.environ["PLASTIQ_PAYER_ID"]  # the only payer of this example
PAUSE = 1.0  # seconds between two looks at the database


def store(event: WebhookEvent) -> None:
    """Store an event, unless it was seen before; when this returns, it is on disk."""
    row = (str(event.id), event.event, str(event.object_id))
    with closing(sqlite3.connect(DATABASE)) as database, database:
        database.execute("INSERT OR IGNORE INTO events VALUES (?, ?, ?, 0, 0)", row)


def find_work() -> list[tuple[str, str, str]]:
    """Return ID, name and object of some events to work on, the least tried first.

    So events that fail each time do not hold up newer ones.
    """
    query = (
        "SELECT id, event, object_id FROM events WHERE done = 0"
        " ORDER BY tries, rowid LIMIT 20"
    )
    with closing(sqlite3.connect(DATABASE)) as database, database:
        return database.execute(query).fetchall()


def finish(event_id: str) -> None:
    """Mark an event as done. It stays, so that a duplicate is recognized."""
    with closing(sqlite3.connect(DATABASE)) as database, database:
        database.execute("UPDATE events SET done = 1 WHERE id = ?", (event_id,))


def postpone(event_id: str) -> None:
    """Count a failed try to work on an event."""
    with closing(sqlite3.connect(DATABASE)) as database, database:
        database.execute(
            "UPDATE events SET tries = tries + 1 WHERE id = ?", (event_id,)
        )


def create_table() -> None:
    """Create the table of events, unless an earlier run has."""
    columns = (
        "id TEXT PRIMARY KEY, event TEXT, object_id TEXT, done INTEGER, tries INTEGER"
    )
    with closing(sqlite3.connect(DATABASE)) as database, database:
        database.execute(f"CREATE TABLE IF NOT EXISTS events ({columns})")


async def handle(event: str, object_id: UUID, plastiq: PlastiqSession) -> str:
    """Read again what an event is about, and return what the API says.

    This can happen twice for one event, if the application stops before `finish`.
    """
    if not event.startswith("payment."):
        return f"{event} of {object_id} is for a person to look at"
    try:
        # A webhook does not name the payer. Your own records do.
        payment = await plastiq.payments.retrieve(object_id, PAYER_ID)
    except NotFoundError:
        return f"payment {object_id} is unknown: the webhook was not Plastiq's"
    return f"payment {payment.id} is {payment.status}"


async def work(plastiq: PlastiqSession) -> None:
    """Work on the stored events, those of earlier runs included, until cancelled."""
    while True:
        try:
            for event_id, event, object_id in await run_sync(find_work):
                await work_on(event_id, event, UUID(object_id), plastiq)
        except sqlite3.Error as error:  # such as a full disk
            print(f"the database failed: {error}", flush=True)
        await anyio.sleep(PAUSE)


async def work_on(
    event_id: str, event: str, object_id: UUID, plastiq: PlastiqSession
) -> None:
    """Work on one event, or leave it for a later try."""
    try:
        print(await handle(event, object_id, plastiq), flush=True)
    except PlastiqError as error:
        print(f"later: {error}", flush=True)
        await run_sync(postpone, event_id)
    else:
        await run_sync(finish, event_id)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Work on the events while the application runs."""
    create_table()
    async with PlastiqSession() as plastiq, anyio.create_task_group() as group:
        group.start_soon(work, plastiq)
        yield
        group.cancel_scope.cancel()


app = FastAPI(lifespan=lifespan)


@app.post("/webhooks/{key}")
async def receive(key: str, request: Request) -> Response:
    """Store the event and answer 200 at once; the vendor waits 5 seconds."""
    if not secrets.compare_digest(key.encode(), KEY.encode()):
        return Response(status_code=404)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_EVENT_BYTES:
            return Response(status_code=413)
    try:
        event = parse_event(body)
    except InvalidArgumentError as error:
        print(error, flush=True)  # names the problem, and no data
        return Response(status_code=422)
    await run_sync(store, event)
    return Response(status_code=200)


if __name__ == "__main__":
    # The log of requests would show the key.
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
