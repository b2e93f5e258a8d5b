"""The default transport: a stack of slots with one connection each.

httpcore's own pool scans all its connections for each request, so that its cost grows
with the square of the concurrency, and it can lose a connection for good when a request
is cancelled (httpcore issue 1093). A slot is one `httpx.AsyncHTTPTransport` for a
single connection: nothing to scan, and a slot that went wrong is thrown away whole.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import cast

import anyio
import httpx

# Shorter than the 60 seconds after which many load balancers close what is idle.
KEEP_ALIVE = 55.0


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
        self._free = deque([(math.inf, first)])
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request` through a slot; reading the answer sets that free."""
        while self._free and self._free[0][0] < anyio.current_time():
            await _discard(self._free.popleft()[1])
        slot = self._free.pop()[1] if self._free else self._make_slot()
        answered = False
        try:
            response = await slot.handle_async_request(request)
            answered = True
        finally:
            if not answered:
                await _discard(slot)
        clean = not self._verify_trace_id or (
            response.headers.get("Trace-Id") == request.headers.get("Trace-Id")
        )
        body = cast("httpx.AsyncByteStream", response.stream)
        response.stream = _Lease(self, slot, body, clean=clean)
        return response

    async def give_back(self, slot: httpx.AsyncBaseTransport, *, clean: bool) -> None:
        """Take back `slot`, to be used again if its exchange was `clean`."""
        if clean and not self._closed:
            self._free.append((anyio.current_time() + KEEP_ALIVE, slot))
        else:
            await _discard(slot)

    async def aclose(self) -> None:
        """Close all connections: the free ones now, the others as they come back."""
        self._closed = True
        while self._free:
            await _discard(self._free.pop()[1])


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


async def _discard(slot: httpx.AsyncBaseTransport) -> None:
    # Whoever is cancelled here still closes the socket.
    with anyio.CancelScope(shield=True):
        await slot.aclose()
