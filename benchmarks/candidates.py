"""The clients that are compared.

The other clients make the smallest request that the API accepts, without a trace ID,
retries or a deadline, and return untyped results.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Literal

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from plastiq_async import PlastiqSession

PAYER_ID = "9a3ea4ab-8ac5-4c4b-a1e5-6f7b0a2ad2a4"
PAYLOAD = {"payer": {"id": PAYER_ID}, "type": "CARD"}
TOKEN = "access-token"  # noqa: S105 -- made up
AUTHORIZATION = {"Authorization": f"Bearer {TOKEN}"}
TIMEOUT = 60.0

Call = Callable[[], Awaitable[object]]
Candidate = Callable[
    [str, ssl.SSLContext | bool, int], AbstractAsyncContextManager[Call]
]
"""Context manager that takes base URL, `verify` and pool size, and yields a call."""


@asynccontextmanager
async def ours(
    url: str,
    verify: ssl.SSLContext | bool,
    connections: int,
    *,
    transport: Literal["httpx", "aiohttp"] = "httpx",
) -> AsyncIterator[Call]:
    """Open a `PlastiqSession`."""
    async with PlastiqSession(
        TOKEN,
        base_url=url,
        verify=verify,
        max_connections=connections,
        trust_env=False,
        transport=transport,
    ) as session:
        yield lambda: session.client_secrets.create(PAYER_ID)


ours_aiohttp = partial(ours, transport="aiohttp")


@asynccontextmanager
async def plain_httpx(
    url: str, verify: ssl.SSLContext | bool, connections: int
) -> AsyncIterator[Call]:
    """Open `httpx.AsyncClient`."""
    async with httpx.AsyncClient(
        base_url=url,
        headers=AUTHORIZATION,
        verify=verify,
        limits=_limits(connections),
        timeout=TIMEOUT,
        trust_env=False,
    ) as client:
        yield _httpx_call(client)


@asynccontextmanager
async def plain_httpx_aiohttp(
    url: str, verify: ssl.SSLContext | bool, connections: int
) -> AsyncIterator[Call]:
    """Open `httpx.AsyncClient` with the transport of httpx-aiohttp."""
    transport = AiohttpTransport(
        verify=verify,
        limits=_limits(connections),
    )
    async with httpx.AsyncClient(
        base_url=url,
        headers=AUTHORIZATION,
        transport=transport,
        timeout=TIMEOUT,
        trust_env=False,
    ) as client:
        yield _httpx_call(client)


def _limits(connections: int) -> httpx.Limits:
    """Return the default limits of httpx, with a larger pool if needed.

    The number of idle connections stays at its default of 20, because httpcore scans
    all of them for each request. More of them would at least double the CPU time.
    """
    return httpx.Limits(
        max_connections=max(100, connections), max_keepalive_connections=20
    )


def _httpx_call(client: httpx.AsyncClient) -> Call:
    async def call() -> object:
        response = await client.post("/client-secrets", json=PAYLOAD)
        response.raise_for_status()
        return response.json()

    return call


@asynccontextmanager
async def plain_aiohttp(
    url: str, verify: ssl.SSLContext | bool, connections: int
) -> AsyncIterator[Call]:
    """Open `aiohttp.ClientSession`."""
    async with aiohttp.ClientSession(
        base_url=url,
        headers=AUTHORIZATION,
        connector=aiohttp.TCPConnector(
            ssl=verify, limit=connections, keepalive_timeout=TIMEOUT
        ),
        timeout=aiohttp.ClientTimeout(TIMEOUT),
        raise_for_status=True,
    ) as client:

        async def call() -> object:
            async with client.post("/client-secrets", json=PAYLOAD) as response:
                result: object = await response.json()
                return result

        yield call


OURS = "plastiq-async"
OURS_AIOHTTP = 'plastiq-async, transport="aiohttp"'
HTTPX = "httpx"
AIOHTTP = "aiohttp"

CANDIDATES: dict[str, Candidate] = {
    OURS: ours,
    OURS_AIOHTTP: ours_aiohttp,
    HTTPX: plain_httpx,
    "httpx with httpx-aiohttp": plain_httpx_aiohttp,
    AIOHTTP: plain_aiohttp,
}
