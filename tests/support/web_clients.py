"""Web applications on real servers, and clients for them."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
import anyio
import anyio.to_thread
import httpx
import hypercorn.asyncio
import hypercorn.trio
import sniffio
from aiohttp import web

from tests.support.sessions import ANY_CONTEXT
from tests.support.uvicorn_server import in_uvicorn


@asynccontextmanager
async def in_hypercorn(app: Any) -> AsyncIterator[str]:
    """Serve `app` with hypercorn on this event loop, and yield its URL."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = hypercorn.Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.backlog = 1024
    config.accesslog = logging.getLogger("hypercorn.access")
    config.errorlog = logging.getLogger("hypercorn.error")
    config.graceful_timeout = 0.1
    # It begins when a connection is accepted, and a busy machine reads much later.
    config.keep_alive_timeout = 60
    stop = anyio.Event()
    on_trio = sniffio.current_async_library() == "trio"
    serve: Any = hypercorn.trio.serve if on_trio else hypercorn.asyncio.serve
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(serve, app, config, shutdown_trigger=stop.wait))
        try:
            yield url
        finally:
            stop.set()


@asynccontextmanager
async def client_of(
    app: Any, server: str, **settings: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """Serve `app` with uvicorn or hypercorn, and yield an httpx client for it."""
    async with AsyncExitStack() as stack:
        if server == "uvicorn":
            url = stack.enter_context(in_uvicorn(app, **settings))
        else:
            url = await stack.enter_async_context(in_hypercorn(app))
        client = httpx.AsyncClient(
            base_url=url, timeout=30, trust_env=False, verify=ANY_CONTEXT
        )
        yield await stack.enter_async_context(client)


@asynccontextmanager
async def web_client_of(
    app: web.Application, *, path: str | None = None, **options: Any
) -> AsyncIterator[aiohttp.ClientSession]:
    """Serve `app` with aiohttp, and yield a client that keeps cookies.

    Args:
        app: The application.
        path: The path of a Unix socket to listen on, instead of a TCP port.
        options: Options for `web.AppRunner`.
    """
    runner = web.AppRunner(app, **options)
    await runner.setup()
    url, connector = "http://unix", None
    try:
        if path is None:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            url = "http://{}:{}".format(*runner.addresses[0])
        else:
            await web.UnixSite(runner, path).start()
            connector = aiohttp.UnixConnector(path)
        # Like a browser, it accepts cookies of loopback addresses, also Secure ones.
        jar = aiohttp.CookieJar(unsafe=True, treat_as_secure_origin=url)
        async with aiohttp.ClientSession(
            url, connector=connector, cookie_jar=jar
        ) as client:
            yield client
    finally:
        await runner.cleanup()


async def over_websocket(
    url: str, headers: dict[str, str] | None = None, *, leave: bool = False
) -> tuple[dict[str, str], list[str], int | None]:
    """Receive from a WebSocket, in a thread with its own asyncio event loop.

    Args:
        url: The URL of the WebSocket.
        headers: The request headers of the handshake.
        leave: Whether to close the WebSocket at once.

    Returns:
        The response headers of the handshake, the messages received until the server
        closed the WebSocket, and the close code.
    """

    async def talk() -> tuple[dict[str, str], list[str], int | None]:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(url, headers=headers) as websocket,
        ):
            if leave:
                await websocket.close()
            texts = [message.data async for message in websocket]
            answered = websocket._response.headers.items()
            lower = {name.lower(): value for name, value in answered}
            return lower, texts, websocket.close_code

    return await anyio.to_thread.run_sync(asyncio.run, talk())


async def burst(url: str, size: int) -> dict[int, tuple[int, str, Any]]:
    """Send `size` concurrent POST requests to `url`, numbered by a query parameter.

    Returns:
        For each number the status code, the trace ID in the header, and the body.
    """

    async def run() -> dict[int, tuple[int, str, Any]]:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def post(number: int) -> tuple[int, str, Any]:
                params = {"number": number}
                async with session.post(url, params=params) as answer:
                    body = await answer.json()
                    return answer.status, answer.headers["Trace-Id"], body

            numbers = range(size)
            answers = await asyncio.gather(*map(post, numbers))
            return dict(zip(numbers, answers, strict=True))

    return await anyio.to_thread.run_sync(asyncio.run, run())
