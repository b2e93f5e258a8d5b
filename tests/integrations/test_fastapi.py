"""FastAPI applications with the fake API, both on real servers."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI, Request, WebSocket

import plastiq_async.integrations.fastapi
from plastiq_async import PlastiqError, PlastiqSession, current_trace_id
from plastiq_async.integrations.asgi import DeviceCookieMiddleware, TraceIdMiddleware
from plastiq_async.integrations.fastapi import (
    Plastiq,
    answer_problem,
    end_user_from,
    plastiq_lifespan,
    plastiq_session,
)
from plastiq_async.testing import FakePlastiq
from tests.support.sessions import PAYER
from tests.support.web_clients import burst, client_of, over_websocket

Sessions = Callable[..., PlastiqSession]

logger = logging.getLogger("tests.integrations")


async def create(plastiq: Plastiq, request: Request) -> str:
    """Create a client secret, and log the request's number."""
    secret = await plastiq.client_secrets.create(PAYER, end_user=end_user_from(request))
    logger.info("created for %s", request.query_params.get("number"))
    return secret.client_secret


def make_app(make_session: Callable[[], PlastiqSession]) -> FastAPI:
    """Return an application that uses the whole integration, with one route."""
    app = FastAPI(lifespan=plastiq_lifespan(make_session))
    app.add_middleware(DeviceCookieMiddleware)
    app.add_middleware(TraceIdMiddleware)
    app.post("/")(create)
    return app


def example() -> FastAPI:
    """Return the application of the module's documentation."""
    documentation = inspect.getdoc(plastiq_async.integrations.fastapi) or ""
    code, *_ = re.findall(r"```python\n(.*?)```", documentation, re.DOTALL)
    namespace: dict[str, Any] = {"__name__": "example"}
    compiled = compile(code, "example", "exec", dont_inherit=True)
    exec(compiled, namespace)  # noqa: S102 -- the documented example itself
    app: FastAPI = namespace["app"]
    return app


@pytest.mark.slow
async def test_example(
    server: str, api: FakePlastiq, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The documented example creates a secret and recognises a returning browser."""
    monkeypatch.setenv("PLASTIQ_BASE_URL", api.base_url)
    monkeypatch.setenv("PLASTIQ_ACCESS_TOKEN", api.access_token)
    async with client_of(example(), server) as client:
        client.headers["User-Agent"] = "Mozilla/5.0"
        first = await client.post("/card-form")
        # httpx, unlike a browser, keeps no Secure cookie of http://127.0.0.1.
        client.headers["Cookie"] = first.headers["Set-Cookie"].partition(";")[0]
        second = await client.post("/card-form")
        api.fail_next(400)
        refused = await client.post("/card-form")
        device = client.headers["Cookie"].partition("=")[2]
    assert first.json().keys() == {"client_secret", "expires_at"}
    assert api.redeem(first.json()["client_secret"]) == api.payer_id
    assert first.headers["Cache-Control"] == "no-store"
    assert refused.status_code == 502
    assert "Set-Cookie" not in second.headers
    answers = (first, second, refused)
    assert [request.headers.get("end-user-device-id") for request in api.requests] == [
        device
    ] * 3
    for answer, request in zip(answers, api.requests, strict=True):
        assert request.headers["user-agent"] == "Mozilla/5.0"
        assert request.headers["end-user-ip"] == "127.0.0.1"
        assert request.headers["trace-id"] == answer.headers["Trace-Id"]


@pytest.mark.slow
async def test_one_session(server: str, make_session: Sessions) -> None:
    """All requests share one session, which is closed when the server stops."""
    sessions = []

    def make() -> PlastiqSession:
        sessions.append(make_session())
        return sessions[-1]

    async with client_of(make_app(make), server) as client:
        for _ in range(3):
            assert (await client.post("/")).status_code == 200
        assert "(open)" in repr(sessions)
    assert len(sessions) == 1
    assert "(closed)" in repr(sessions)


@pytest.mark.slow
async def test_own_lifespan(server: str, make_session: Sessions) -> None:
    """Our lifespan can be combined with the user's own."""
    moments = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, object]]:
        async with plastiq_lifespan(make_session)(app) as state:
            moments.append("start")
            yield {**state, "database": "a database"}
            moments.append("end")

    app = FastAPI(lifespan=lifespan)
    app.post("/")(create)

    @app.get("/database")
    async def database(request: Request) -> str:
        return str(request.state.database)

    async with client_of(app, server) as client:
        assert (await client.post("/")).status_code == 200
        assert (await client.get("/database")).json() == "a database"
        assert moments == ["start"]
    assert moments == ["start", "end"]


@pytest.mark.slow
async def test_sub_application_and_websocket(
    server: str, make_session: Sessions, api: FakePlastiq
) -> None:
    """Mounted applications and WebSockets share the application's session."""
    inner = FastAPI()
    inner.post("/")(create)

    @inner.websocket("/ws")
    async def talk(websocket: WebSocket, plastiq: Plastiq) -> None:
        end_user = end_user_from(websocket)
        await websocket.accept()
        secret = await plastiq.client_secrets.create(PAYER, end_user=end_user)
        await websocket.send_text(str(secret.trace_id))
        await websocket.close()

    app = make_app(make_session)
    app.mount("/inner", inner)
    async with client_of(app, server) as client:
        assert (await client.post("/inner/")).status_code == 200
        url = str(client.base_url.join("/inner/ws"))
        answered, texts, code = await over_websocket(url, {"User-Agent": "Mozilla"})
    assert (texts, code) == ([answered["trace-id"]], 1000)
    sent = api.requests[-1].headers
    assert sent["user-agent"] == "Mozilla"
    assert f"plastiq-device={sent['end-user-device-id']};" in answered["set-cookie"]


async def test_without_lifespan(server: str, records: list[logging.LogRecord]) -> None:
    """Without the lifespan, the browser gets a 500, and the log says why."""
    app = FastAPI(exception_handlers={PlastiqError: answer_problem})
    app.post("/")(create)
    async with client_of(app, server) as client:
        answer = await client.post("/")
    assert answer.status_code == 500
    assert "lifespan" not in answer.text
    (message,) = messages_of(records, "plastiq_async.integrations")
    assert "ConfigurationError: no session: use FastAPI(lifespan=" in message


@pytest.mark.slow
async def test_two_servers(make_session: Sessions) -> None:
    """Each event loop that serves the application has its own session."""
    sessions = []

    def make() -> PlastiqSession:
        sessions.append(make_session())
        return sessions[-1]

    app = make_app(make)
    async with client_of(app, "uvicorn") as one, client_of(app, "hypercorn") as other:
        for client in (one, other, one, other):
            assert (await client.post("/")).status_code == 200
    assert len(sessions) == 2


async def test_override(fake_plastiq: FakePlastiq) -> None:
    """A test can override the dependency, and needs neither server nor lifespan."""
    app = FastAPI()
    app.post("/")(create)
    async with (
        PlastiqSession(
            fake_plastiq.access_token,
            base_url=fake_plastiq.base_url,
            transport=fake_plastiq.transport,
        ) as session,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://test"
        ) as client,
    ):
        app.dependency_overrides[plastiq_session] = lambda: session
        answer = await client.post("/")
    assert answer.json() in fake_plastiq.secrets


@pytest.mark.slow
async def test_burst(
    server: str,
    make_session: Sessions,
    api: FakePlastiq,
    records: list[logging.LogRecord],
    many_sockets: None,
) -> None:
    """Each of 500 concurrent requests has its own trace ID in log and response."""
    app = make_app(lambda: make_session(timeout=50))
    async with client_of(app, server) as client:
        answers = await burst(str(client.base_url), 500)
    assert {status for status, _, _ in answers.values()} == {200}
    assert {secret for _, _, secret in answers.values()} == set(api.secrets)
    answered = {number: trace_id for number, (_, trace_id, _) in answers.items()}
    assert logged_ids(records) == {
        f"created for {number}": trace_id for number, trace_id in answered.items()
    }
    assert len(api.secrets) == len(set(answered.values())) == 500
    assert {str(sent.trace_id) for sent in api.requests} == set(answered.values())


async def test_threads_and_background_tasks(server: str) -> None:
    """Sync endpoints and background tasks have the request's trace ID."""
    traced = []
    done = anyio.Event()
    app = FastAPI()
    app.add_middleware(TraceIdMiddleware)

    async def later() -> None:
        traced.append(current_trace_id())
        done.set()

    @app.get("/")
    def endpoint(tasks: BackgroundTasks) -> str:
        tasks.add_task(later)
        return str(current_trace_id())

    async with client_of(app, server) as client:
        answer = await client.get("/")
    assert [answer.headers["Trace-Id"]] == [*map(str, traced)]
    assert answer.json() == answer.headers["Trace-Id"]


@pytest.mark.slow
@pytest.mark.parametrize("whole", [False, True])
async def test_unhandled_error(server: str, whole: bool) -> None:
    """Starlette's 500 response has a trace ID only if the whole app is wrapped."""
    app = FastAPI()

    @app.get("/")
    async def endpoint() -> None:
        raise KeyError

    if whole:
        served: Any = TraceIdMiddleware(app)
    else:
        app.add_middleware(TraceIdMiddleware)
        served = app
    async with client_of(served, server) as client:
        answer = await client.get("/")
    assert answer.status_code == 500
    assert ("Trace-Id" in answer.headers) == whole


def logged_ids(records: list[logging.LogRecord]) -> dict[str, str]:
    """Return the trace ID of each message of the tests' own logger."""
    return {
        record.getMessage(): vars(record)["trace_id"]
        for record in records
        if record.name == logger.name
    }


def messages_of(records: list[logging.LogRecord], name: str) -> list[str]:
    """Return the messages of a logger."""
    return [record.getMessage() for record in records if record.name == name]
