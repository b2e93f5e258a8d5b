"""Middleware: the protocol, the built-in trace ID, and what is known of a call.

Middleware wraps one logical call, retries included::

    async def tenant(request: httpx.Request, call_next: Handler) -> httpx.Response:
        request.headers["X-Tenant"] = "blue"
        return await call_next(request)

    PlastiqSession(middleware=[tenant])

`TraceId` is always the outermost. The first in the list is the outermost of yours, and
the retries are inside. `call_next` returns a complete response with a 2xx status, or
raises a `PlastiqError`; it never raises an exception of httpx. It may also return the
404 which shows that an earlier attempt to delete succeeded.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol
from uuid import UUID

import httpx

from plastiq_async._call import call_of
from plastiq_async._call_record import CallInfo, info_of

__all__ = ["CallInfo", "Handler", "Middleware", "TraceId", "call_info", "trace_id_of"]

Handler = Callable[[httpx.Request], Awaitable[httpx.Response]]
"""The next layer: takes the request, returns the response."""


class Middleware(Protocol):
    """An async callable around each call of a session."""

    async def __call__(
        self, request: httpx.Request, call_next: Handler, /
    ) -> httpx.Response:
        """Handle one logical call.

        Args:
            request: The request. It carries its ``Trace-Id``, and its body is read.
                Headers may be added, and most of them changed; ``Authorization`` is
                set later. The URL, method and body must stay as they are, as well as
                ``Trace-Id``, ``Idempotency-Key``, ``Host`` and ``Content-Length``.
            call_next: The next layer. Call it at most once, because the retries are
                inside. It raises a `HookError` if you call it again, or pass on a
                request that must not be sent.

        Returns:
            The response, usually the one that `call_next` returned. If it is one of
            your own, it must have been read.

        Raises:
            PlastiqError: As `call_next` raised it. Any exception of yours reaches the
                caller unchanged. If it ends a call whose request was sent, and which is
                not safe to repeat, the session logs a warning with the trace ID and
                the idempotency key, because the exception cannot carry them.
        """
        ...


def call_info(request: httpx.Request) -> CallInfo:
    """Return what is known at this moment of the call that `request` belongs to.

    Args:
        request: The request that a middleware was given.

    Raises:
        HookError: `request` is not one that a session built.
    """
    return info_of(call_of(request))


def trace_id_of(request: httpx.Request) -> UUID:
    """Return the trace ID that `request` carries.

    Args:
        request: The request that a middleware was given.
    """
    return UUID(request.headers["Trace-Id"])


class TraceId:
    """The outermost middleware: sends the call's trace ID as ``Trace-Id``.

    The trace ID is the argument of the call, else the one of the surrounding
    `plastiq_async.trace_context`, else a new one. All attempts carry it.
    """

    async def __call__(
        self, request: httpx.Request, call_next: Handler, /
    ) -> httpx.Response:
        """Set the header, and handle the call."""
        request.headers["Trace-Id"] = call_of(request).trace_text
        return await call_next(request)
