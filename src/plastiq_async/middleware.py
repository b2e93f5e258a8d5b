"""The onion around every call: the protocol, the built-in trace ID, and your own.

A middleware sees one logical call, retries included, from outside::

    async def tenant(request: httpx.Request, call_next: Handler) -> httpx.Response:
        request.headers["X-Tenant"] = "blue"
        return await call_next(request)

    PlastiqSession(middleware=[tenant])

The first in the list is the outermost of yours; `TraceId` is outside of all, the
retries are inside. What comes back is an answer with a 2xx status, read whole, or what
is raised is a `PlastiqError`; no exception of httpx passes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol
from uuid import UUID

import httpx

from plastiq_async._call import call_of
from plastiq_async._protocol import header_values, parse_trace_id

__all__ = ["Handler", "Middleware", "TraceId", "trace_id_of"]

Handler = Callable[[httpx.Request], Awaitable[httpx.Response]]
"""The rest of the onion: takes the request, returns the answer."""


class Middleware(Protocol):
    """An async callable around each call of a session."""

    async def __call__(
        self, request: httpx.Request, call_next: Handler, /
    ) -> httpx.Response:
        """Handle one logical call.

        Args:
            request: The request; its headers may be changed. It already carries its
                ``Trace-Id``, and its body is read.
            call_next: The rest of the onion. Not to be called twice: the retries are
                inside.

        Returns:
            The answer, normally what `call_next` returned.

        Raises:
            PlastiqError: As `call_next` raised it.
        """
        ...


def trace_id_of(request: httpx.Request) -> UUID:
    """Return the trace ID that `request` carries; for a middleware of your own."""
    return UUID(request.headers["Trace-Id"])


class TraceId:
    """The outermost middleware: one trace ID per call, sent and read back.

    It is the call's own argument, else that of the surrounding `trace_context`, else a
    new one. All attempts of the call carry it.
    """

    async def __call__(
        self, request: httpx.Request, call_next: Handler, /
    ) -> httpx.Response:
        """Send the call's trace ID, and take over the one that the server used."""
        call = call_of(request)
        call.trace_id = call.choose_trace_id()
        sent = request.headers["Trace-Id"] = str(call.trace_id)
        response = await call_next(request)
        headers = response.headers.raw
        if header_values(headers, b"trace-id") != [sent]:
            call.trace_id = parse_trace_id(headers) or call.trace_id
        return response
