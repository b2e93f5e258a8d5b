"""aiohttp.web applications with the fake API, both on real sockets."""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

import plastiq_async.integrations.aiohttp
from plastiq_async import ConfigurationError, PlastiqSession, current_trace_id
from plastiq_async.integrations.aiohttp import (
    PLASTIQ,
    add_device_cookie,
    add_trace_ids,
    answer_problems,
    end_user_from,
    plastiq_context,
    plastiq_session,
)
from plastiq_async.testing import FakePlastiq
from tests.support.sessions import PAYER
from tests.support.timing import eventually
from tests.support.web_clients import burst, web_client_of

Sessions = Callable[..., PlastiqSession]

logger = logging.getLogger("tests.integrations")


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio only, because aiohttp requires it."""
    return "asyncio"


async def create(request: web.Request) -> web.Response:
    """Create a client secret, and log the request's number."""
    plastiq = plastiq_session(request)
    payer = request.query.get("payer", PAYER)
    secret = await plastiq.client_secrets.create(payer, end_user=end_user_from(request))
    logger.info("created for %s", request.query.get("number"))
    return web.json_response(secret.client_secret)


def make_app(make_session: Callable[[], PlastiqSession]) -> web.Application:
    """Return an application that uses the whole integration."""
    app = web.Application(middlewares=[answer_problems])
    app.cleanup_ctx.append(plastiq_context(make_session))
    add_device_cookie(app)
    add_trace_ids(app)
    app.router.add_post("/", create)
    return app


async def test_example(api: FakePlastiq, monkeypatch: pytest.MonkeyPatch) -> None:
    """The documented example creates a secret and recognises a returning browser."""
    documentation = inspect.getdoc(plastiq_async.integrations.aiohttp) or ""
    (code,) = re.findall(r"```python\n(.*?)```", documentation, re.DOTALL)
    namespace: dict[str, Any] = {}
    compiled = compile(code, "example", "exec", dont_inherit=True)
    exec(compiled, namespace)  # noqa: S102 -- the documented example itself
    monkeypatch.setenv("PLASTIQ_BASE_URL", api.base_url)
    monkeypatch.setenv("PLASTIQ_ACCESS_TOKEN", api.access_token)
    api.fail_next(400)
    answers = []
    async with web_client_of(namespace["make_app"]()) as client:
        client.headers["User-Agent"] = "Mozilla/5.0"
        for _ in range(3):
            async with client.post("/card-form") as answer:
                answers.append((answer, await answer.json()))
        (device,) = [cookie.value for cookie in client.cookie_jar]
    (refused, problem), (first, body), (second, _) = answers
    assert refused.status == problem["status"] == 502
    assert body.keys() == {"client_secret", "expires_at"}
    assert api.redeem(body["client_secret"]) == api.payer_id
    assert first.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" in refused.headers
    assert not {"Set-Cookie"} & {*first.headers, *second.headers}
    for (answer, _), request in zip(answers, api.requests, strict=True):
        assert request.headers["user-agent"] == "Mozilla/5.0"
        assert request.headers["end-user-ip"] == "127.0.0.1"
        assert request.headers["end-user-device-id"] == device
        assert request.headers["trace-id"] == answer.headers["Trace-Id"]


async def test_session(make_session: Sessions) -> None:
    """The application has one session, which its sub-applications share."""
    app, inner = make_app(make_session), web.Application()
    inner.router.add_post("/", create)
    app.add_subapp("/inner", inner)
    async with web_client_of(app) as client:
        for path in ("/", "/inner/", "/"):
            async with client.post(path) as answer:
                assert answer.status == 200
        assert "(open)" in repr(app[PLASTIQ])
    assert "(closed)" in repr(app[PLASTIQ])


async def test_without_session(records: list[logging.LogRecord]) -> None:
    """Without the session context, the browser gets a 500, and the log says why."""
    app = web.Application(middlewares=[answer_problems])
    app.router.add_post("/", create)
    async with web_client_of(app) as client, client.post("/") as answer:
        assert answer.status == 500
        assert "cleanup_ctx" not in await answer.text()
    messages = [record.getMessage() for record in records]
    assert any("no session: call app.cleanup_ctx" in message for message in messages)


@pytest.mark.parametrize("name", ["", "a b", "a\r\nb", None])
def test_impossible_names(name: Any) -> None:
    """An invalid header or cookie name is rejected at startup."""
    with pytest.raises(ConfigurationError, match=r"^header must be a name of"):
        add_trace_ids(web.Application(), header=name)
    with pytest.raises(ConfigurationError, match=r"^name must be a name of"):
        add_device_cookie(web.Application(), name=name)


@pytest.mark.slow
async def test_burst(
    make_session: Sessions,
    api: FakePlastiq,
    records: list[logging.LogRecord],
    many_sockets: None,
) -> None:
    """Each of 500 concurrent requests has its own trace ID in log and response."""
    app = make_app(lambda: make_session(timeout=50))
    async with web_client_of(app, backlog=1024) as client:
        answers = await burst(str(client._base_url), 500)
    assert {status for status, _, _ in answers.values()} == {200}
    assert {secret for _, _, secret in answers.values()} == set(api.secrets)
    answered = {number: trace_id for number, (_, trace_id, _) in answers.items()}
    logged = {
        record.getMessage(): vars(record)["trace_id"]
        for record in records
        if record.name == logger.name
    }
    assert logged == {
        f"created for {number}": trace_id for number, trace_id in answered.items()
    }
    assert len(api.secrets) == len(set(answered.values())) == 500
    assert {str(sent.trace_id) for sent in api.requests} == set(answered.values())


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["httpx", "aiohttp"])
async def test_browser_hangs_up(
    make_session: Sessions, api: FakePlastiq, transport: str
) -> None:
    """If aiohttp cancels handlers of closed connections, the session still works."""
    cancelled = []

    @web.middleware
    async def watch(request: web.Request, handler: Any) -> web.StreamResponse:
        try:
            answer: web.StreamResponse = await handler(request)
        except asyncio.CancelledError:
            cancelled.append(current_trace_id())
            raise
        return answer

    app = make_app(lambda: make_session(transport=transport, max_connections=1))
    app.middlewares.append(watch)
    async with web_client_of(app, handler_cancellation=True) as client:

        async def hang_up() -> None:
            api.delay_next(30)
            arrived, ended = len(api.requests), len(cancelled)
            request = asyncio.ensure_future(client.post("/").__aenter__())
            await eventually(lambda: len(api.requests) > arrived)
            request.cancel()
            await eventually(lambda: len(cancelled) > ended)

        for _ in range(5):
            await hang_up()
            async with client.post("/") as answer:
                assert answer.status == 200
    assert len(set(cancelled)) == 5


async def test_problems(
    api: FakePlastiq, make_session: Sessions, records: list[logging.LogRecord]
) -> None:
    """The browser gets a status code and the trace ID; the details are only logged."""
    statuses = []
    async with web_client_of(make_app(lambda: make_session(max_retries=0))) as client:

        async def fail(**parameters: str) -> aiohttp.ClientResponse:
            async with client.post("/", params=parameters) as answer:
                statuses.append(answer.status)
                assert answer.headers["Content-Type"] == "application/problem+json"
                assert answer.headers["Cache-Control"] == "no-store"
                problem = await answer.json(content_type=None)
            assert problem.keys() == {"type", "title", "status", "trace_id"}
            assert problem["status"] == answer.status
            assert problem["trace_id"] == answer.headers["Trace-Id"]
            return answer

        await fail(payer="not-a-uuid")
        api.fail_next(503, message="inside", retry_after=7)
        assert (await fail()).headers["Retry-After"] == "7"
        api.garble_next()
        await fail()
    assert statuses == [422, 503, 502]
    logged = [
        record for record in records if record.name == "plastiq_async.integrations"
    ]
    assert "inside" in logged[1].getMessage()
    assert "-" not in {vars(record)["trace_id"] for record in logged}
    assert len(logged) == 3


async def test_answer_under_way(records: list[logging.LogRecord]) -> None:
    """An error after the response has started breaks the response off."""

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"a part")
        plastiq_session(request)
        return response

    app = web.Application(middlewares=[answer_problems])
    app.router.add_get("/", stream)
    async with web_client_of(app) as client, client.get("/") as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
    assert [record.name for record in records] == ["aiohttp.server"]


@pytest.mark.parametrize(
    ("options", "ip"),
    [
        ({}, "127.0.0.1"),
        ({"trusted_proxies": 1}, "2001:db8::9"),
        ({"trusted_proxies": 2}, "198.51.100.2"),
        ({"trusted_proxies": 4}, None),
        ({"trusted_proxies": 1, "forwarded_header": "Forwarded"}, "203.0.113.43"),
    ],
)
async def test_proxies(options: Any, ip: str | None) -> None:
    """Only the configured number of proxies, and their header, are trusted."""

    async def endpoint(request: web.Request) -> web.Response:
        end_user = end_user_from(request, **options)
        assert end_user.device_id is None
        return web.json_response([end_user.ip, end_user.user_agent])

    app = web.Application()
    app.router.add_get("/", endpoint)
    headers = [
        ("X-Forwarded-For", "198.51.100.1, 198.51.100.2"),
        ("Forwarded", "for=203.0.113.43"),
        ("X-Forwarded-For", "[2001:DB8::9]:4711"),
        ("User-Agent", "na\xefve"),
    ]
    async with web_client_of(app) as client, client.get("/", headers=headers) as answer:
        assert await answer.json() == [ip, None]


async def test_cookie_only_where_used() -> None:
    """The cookie is set only if the end user is requested, whatever the status code."""

    async def endpoint(request: web.Request) -> web.Response:
        if "ask" in request.query:
            device_id = end_user_from(request).device_id
            assert end_user_from(request).device_id == device_id
            raise web.HTTPForbidden(text=device_id)
        return web.Response()

    app = web.Application()
    add_device_cookie(app, name="d")
    app.router.add_get("/", endpoint)
    async with web_client_of(app) as client:
        async with client.get("/") as answer:
            assert "Set-Cookie" not in answer.headers
        headers = {"Cookie": "d=of another"}
        async with client.get("/?ask", headers=headers) as answer:
            assert answer.headers["Set-Cookie"] == (
                f"d={await answer.text()}; Max-Age=34560000; Path=/; HttpOnly; "
                "SameSite=Lax; Secure"
            )


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs Unix sockets")
async def test_unix_socket(tmp_path: Path) -> None:
    """Behind a Unix socket, the IP address comes only from a trusted proxy."""

    async def endpoint(request: web.Request) -> web.Response:
        ips = [end_user_from(request, trusted_proxies=number).ip for number in (0, 1)]
        return web.json_response(ips)

    app = web.Application()
    app.router.add_get("/", endpoint)
    path = str(tmp_path / "s")
    headers = {"X-Forwarded-For": "203.0.113.7"}
    async with (
        web_client_of(app, path=path) as client,
        client.get("/", headers=headers) as answer,
    ):
        assert await answer.json() == [None, "203.0.113.7"]
