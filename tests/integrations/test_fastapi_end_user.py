"""The end user of FastAPI requests, on real servers."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from plastiq_async.integrations.asgi import DeviceCookieMiddleware
from plastiq_async.integrations.fastapi import end_user_from
from tests.support.uvicorn_server import in_uvicorn
from tests.support.web_clients import client_of


async def test_cookie_only_where_used(server: str) -> None:
    """The cookie is set only if the end user is requested, whatever the status code."""
    app = FastAPI()
    app.add_middleware(DeviceCookieMiddleware, name="d")

    @app.get("/{status}")
    async def endpoint(request: Request, status: int, ask: bool = True) -> Response:
        return Response(end_user_from(request).device_id if ask else "", status)

    async with client_of(app, server) as client:
        assert "Set-Cookie" not in (await client.get("/200?ask=0")).headers
        answer = await client.get("/500")
        assert answer.headers.get_list("Set-Cookie") == [
            f"d={answer.text}; Max-Age=34560000; Path=/; HttpOnly; SameSite=Lax; Secure"
        ]
        answer = await client.get("/200", headers={"Cookie": "d=x"})
        assert answer.headers["Set-Cookie"].startswith(f"d={answer.text}; ")


@pytest.mark.slow
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
async def test_proxies(server: str, options: Any, ip: str | None) -> None:
    """Only the configured number of proxies, and their header, are trusted."""
    app = FastAPI()

    @app.get("/")
    async def endpoint(request: Request) -> str | None:
        return end_user_from(request, **options).ip

    headers = [
        ("X-Forwarded-For", "198.51.100.1, 198.51.100.2"),
        ("Forwarded", "for=203.0.113.43"),
        ("X-Forwarded-For", "[2001:DB8::9]:4711"),
    ]
    async with client_of(app, server) as client:
        assert (await client.get("/", headers=headers)).json() == ip


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs Unix sockets")
async def test_unix_socket(tmp_path: Path) -> None:
    """Behind a Unix socket, the IP address comes only from a trusted proxy."""
    app = FastAPI()

    @app.get("/{proxies}")
    async def endpoint(request: Request, proxies: int) -> str | None:
        return end_user_from(request, trusted_proxies=proxies).ip

    path = str(tmp_path / "s")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    with in_uvicorn(app, listener=listener):
        transport = httpx.AsyncHTTPTransport(uds=path)
        async with httpx.AsyncClient(transport=transport) as client:
            client.headers["X-Forwarded-For"] = "203.0.113.7"
            assert (await client.get("http://a.example/0")).json() is None
            assert (await client.get("http://a.example/1")).json() == "203.0.113.7"
