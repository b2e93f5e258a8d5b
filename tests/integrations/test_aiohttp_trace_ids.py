"""Trace IDs in aiohttp.web applications, on real sockets."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web

from plastiq_async import current_trace_id
from plastiq_async.integrations.aiohttp import (
    add_device_cookie,
    add_trace_ids,
    end_user_from,
)
from tests.support.web_clients import web_client_of

logger = logging.getLogger("tests.integrations")

VALID = "0b4e3c1a-5f0e-4c1d-9d56-0d4d1e6f7a80"
SPELLINGS = [
    VALID,
    VALID.upper(),
    "0b4e3c1a5f0e4c1d9d560d4d1e6f7a80",  # asgi-correlation-id
    "{0B4E3C1A-5F0E-4C1D-9D56-0D4D1E6F7A80}",  # .NET's Guid.ToString("B")
    "urn:uuid:0b4e3c1a-5f0e-4c1d-9d56-0d4d1e6f7a80",
]
OTHER = "fe278caa-e01d-4910-b975-5c19c21a6d8e"


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio only, because aiohttp requires it."""
    return "asyncio"


async def show(request: web.Request) -> web.Response:
    """Return the current trace ID as the response."""
    logger.info("in the application")
    return web.Response(text=str(current_trace_id()), headers={"trace-id": "old"})


def make_traced(handler: Any = show, **options: Any) -> web.Application:
    """Return an application with trace IDs and one route."""
    app = web.Application()
    add_trace_ids(app, **options)
    app.router.add_get("/", handler)
    return app


@pytest.mark.parametrize("sent", SPELLINGS)
async def test_valid_one_is_taken(sent: str, records: list[logging.LogRecord]) -> None:
    """A valid trace ID is used in handler and logs, and returned as it came in."""
    async with (
        web_client_of(make_traced()) as client,
        client.get("/", headers={"Trace-Id": sent}) as answer,
    ):
        assert await answer.text() == VALID
    assert answer.headers.getall("Trace-Id") == [sent]
    assert logged_ids(records, "tests.integrations", "aiohttp.access") == [VALID] * 2


@pytest.mark.parametrize(
    "sent",
    [
        [],
        [""],
        ["no-uuid"],
        ["{0b4e3c1a-5f0e-4c1d-9d56-0d4d1e6f7a80"],
        ["0b4e3c1a_5f0e_4c1d_9d56_0d4d1e6f7a80"],
        ["a1b2c3d4e5f60718293a4b5c6d7e8f90"],  # nginx's $request_id
        [f"{VALID}, {OTHER}"],
        ["\u202e\xff"],
        ["<script>alert(1)</script>" * 100],
        [VALID, OTHER],
        [VALID, VALID],
    ],
    ids=lambda sent: ascii(sent)[:40],
)
async def test_others_are_replaced(
    sent: list[str], records: list[logging.LogRecord]
) -> None:
    """An invalid or duplicated trace ID is replaced, and neither echoed nor logged."""
    headers = [("Trace-Id", value) for value in sent]
    async with web_client_of(make_traced()) as client:
        async with client.get("/", headers=headers) as answer:
            text = await answer.text()
        async with client.get("/") as other:
            assert await other.text() != text
    assert answer.headers.getall("Trace-Id") == [text]
    assert UUID(text).version == 4
    assert text not in {VALID, OTHER}
    shown = repr([[record.getMessage() for record in records], answer.headers])
    assert not [value for value in filter(None, sent) if repr(value)[1:-1] in shown]


async def test_every_answer(records: list[logging.LogRecord]) -> None:
    """Every response has the trace ID, including streams and errors."""

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"a part")
        return response

    async def refuse(request: web.Request) -> web.Response:
        raise web.HTTPForbidden

    async def fail(request: web.Request) -> web.Response:
        raise KeyError

    app = make_traced(header="X-Request-ID")
    for path, handler in (("/stream", stream), ("/refuse", refuse), ("/fail", fail)):
        app.router.add_get(path, handler)
    statuses = {}
    async with web_client_of(app) as client:
        for path in ("/", "/stream", "/refuse", "/fail", "/nowhere"):
            async with client.get(path, headers={"X-Request-ID": VALID}) as answer:
                assert answer.headers.getall("X-Request-ID") == [VALID]
                statuses[path] = answer.status
        # Rejected before any middleware.
        async with client.get("/", headers={"Expect": "wonders"}) as answer:
            assert UUID(answer.headers["X-Request-ID"]).version == 4
            assert answer.status == 417
    assert [*statuses.values()] == [200, 200, 403, 500, 404]
    # aiohttp's own log record of the error.
    assert logged_ids(records, "aiohttp.server") == [VALID]


async def test_websocket() -> None:
    """The handshake response of a WebSocket has the trace ID and the cookie."""

    async def talk(request: web.Request) -> web.WebSocketResponse:
        device_id = end_user_from(request).device_id
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        await websocket.send_json([str(current_trace_id()), device_id])
        return websocket

    app = make_traced(talk)
    add_device_cookie(app, name="d")
    async with web_client_of(app) as client, client.ws_connect("/") as websocket:
        trace_id, device_id = await websocket.receive_json()
        headers = websocket._response.headers
    assert headers["Trace-Id"] == trace_id
    assert headers["Set-Cookie"] == (
        f"d={device_id}; Max-Age=34560000; Path=/; HttpOnly; SameSite=Lax; Secure"
    )


async def test_sub_application() -> None:
    """A sub-application that also adds trace IDs uses that of the application."""
    inner = make_traced(header="X-Request-ID")
    app = make_traced()
    app.add_subapp("/inner", inner)
    async with (
        web_client_of(app) as client,
        client.get("/inner/", headers={"X-Request-ID": VALID}) as answer,
    ):
        text = await answer.text()
        assert answer.headers["Trace-Id"] == answer.headers["X-Request-ID"] == text
        assert text != VALID


def logged_ids(records: list[logging.LogRecord], *names: str) -> list[str]:
    """Return the trace IDs of the records of some loggers."""
    return [vars(record)["trace_id"] for record in records if record.name in names]
