"""`SlotTransport`, the default transport: a stack of single-connection transports.

httpcore's pool scans all its connections for each request, so that its cost grows with
the square of the concurrency, and it can lose a connection for good if a request is
cancelled (httpcore issue 1093). A slot is one `httpx.AsyncHTTPTransport` with a single
connection. There is nothing to scan, and a slot whose request failed is discarded.
"""

import math
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, cast

import anyio
import attrs
import httpx

from plastiq_async._call import Call, call_of
from plastiq_async._transport.settings import KEEP_ALIVE
from plastiq_async._transport.trace_check import (
    ForeignResponseError,
    Verdict,
    check_trace_id,
)

# Expiry of a slot that has never been used.
_NEVER = math.inf

# How h11 quotes: the representation of bytes or of a bytearray.
_QUOTED = re.compile(r"""\bb['"]""")


class SlotTransport(httpx.AsyncBaseTransport):
    """As many connections as there are concurrent requests, the latest used first.

    It has no limit of its own, since the session's permits are the limit.
    """

    def __init__(
        self,
        first: httpx.AsyncBaseTransport,
        make_slot: Callable[[], httpx.AsyncBaseTransport],
    ) -> None:
        self._make_slot = make_slot
        # The free slots with their expiry, the latest used last.
        self._free = deque([(_NEVER, first)])
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request` through a slot. Closing the response frees the slot."""
        while self._free and self._free[0][0] < time.monotonic():
            await _close(self._free.popleft()[1].aclose)
        expiry, slot = self._free.pop() if self._free else (_NEVER, self._make_slot())
        call = call_of(request)
        extensions = request.extensions
        trace = _ConnectionTrace(call, extensions.get("trace"))
        request.extensions = {**extensions, "trace": trace}
        verdict = Verdict.REFUSE
        try:
            response = await slot.handle_async_request(request)
            status = response.status_code
            verdict = check_trace_id(
                call, status, response.headers.raw, reused=expiry != _NEVER
            )
            if verdict is Verdict.REFUSE:
                await response.aclose()
                raise ForeignResponseError
        finally:
            request.extensions = extensions
            if verdict is Verdict.REFUSE:
                await _close(*trace.closers, slot.aclose)
        body = cast("httpx.AsyncByteStream", response.stream)
        response.stream = _Lease(self, slot, body, keep=verdict is Verdict.KEEP)
        return response

    async def give_back(self, slot: httpx.AsyncBaseTransport, *, keep: bool) -> None:
        """Take `slot` back, to `keep` it for another request or to discard it."""
        if keep and not self._closed:
            self._free.append((time.monotonic() + KEEP_ALIVE, slot))
        else:
            await _close(slot.aclose)

    async def aclose(self) -> None:
        """Close the free connections now, and the others when they come back."""
        self._closed = True
        try:
            while self._free:
                await _close(self._free.pop()[1].aclose)
        finally:
            # A native cancellation pierces the shield of `_close`: close the rest.
            if self._free:
                await self.aclose()


@attrs.define(eq=False)
class _Lease(httpx.AsyncByteStream):
    """The body of a response. Closing it gives the slot back."""

    _slots: SlotTransport
    _slot: httpx.AsyncBaseTransport
    _body: httpx.AsyncByteStream
    _keep: bool
    _read: bool = attrs.field(default=False, init=False)

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
            keep = self._keep and self._read and closed
            await self._slots.give_back(self._slot, keep=keep)


@attrs.define(eq=False)
class _ConnectionTrace:
    """The ``trace`` extension of one request, which httpcore reports events to.

    - It tells the call when the request begins to leave.
    - It keeps the socket, which httpcore loses if it is cancelled in a TLS handshake.
    - It replaces errors that quote the wire. The bytes may be the secret of another
      call's response, and httpcore's log and httpx's instrumentation see the error
      before we do.
    """

    _call: Call
    _next_trace: Callable[[str, Mapping[str, Any]], Awaitable[None]] | None
    closers: list[Callable[[], Awaitable[None]]] = attrs.field(factory=list, init=False)

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        if event == "http11.send_request_headers.started":
            # Nothing of ours is in the request that opens a proxy's tunnel.
            if info["request"].method != b"CONNECT":
                self._call.sending()
        elif event.endswith("connect_tcp.complete"):
            self.closers.append(info["return_value"].aclose)
        elif "exception" in info and _QUOTED.search(str(info["exception"])):
            raise httpx.RemoteProtocolError("no valid HTTP") from None
        if self._next_trace is not None:
            await self._next_trace(event, info)


async def _close(*closers: Callable[[], Awaitable[None]]) -> None:
    # Shielded, so that a cancelled caller still closes the socket.
    with anyio.CancelScope(shield=True):
        for aclose in closers:
            await aclose()
