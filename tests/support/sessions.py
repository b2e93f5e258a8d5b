"""What many tests need and is no fixture."""

from __future__ import annotations

import math
import ssl
from collections.abc import Callable
from typing import Any

import anyio
import httpx

from plastiq_async import CreateClientSecret, PlastiqSession
from plastiq_async._call import Call
from plastiq_async._request import RequestBuilder
from plastiq_async._resources.client_secrets import _operation
from tests.servers import Server

TOKEN = "token-of-the-tests"
PAYER = "8f51c396-6e29-49a6-ba5a-1a31d5420158"

# Over plain http none is used; to make one with all the usual CAs takes a while.
_ANY_CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def session_for(server: Server, **options: Any) -> PlastiqSession:
    """Return a session with a server."""
    settings = {"base_url": server.base_url, "verify": _ANY_CONTEXT, **options}
    return PlastiqSession(TOKEN, **settings)


def request_to(server: Server) -> httpx.Request:
    """Return a request as a transport gets it from a session."""
    operation = _operation(CreateClientSecret(payer_id=PAYER))
    call = Call(operation=operation, max_retries=0, deadline=math.inf)
    return RequestBuilder(server.base_url).build(operation, call)


async def eventually(condition: Callable[[], object]) -> None:
    """Wait until something holds that another thread or task brings about."""
    with anyio.fail_after(10):
        while not condition():  # noqa: ASYNC110  # threads set no event of anyio
            await anyio.sleep(0.005)
