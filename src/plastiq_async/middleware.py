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
from typing import TYPE_CHECKING, Protocol
from uuid import UUID, uuid4

import httpx

from plastiq_async._protocol import parse_trace_id
from plastiq_async.errors import ConfigurationError
from plastiq_async.tracing import current_trace_id

if TYPE_CHECKING:
    from plastiq_async._call import Call

__all__ = ["Handler", "Middleware", "TraceId", "trace_id_of"]

Handler = Callable[[httpx.Request], Awaitable[httpx.Response]]
"""The rest of the onion: takes the request, returns the answer."""

# Under this key the session hands each call's state to the rooms on its way.
CALL_EXTENSION = "plastiq_async.call"


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


def call_of(request: httpx.Request) -> Call:
    """Return the state of the call that `request` belongs to."""
    try:
        return request.extensions[CALL_EXTENSION]  # type: ignore[no-any-return]
    except KeyError:
        msg = (
            "middleware: passed on a request without the extensions of the one that "
            "it was given"
        )
        raise ConfigurationError(msg) from None


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
        call.trace_id = choose_trace_id(call)
        sent = request.headers["Trace-Id"] = str(call.trace_id)
        response = await call_next(request)
        if response.headers.get("Trace-Id") != sent:
            returned = parse_trace_id(response.headers.get_list("Trace-Id"))
            call.trace_id = returned or call.trace_id
        return response


def choose_trace_id(call: Call) -> UUID:
    """Return the trace ID that `call` carries or, where it has none yet, should."""
    return call.trace_id or call.operation.trace_id or current_trace_id() or uuid4()
