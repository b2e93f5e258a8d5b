"""The attribute ``Secure`` of the device cookie, which no request decides about."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from aiohttp import web
from fastapi import FastAPI, Request

from plastiq_async.integrations import aiohttp, fastapi
from plastiq_async.integrations.asgi import DeviceCookieMiddleware
from tests.support.plain_proxy import behind_proxy
from tests.support.web_clients import client_of, web_client_of

# aiohttp needs asyncio.
SERVERS = [
    ("asyncio", "uvicorn"),
    ("asyncio", "hypercorn"),
    ("asyncio", "aiohttp"),
    ("trio", "uvicorn"),
    ("trio", "hypercorn"),
]
# Whatever a browser or a proxy may say about the scheme and the host.
HINTS = [
    {},
    {"Host": "localhost:8000"},
    {"Host": "[::1]:8000", "Origin": "http://[::1]:8000"},
    {"X-Forwarded-Proto": "http", "Forwarded": "proto=http"},
    {"X-Forwarded-Proto": "https", "Via": "1.1 proxy"},
    {"Host": "shop.example", "X-Forwarded-Ssl": "on"},
]


@pytest.fixture(params=SERVERS, ids="-".join)
def wiring(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Run the test on each event loop with the servers for it."""
    backend, server = request.param
    return backend, server


@pytest.fixture
def anyio_backend(wiring: tuple[str, str]) -> str:
    """Run on the event loop of the wiring."""
    return wiring[0]


@asynccontextmanager
async def serving(server: str, **options: Any) -> AsyncIterator[str]:
    """Serve an application that returns the device ID, and yield its URL."""
    if server == "aiohttp":

        async def show(request: web.Request) -> web.Response:
            return web.Response(text=aiohttp.end_user_from(request).device_id)

        webapp = web.Application()
        aiohttp.add_device_cookie(webapp, **options)
        webapp.router.add_get("/", show)
        async with web_client_of(webapp) as web_client:
            yield str(web_client._base_url)
        return

    app = FastAPI()
    app.add_middleware(DeviceCookieMiddleware, **options)

    @app.get("/")
    async def endpoint(request: Request) -> str | None:
        return fastapi.end_user_from(request).device_id

    async with client_of(app, server) as client:
        yield str(client.base_url)


async def test_behind_a_plain_proxy(
    wiring: tuple[str, str], server_tls: ssl.SSLContext, ca_file: Any
) -> None:
    """A proxy that ends TLS and sends no header about it gets a Secure cookie."""
    trusted = ssl.create_default_context(cafile=ca_file)
    async with serving(wiring[1]) as url:
        with behind_proxy(url, server_tls) as front:
            async with httpx.AsyncClient(verify=trusted, trust_env=False) as browser:
                first = await browser.get(front)
                second = await browser.get(front)
    (cookie,) = first.headers.get_list("Set-Cookie")
    assert cookie.endswith("; HttpOnly; SameSite=Lax; Secure")
    # The browser sends the Secure cookie over https, and the app recognises it.
    assert "Set-Cookie" not in second.headers
    assert second.text == first.text


@pytest.mark.slow
@pytest.mark.parametrize("secure", [True, False])
async def test_only_the_developer_decides(
    wiring: tuple[str, str], secure: bool
) -> None:
    """The option decides, whatever scheme, host and headers a request has."""
    options: Any = {} if secure else {"secure": False}
    async with (
        serving(wiring[1], **options) as url,
        httpx.AsyncClient(trust_env=False) as browser,
    ):
        cookies = []
        for hint in HINTS:
            answer = await browser.get(url, headers=hint)
            cookies.append(answer.headers["Set-Cookie"])
            browser.cookies.clear()
    assert [cookie.endswith("; Secure") for cookie in cookies] == [secure] * len(HINTS)
