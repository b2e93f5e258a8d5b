"""The web applications in examples/, as separate processes under load."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import aiohttp
import anyio
import httpx
import pytest

from plastiq_async.testing import FakePlastiq
from tests.support.example_processes import EXAMPLES, serving
from tests.support.internals import add_intent
from tests.support.sessions import fake_session
from tests.support.uvicorn_server import in_uvicorn

REQUESTS = 500
LOG_LINE = re.compile(r"([0-9a-f-]{36}) card form for order (\d+)")


# The applications are under test; the client for hundreds of requests needs asyncio.
@pytest.mark.slow
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("example", ["aiohttp_app.py", "fastapi_app.py"])
async def test_many_at_once(example: str, tmp_path: Path) -> None:
    """500 concurrent browsers get 500 secrets, each with the trace ID in the log."""
    sandbox = [sys.executable, "-m", "plastiq_async.sandbox"]
    command = [*sandbox, sys.executable, "-W", "error", str(EXAMPLES / example)]
    log = tmp_path / "log"
    trace_ids: dict[str, str] = {}
    secrets: set[str] = set()
    cookies: set[str] = set()

    async def ask(order: str) -> None:
        async with client.post(f"/orders/{order}/card-form") as answer:
            assert answer.status == 200
            assert answer.headers["Cache-Control"] == "no-store"
            form = await answer.json()
            trace_ids[order] = form["trace_id"]
            assert answer.headers["Trace-Id"] == form["trace_id"]
            secrets.add(form["client_secret"])
            cookies.add(answer.headers["Set-Cookie"])

    with serving(command, log) as address:
        # Each browser has its own connection, and no cookie yet.
        async with (
            aiohttp.ClientSession(
                address,
                connector=aiohttp.TCPConnector(limit=REQUESTS),
                cookie_jar=aiohttp.DummyCookieJar(),
            ) as client,
            anyio.create_task_group() as group,
        ):
            for order in range(REQUESTS):
                group.start_soon(ask, str(order))

    logged = {order: trace_id for trace_id, order in LOG_LINE.findall(log.read_text())}
    assert logged == trace_ids
    assert len(set(trace_ids.values())) == len(secrets) == len(cookies) == REQUESTS


@pytest.mark.slow
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("example", ["aiohttp_app.py", "fastapi_app.py"])
async def test_payments(
    example: str, fake_plastiq: FakePlastiq, tmp_path: Path
) -> None:
    """A page of payments is JSON, with exact amounts and without the HTTP response."""
    session = fake_session(fake_plastiq)
    paid = await session.payments.create(
        add_intent(fake_plastiq), fake_plastiq.payer_id
    )
    command = [sys.executable, "-W", "error", str(EXAMPLES / example)]
    with in_uvicorn(fake_plastiq.app, lifespan="off") as url:
        settings = {
            "PLASTIQ_BASE_URL": f"{url}/api",
            "PLASTIQ_ACCESS_TOKEN": fake_plastiq.access_token,
            "PLASTIQ_PAYER_ID": str(fake_plastiq.payer_id),
        }
        with serving(command, tmp_path / "log", settings) as address:
            async with httpx.AsyncClient(trust_env=False) as client:
                response = await client.get(f"{address}/payments")
    assert response.status_code == 200
    page = response.json()
    (payment,) = page["data"]
    assert payment["id"] == str(paid.id)
    assert payment["target_amount"] == {"value": "100.10", "currency": "USD"}
    assert page["has_next_page"] is False
    assert "response" not in payment | page
