"""Trace contexts in FastAPI dependencies, and trace IDs of callers."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

import plastiq_async.integrations.fastapi
from plastiq_async import PlastiqSession, current_trace_id, trace_context
from plastiq_async.integrations.asgi import TraceIdMiddleware
from plastiq_async.integrations.fastapi import (
    Plastiq,
    plastiq_lifespan,
    plastiq_session,
)
from plastiq_async.testing import FakePlastiq
from tests.support.web_clients import client_of

VALID = UUID("0b4e3c1a-5f0e-4c1d-9d56-0d4d1e6f7a80")
OTHER = UUID("fe278caa-e01d-4910-b975-5c19c21a6d8e")


def sync_dependency() -> Iterator[None]:
    """Set a trace ID where FastAPI runs each half in a context of its own."""
    with trace_context(VALID):
        yield


async def async_dependency() -> AsyncIterator[None]:
    """Set a trace ID in the context of the request."""
    with trace_context(VALID):
        yield


def make_app(dependency: Any) -> FastAPI:
    """Return an application whose endpoints return the current trace ID."""
    app = FastAPI(dependencies=[Depends(dependency)])
    app.add_middleware(TraceIdMiddleware)

    @app.get("/sync")
    def in_a_thread() -> UUID | None:
        return current_trace_id()

    @app.get("/async")
    async def in_the_loop() -> UUID | None:
        return current_trace_id()

    return app


# FastAPI lets only async dependencies set the context of the endpoint.
DEPENDENCIES = [(sync_dependency, OTHER), (async_dependency, VALID)]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(("dependency", "seen"), DEPENDENCIES)
def test_in_test_client(dependency: Any, seen: UUID, backend: Any) -> None:
    """With TestClient, no dependency fails, and async ones set the trace ID."""
    client = TestClient(make_app(dependency), backend=backend)
    for path in ("/sync", "/async", "/sync"):
        answer = client.get(path, headers={"Trace-Id": str(OTHER)})
        assert answer.json() == str(seen)
        assert answer.headers["Trace-Id"] == str(OTHER)


@pytest.mark.parametrize(("dependency", "seen"), DEPENDENCIES)
async def test_in_asgi_transport(dependency: Any, seen: UUID) -> None:
    """With httpx.ASGITransport, too, and the trace ID of the test stays."""
    transport = httpx.ASGITransport(make_app(dependency))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        with trace_context() as outside:
            for path in ("/sync", "/async", "/sync"):
                answer = await client.get(path, headers={"Trace-Id": str(OTHER)})
                assert answer.json() == str(seen)
            assert current_trace_id() == outside


@pytest.mark.slow
@pytest.mark.parametrize(("dependency", "seen"), DEPENDENCIES)
async def test_in_server(
    server: str, dependency: Any, seen: UUID, records: list[Any]
) -> None:
    """On a server, too, and nothing is logged as an error."""
    async with client_of(make_app(dependency), server) as client:
        for path in ("/sync", "/async", "/sync"):
            answer = await client.get(path, headers={"Trace-Id": str(OTHER)})
            assert answer.json() == str(seen)
    assert [record for record in records if record.levelname == "ERROR"] == []


async def test_documented_dependency(fake_plastiq: FakePlastiq) -> None:
    """The documented dependency gives the calls of a request their trace ID."""
    documentation = inspect.getdoc(plastiq_async.integrations.fastapi) or ""
    blocks = re.findall(r"```python\n(.*?)```", documentation, re.DOTALL)
    namespace: dict[str, Any] = {"__name__": "example"}
    for code in blocks[:2]:
        compiled = compile(code, "example", "exec", dont_inherit=True)
        exec(compiled, namespace)  # noqa: S102 -- the documented example itself
    app: FastAPI = namespace["app"]

    async def connect() -> AsyncIterator[PlastiqSession]:
        async with connected_to(fake_plastiq) as session:
            yield session

    app.dependency_overrides[plastiq_session] = connect
    jobs = [uuid4(), uuid4()]
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for job in jobs:
            answer = await client.post("/job", headers={"X-Job-Id": str(job)})
            assert answer.json()["client_secret"] in fake_plastiq.secrets
    assert [sent.trace_id for sent in fake_plastiq.requests] == jobs


async def test_spelling_of_the_caller(server: str, fake_plastiq: FakePlastiq) -> None:
    """The API gets the canonical trace ID, and the caller gets its own spelling."""
    app = FastAPI(lifespan=plastiq_lifespan(lambda: connected_to(fake_plastiq)))
    app.add_middleware(TraceIdMiddleware, header="X-Request-ID")

    @app.post("/")
    async def create(plastiq: Plastiq) -> UUID:
        secret = await plastiq.client_secrets.create(fake_plastiq.payer_id)
        return secret.trace_id

    async with client_of(app, server) as client:
        for sent in (VALID.hex, OTHER.hex.upper(), OTHER.urn):
            answer = await client.post("/", headers={"X-Request-ID": sent})
            assert answer.headers.get_list("X-Request-ID") == [sent]
            assert answer.json() == str(UUID(sent))
    headers = [request.headers["trace-id"] for request in fake_plastiq.requests]
    assert headers == [str(VALID), str(OTHER), str(OTHER)]


def connected_to(fake: FakePlastiq) -> PlastiqSession:
    """Return a session with an in-memory API."""
    return PlastiqSession(
        fake.access_token, base_url=fake.base_url, transport=fake.transport
    )
