"""The middleware around every call."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from plastiq_async import (
    APIConnectionError,
    APIStatusError,
    ConfigurationError,
    HookError,
    PermissionDeniedError,
    PlastiqError,
    PlastiqSession,
    ServiceUnavailableError,
)
from plastiq_async.middleware import Handler, Middleware, trace_id_of
from plastiq_async.testing import FakePlastiq
from tests.support.sessions import PAYER, TOKEN


def session_for(fake: FakePlastiq, *middleware: Any, **options: Any) -> PlastiqSession:
    """Return a session with the fake; it needs no closing."""
    return PlastiqSession(
        fake.access_token,
        base_url=fake.base_url,
        transport=fake.transport,
        middleware=middleware,
        **options,
    )


async def test_order(fake_plastiq: FakePlastiq) -> None:
    """The first middleware is the outermost, and headers that it sets are sent."""
    seen: list[str] = []

    def layer(name: str) -> Middleware:
        async def handle(
            request: httpx.Request, call_next: Handler, /
        ) -> httpx.Response:
            seen.append(f"{name} in")
            request.headers["X-Last"] = name
            response = await call_next(request)
            seen.append(f"{name} out")
            return response

        return handle

    session = session_for(fake_plastiq, layer("a"), layer("b"))
    await session.client_secrets.create(PAYER)
    assert seen == ["a in", "b in", "b out", "a out"]
    assert fake_plastiq.requests[0].headers["x-last"] == "b"


@pytest.mark.usefixtures("quick_retries")
async def test_one_logical_call(fake_plastiq: FakePlastiq) -> None:
    """Middleware runs once per call, with its body and trace ID, despite retries."""
    seen: list[tuple[UUID, bytes, int]] = []

    async def watch(request: httpx.Request, call_next: Handler) -> httpx.Response:
        response = await call_next(request)
        assert response.json()["clientSecret"]
        seen.append((trace_id_of(request), request.content, response.status_code))
        return response

    fake_plastiq.fail_next(503)
    fake_plastiq.drop_next()
    session = session_for(fake_plastiq, watch)
    secret = await session.client_secrets.create(PAYER)
    assert seen == [(secret.trace_id, fake_plastiq.requests[0].body, 200)]
    assert secret.response.attempts == 3


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (lambda fake: fake.fail_next(503, times=3), ServiceUnavailableError),
        (lambda fake: fake.refuse_next(times=3), APIConnectionError),
    ],
)
async def test_sees_our_errors(
    fault: Any, expected: type[PlastiqError], fake_plastiq: FakePlastiq
) -> None:
    """Errors that middleware sees are Plastiq errors and say which call failed."""
    seen: list[PlastiqError] = []

    async def watch(request: httpx.Request, call_next: Handler) -> httpx.Response:
        try:
            return await call_next(request)
        except PlastiqError as error:
            seen.append(error)
            raise

    fault(fake_plastiq)
    session = session_for(fake_plastiq, watch)
    with pytest.raises(expected) as info:
        await session.client_secrets.create(PAYER)
    assert seen == [info.value]
    assert (info.value.attempts, info.value.path) == (3, "/client-secrets")


@pytest.mark.parametrize("headers", [{}, {"Trace-Id": "garbage"}])
async def test_answer_of_its_own(
    headers: dict[str, str], fake_plastiq: FakePlastiq
) -> None:
    """Middleware can return a response without sending a request."""

    async def reply(request: httpx.Request, _: Handler) -> httpx.Response:
        return httpx.Response(200, json={"clientSecret": "x"}, headers=headers)

    trace_id = uuid4()
    session = session_for(fake_plastiq, reply)
    secret = await session.client_secrets.create(PAYER, trace_id=trace_id)
    assert secret.client_secret == "x"
    assert secret.trace_id == trace_id
    assert secret.response.attempts == 0
    assert fake_plastiq.requests == []


async def test_trace_id_of_its_own(fake_plastiq: FakePlastiq) -> None:
    """The result has the trace ID of the response that middleware returns."""
    theirs = uuid4()

    async def rewrite(request: httpx.Request, call_next: Handler) -> httpx.Response:
        response = await call_next(request)
        response.headers["Trace-Id"] = str(theirs)
        return response

    secret = await session_for(fake_plastiq, rewrite).client_secrets.create(PAYER)
    assert secret.trace_id == secret.response.trace_id == theirs


async def refuse(request: httpx.Request, _: Handler) -> httpx.Response:
    """Return an error response instead of sending the request."""
    return httpx.Response(403, json={"code": "FORBIDDEN_ERROR", "message": "No"})


async def test_refusal_of_its_own(fake_plastiq: FakePlastiq) -> None:
    """A status code other than 2xx raises an error, even if middleware returned it."""
    with pytest.raises(PermissionDeniedError, match="FORBIDDEN_ERROR: No"):
        await session_for(fake_plastiq, refuse).client_secrets.create(PAYER)


async def test_refusal_of_its_own_is_described(fake_plastiq: FakePlastiq) -> None:
    """The error for a middleware's response says which call failed."""
    trace_id = uuid4()
    with pytest.raises(PermissionDeniedError) as info:
        await session_for(fake_plastiq, refuse).client_secrets.create(
            PAYER, trace_id=trace_id
        )
    assert (info.value.path, info.value.trace_id) == ("/client-secrets", trace_id)


@pytest.mark.parametrize(
    "error", [ZeroDivisionError(), PlastiqError("x"), APIStatusError("x", 503)]
)
async def test_raises(error: Exception, fake_plastiq: FakePlastiq) -> None:
    """An exception that middleware raises reaches the caller and is not retried."""

    async def fail(request: httpx.Request, _: Handler) -> httpx.Response:
        raise error

    with pytest.raises(type(error)) as info:
        await session_for(fake_plastiq, fail).client_secrets.create(PAYER)
    assert info.value is error


@pytest.mark.parametrize("layer", [None, "tenant"])
def test_no_callable(layer: object, fake_plastiq: FakePlastiq) -> None:
    """Middleware that is not callable is rejected when the session is created."""
    with pytest.raises(ConfigurationError, match="middleware"):
        session_for(fake_plastiq, layer)


async def test_foreign_request(fake_plastiq: FakePlastiq) -> None:
    """Middleware must pass the request on, not a new one that belongs to no call."""

    async def replace(request: httpx.Request, call_next: Handler) -> httpx.Response:
        return await call_next(httpx.Request("POST", request.url))

    session = session_for(fake_plastiq, replace)
    with pytest.raises(HookError, match=r"middleware .*replace passed") as info:
        await session.client_secrets.create(PAYER)
    assert info.value.__suppress_context__ or info.value.__context__ is None
    assert fake_plastiq.requests == []


async def test_replaced_request(fake_plastiq: FakePlastiq) -> None:
    """A copy of the request with the same extensions is accepted."""

    async def replace(request: httpx.Request, call_next: Handler) -> httpx.Response:
        copy = httpx.Request(
            request.method,
            request.url,
            headers=request.headers,
            content=request.content,
            extensions=request.extensions,
        )
        return await call_next(copy)

    await session_for(fake_plastiq, replace).client_secrets.create(PAYER)
    assert len(fake_plastiq.secrets) == 1


@pytest.mark.parametrize("middleware", [5, [None], ["tenant"]])
def test_no_middleware(middleware: Any) -> None:
    """An invalid list of middleware is rejected when the session is created."""
    with pytest.raises(ConfigurationError, match=r"^middleware must be"):
        PlastiqSession(TOKEN, middleware=middleware)
