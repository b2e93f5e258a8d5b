"""`SlotTransport`, the default transport: a stack of single-connection transports.

httpcore's pool scans all its connections for each request, so that its cost grows with
the square of the concurrency, and it can lose a connection for good if a request is
cancelled (httpcore issue 1093). A slot is one `httpx.AsyncHTTPTransport` with a single
connection. There is nothing to scan, and a slot whose request failed is discarded.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import anyio
import attrs
import httpx

from plastiq_async._call import Call, call_of
from plastiq_async._hooks import call_hook
from plastiq_async._transport.bounded import HeadTooLargeError, PoolTransport
from plastiq_async._transport.settings import KEEP_ALIVE
from plastiq_async._transport.trace_check import (
    ForeignResponseError,
    Verdict,
    check_trace_id,
)

if TYPE_CHECKING:
    from httpcore import AsyncNetworkStream  # importing it imports trio

# Seconds between two searches for idle connections to close.
_SWEEP_INTERVAL = 1.0

# How h11 quotes: the representation of bytes or of a bytearray.
_QUOTED = re.compile(r"""\bb['"]""")


@attrs.define(eq=False)
class _Slot:
    """A transport with at most one connection.

    Attributes:
        stream: The TCP stream of the connection, if there was one.
        used_at: When the connection was given back, or infinity if it never was.
    """

    transport: httpx.AsyncBaseTransport
    stream: AsyncNetworkStream | None = None
    used_at: float = math.inf

    def connected(self, stream: AsyncNetworkStream) -> None:
        """Take note of a new connection in place of the one before."""
        self.stream, self.used_at = stream, math.inf

    def is_dead(self, now: float) -> bool:
        """Tell whether the idle connection expired or was closed by the server."""
        if self.used_at + KEEP_ALIVE < now:
            return True
        if self.stream is None:
            return False
        # trio refuses to look at a closed socket.
        closed = self.stream.get_extra_info("socket").fileno() < 0
        return closed or bool(self.stream.get_extra_info("is_readable"))

    async def aclose(self) -> None:
        """Close the connection without waiting for the server."""
        # First the socket, which httpcore loses if it is cancelled in a TLS handshake.
        if self.stream is not None:
            await self.stream.aclose()
        await self.transport.aclose()


class SlotTransport(PoolTransport):
    """As many connections as there are concurrent requests, the latest used first.

    It has no limit of its own, since the session's permits are the limit.
    """

    def __init__(
        self,
        first: httpx.AsyncBaseTransport,
        make_slot: Callable[[], httpx.AsyncBaseTransport],
    ) -> None:
        self._make_slot = make_slot
        # The free slots, the latest used last.
        self._free = [_Slot(first)]
        self._next_sweep = 0.0
        self._closed = False

    @property
    def idle_connections(self) -> int:
        """The number of free slots that have had a connection."""
        return sum(slot.used_at < math.inf for slot in self._free)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request` through a slot. Closing the response frees the slot."""
        now = time.monotonic()
        if now >= self._next_sweep:
            self._next_sweep = now + _SWEEP_INTERVAL
            # httpcore looks only at the connection that it is about to use.
            await self._close_free(lambda slot: slot.is_dead(now))
        slot = self._free.pop() if self._free else _Slot(self._make_slot())
        call = call_of(request)
        extensions = request.extensions
        trace = _ConnectionTrace(call, slot, extensions.get("trace"))
        request.extensions = {**extensions, "trace": trace}
        verdict = Verdict.REFUSE
        try:
            response = await slot.transport.handle_async_request(request)
            status = response.status_code
            verdict = check_trace_id(
                call, status, response.headers.raw, reused=slot.used_at < math.inf
            )
            if verdict is Verdict.REFUSE:
                await response.aclose()
                raise ForeignResponseError
        finally:
            request.extensions = extensions
            if verdict is Verdict.REFUSE:
                await _close({slot})
        body = cast("httpx.AsyncByteStream", response.stream)
        response.stream = _Lease(self, slot, body, keep=verdict is Verdict.KEEP)
        return response

    async def give_back(self, slot: _Slot, *, keep: bool) -> None:
        """Take `slot` back, to `keep` it for another request or to discard it."""
        if keep and not self._closed:
            slot.used_at = time.monotonic()
            self._free.append(slot)
        else:
            await _close({slot})

    async def close_idle(self, *, unused_since: float) -> None:
        """Close the idle connections without a response since then."""
        await self._close_free(lambda slot: slot.used_at < unused_since)

    async def aclose(self) -> None:
        """Close the free connections now, and the others when they come back."""
        self._closed = True
        await self._close_free(lambda _: True)

    async def _close_free(self, is_unwanted: Callable[[_Slot], bool]) -> None:
        """Close the free slots for which `is_unwanted` returns True."""
        unwanted = {slot for slot in self._free if is_unwanted(slot)}
        self._free = [slot for slot in self._free if slot not in unwanted]
        await _close(unwanted)


@attrs.define(eq=False)
class _Lease(httpx.AsyncByteStream):
    """The body of a response. Closing it gives the slot back."""

    _slots: SlotTransport
    _slot: _Slot
    _body: httpx.AsyncByteStream
    _keep: bool
    _read: bool = attrs.field(default=False, init=False)
    _chunks: AsyncIterator[bytes] = attrs.field(
        default=attrs.Factory(lambda lease: aiter(lease._body), takes_self=True),  # noqa: SLF001
        init=False,
    )

    # No async generator, because event loops keep account of each.
    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._chunks)
        except StopAsyncIteration:
            self._read = True
            raise

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
    - It tells the slot when there is a new connection.
    - It replaces errors that quote the wire. The bytes may be the secret of another
      call's response, and httpcore's log and httpx's instrumentation see the error
      before we do.
    """

    _call: Call
    _slot: _Slot
    _next_trace: Callable[[str, Mapping[str, Any]], Awaitable[None]] | None
    _sent: bool = attrs.field(default=False, init=False)

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        if event == "http11.send_request_headers.started":
            # Nothing of ours is in the request that opens a proxy's tunnel.
            if info["request"].method != b"CONNECT":
                self._call.sending()
                self._sent = True
        elif event.endswith("connect_tcp.complete"):
            self._slot.connected(info["return_value"])
        elif event.endswith(".failed"):
            error = info["exception"]
            headers = event == "http11.receive_response_headers.failed"
            if headers and self._sent and _is_too_large(error):
                raise HeadTooLargeError from None
            if _QUOTED.search(str(error)):
                raise httpx.RemoteProtocolError("no valid HTTP") from None
        if self._next_trace is not None:
            await call_hook("trace extension", self._next_trace, event, info)


def _is_too_large(error: BaseException) -> bool:
    """Tell whether h11 refused to read on, which hints at this status."""
    hint = getattr(error.__cause__, "error_status_hint", None)
    return hint == httpx.codes.REQUEST_HEADER_FIELDS_TOO_LARGE


async def _close(slots: set[_Slot]) -> None:
    """Close `slots`, even if the caller is cancelled."""
    try:
        with anyio.CancelScope(shield=True):
            while slots:
                await slots.pop().aclose()
    finally:
        # A native cancellation pierces the shield: close the rest.
        if slots:
            await _close(slots)
