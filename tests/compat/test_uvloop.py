"""uvloop: both transports, with TLS."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import anyio
import pytest
import uvloop

from plastiq_async import APITimeoutError
from tests.support.cancellers import cancellers
from tests.support.sessions import PAYER, session_for
from tests.support.socket_server import Server
from tests.support.steps import answer, drop, ignore

pytestmark = pytest.mark.parametrize("transport", ["httpx", "aiohttp"])


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run the tests on uvloop."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(params=["http", "https"])
def tls(
    request: pytest.FixtureRequest, server_tls: ssl.SSLContext
) -> ssl.SSLContext | None:
    """Return the TLS context of the server."""
    return server_tls if request.param == "https" else None


async def test_calls(transport: Any, tls: ssl.SSLContext | None, ca_file: Path) -> None:
    """Calls succeed, many at once and again on kept connections."""
    assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
    with Server(drop, answer(), tls=tls) as server:
        verify = str(ca_file)
        async with session_for(server, transport=transport, verify=verify) as session:
            for _ in range(2):
                async with anyio.create_task_group() as tasks:
                    for _ in range(20):
                        tasks.start_soon(session.client_secrets.create, PAYER)
    assert len(server.requests) == 41
    assert len(server.connections) <= 21


async def test_deadline_and_cancellation(
    transport: Any, tls: ssl.SSLContext | None, ca_file: Path
) -> None:
    """Calls without a response end at their deadline or when cancelled."""
    with Server(ignore, tls=tls) as server:
        verify = str(ca_file)
        async with session_for(server, transport=transport, verify=verify) as session:
            with pytest.raises(APITimeoutError):
                await session.client_secrets.create(PAYER, timeout=0.2)

            async def create() -> None:
                await session.client_secrets.create(PAYER)

            for cancel in cancellers("asyncio"):
                await cancel(create, 50)
            server.play(answer())
            await create()
