"""Problem responses of FastAPI applications, on real servers."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import httpx
import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse

from plastiq_async import PlastiqError, PlastiqSession, ServiceUnavailableError
from plastiq_async.integrations.asgi import TraceIdMiddleware
from plastiq_async.integrations.fastapi import Plastiq, answer_problem, plastiq_lifespan
from plastiq_async.testing import FakePlastiq
from tests.support.sessions import PAYER
from tests.support.web_clients import client_of, over_websocket

Sessions = Callable[..., PlastiqSession]
LOGGER = "plastiq_async.integrations"


def make_app(make_session: Callable[[], PlastiqSession] = PlastiqSession) -> FastAPI:
    """Return an application with problem responses and one route."""
    app = FastAPI(lifespan=plastiq_lifespan(make_session))
    app.add_middleware(TraceIdMiddleware)
    app.add_exception_handler(PlastiqError, answer_problem)

    @app.post("/{payer_id}")
    async def create(plastiq: Plastiq, payer_id: str, within: float = 30) -> str:
        secret = await plastiq.client_secrets.create(payer_id, timeout=within)
        return secret.client_secret

    return app


@pytest.mark.slow
async def test_problems(
    server: str,
    api: FakePlastiq,
    make_session: Sessions,
    records: list[logging.LogRecord],
) -> None:
    """The browser gets a status code and the trace ID; the details are only logged."""
    app = make_app(lambda: make_session(max_retries=0))
    statuses = []
    async with client_of(app, server) as client:

        async def fail(path: str = PAYER) -> httpx.Response:
            answer = await client.post(f"/{path}")
            statuses.append(answer.status_code)
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.headers["Cache-Control"] == "no-store"
            problem = answer.json()
            assert problem.keys() == {"type", "title", "status", "trace_id"}
            assert problem["status"] == answer.status_code
            assert problem["trace_id"] == answer.headers["Trace-Id"]
            return answer

        await fail("not-a-uuid")
        await fail("00000000-0000-4000-8000-000000000000")
        api.fail_next(503, message="inside", details=["inside"], retry_after=7)
        assert (await fail()).headers["Retry-After"] == "7"
        api.fail_next(429)
        assert "Retry-After" not in (await fail()).headers
        api.garble_next()
        await fail()
        api.delay_next(1)
        await fail(f"{PAYER}?within=0.1")
        api.rotate_token()
        await fail()
    assert statuses == [422, 502, 503, 503, 502, 504, 500]
    lines = [
        (int(record.getMessage().split()[1]), vars(record)["trace_id"])
        for record in records
        if record.name == LOGGER
    ]
    assert [status for status, _ in lines] == statuses
    assert "-" not in {trace_id for _, trace_id in lines}
    assert any("inside" in record.getMessage() for record in records)


@pytest.mark.slow
async def test_answer_under_way(
    server: str, api: FakePlastiq, make_session: Sessions
) -> None:
    """An error after the response has started breaks the response off."""
    app = make_app(make_session)

    @app.get("/stream")
    async def stream(plastiq: Plastiq) -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            yield "a part"
            await plastiq.client_secrets.create("not-a-uuid")

        return StreamingResponse(parts())

    async with client_of(app, server) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/stream")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "expected"),
    [("before", 403), ("during", 1011), ("after", 3000), ("gone", 1000)],
)
async def test_websocket(
    server: str, moment: str, expected: int, records: list[logging.LogRecord]
) -> None:
    """An error on a WebSocket gives a 403 before the handshake, then code 1011."""
    app = make_app(lambda: PlastiqSession("token"))

    @app.websocket("/")
    async def talk(websocket: WebSocket) -> None:
        if moment != "before":
            await websocket.accept()
        if moment == "after":
            await websocket.close(3000)
        if moment == "gone":
            with pytest.raises(WebSocketDisconnect):
                await websocket.receive_text()
        raise ServiceUnavailableError("inside", 503)

    async with client_of(app, server) as client:
        try:
            url = str(client.base_url)
            _, _, code = await over_websocket(url, leave=moment == "gone")
        except aiohttp.WSServerHandshakeError as error:
            code = error.status
    assert code == expected
    errors = [record.name for record in records if record.levelno >= logging.ERROR]
    assert errors == [LOGGER]


async def test_websocket_just_gone() -> None:
    """If the browser has disconnected, closing the WebSocket raises no second error."""
    sent = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])
        if message["type"] != "websocket.accept":
            raise OSError

    websocket = WebSocket({"type": "websocket", "headers": []}, receive, send)
    await websocket.accept()
    await answer_problem(websocket, ServiceUnavailableError("inside", 503))
    assert sent == ["websocket.accept", "websocket.close"]
