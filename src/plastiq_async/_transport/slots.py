"""The default transport: a stack of slots with one connection each.

httpcore's own pool scans all its connections for each request, so that its cost grows
with the square of the concurrency, and it can lose a connection for good when a request
is cancelled (httpcore issue 1093). A slot is one `httpx.AsyncHTTPTransport` for a
single connection: nothing to scan, and a slot that went wrong is thrown away whole.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import cast

import anyio
import httpx

from plastiq_async._protocol import is_success
from plastiq_async._transport.httpcore_trace import Closable, Watch

# Shorter than the 60 seconds after which many load balancers close what is idle.
KEEP_ALIVE = 55.0

# In place of the moment from which a slot is too old: it has served nobody yet.
_FRESH = math.inf


class SlotTransport(httpx.AsyncBaseTransport):
    """As many connections as there are requests at once, the last used one first.

    It sets no limit: the session's permits do.

    Args:
        first: The first slot.
        make_slot: Makes another: a transport for a single connection.
        verify_trace_id: Whether a connection whose answer does not carry the request's
            trace ID is not to be used again.
    """

    def __init__(
        self,
        first: httpx.AsyncBaseTransport,
        make_slot: Callable[[], httpx.AsyncBaseTransport],
        *,
        verify_trace_id: bool,
    ) -> None:
        self._make_slot = make_slot
        self._verify_trace_id = verify_trace_id
        # The free slots, each with the moment from which it is too old; the latest used
        # is the last.
        self._free = deque([(_FRESH, first)])
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request` through a slot; reading the answer sets that free."""
        while self._free and self._free[0][0] < time.monotonic():
            await _discard(self._free.popleft()[1])
        old, slot = self._free.pop() if self._free else (_FRESH, self._make_slot())
        extensions = request.extensions
        watch = Watch(request)
        request.extensions = {**extensions, "trace": watch}
        accepted = False
        try:
            response = await slot.handle_async_request(request)
            returned = response.headers.get("Trace-Id")
            if self._verify_trace_id and old != _FRESH and returned is None:
                await _refuse_result(response)
            accepted = True
        finally:
            request.extensions = extensions
            if not accepted:
                await _discard(*watch.opened, slot)
        clean = not self._verify_trace_id or returned == request.headers.get("Trace-Id")
        body = cast("httpx.AsyncByteStream", response.stream)
        response.stream = _Lease(self, slot, body, clean=clean)
        return response

    async def give_back(self, slot: httpx.AsyncBaseTransport, *, clean: bool) -> None:
        """Take back `slot`, to be used again if its exchange was `clean`."""
        if clean and not self._closed:
            self._free.append((time.monotonic() + KEEP_ALIVE, slot))
        else:
            await _discard(slot)

    async def aclose(self) -> None:
        """Close all connections: the free ones now, the others as they come back."""
        self._closed = True
        try:
            while self._free:
                await _discard(self._free.pop()[1])
        finally:
            # A native cancellation pierces the shield: go on with those that are left.
            if self._free:
                await self.aclose()


class _Lease(httpx.AsyncByteStream):
    """An answer's body; closing it gives the slot back."""

    def __init__(
        self,
        slots: SlotTransport,
        slot: httpx.AsyncBaseTransport,
        body: httpx.AsyncByteStream,
        *,
        clean: bool,
    ) -> None:
        self._slots = slots
        self._slot = slot
        self._body = body
        self._clean = clean
        self._read = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._body:
            yield chunk
        self._read = True

    async def aclose(self) -> None:
        closed = False
        try:
            await self._body.aclose()
            closed = True
        finally:
            clean = self._clean and self._read and closed
            await self._slots.give_back(self._slot, clean=clean)


async def _refuse_result(response: httpx.Response) -> None:
    """Raise if `response` is a result, since it may be a surplus of the last answer."""
    if is_success(response.status_code):
        await response.aclose()
        msg = "no trace ID on a connection whose answers had one"
        raise httpx.RemoteProtocolError(msg)


async def _discard(*things: Closable) -> None:
    # Whoever is cancelled here still closes the socket.
    with anyio.CancelScope(shield=True):
        for thing in things:
            await thing.aclose()
