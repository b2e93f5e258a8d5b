"""Session ownership: process, event loop, concurrency limit, closing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import anyio
from anyio.lowlevel import EventLoopToken, current_token

from plastiq_async.errors import SessionStateError

if TYPE_CHECKING:
    import httpx


class Ownership:
    """Who may use a session and its views: one process, and one event loop.

    The process is the one that made it, the event loop that of its first call.
    """

    def __init__(
        self, transport: httpx.AsyncBaseTransport, max_connections: int
    ) -> None:
        self.max_connections = max_connections
        self.closed: bool = False
        self.scopes: set[anyio.CancelScope] = set()
        self._transport = transport
        self._pid = os.getpid()
        # Its `setdefault` is atomic, so that of several threads one claims the session.
        self._claims: dict[str, EventLoopToken] = {}
        self._loop: EventLoopToken | None = None
        self._permits: anyio.Semaphore | None = None

    def ensure_permits(self) -> anyio.Semaphore:
        """Return the permits of the calls; the first caller's event loop owns them."""
        self._check_process()
        if self.closed:
            raise SessionStateError("the session is closed")
        if self._permits is None:
            self._claim()
            # Made inside its event loop, since anyio returns a slower adapter outside.
            # No checkpoint if a permit is free, because a call has plenty of its own.
            self._permits = anyio.Semaphore(self.max_connections, fast_acquire=True)
        else:
            self._check_loop()
        return self._permits

    @property
    def in_use(self) -> int:
        """The number of calls that hold a permit."""
        return self.max_connections - self._permits.value if self._permits else 0

    @property
    def waiting(self) -> int:
        """The number of calls that wait for a permit."""
        return self._permits.statistics().tasks_waiting if self._permits else 0

    async def aclose(self) -> None:
        """Cancel the calls in flight and close the transport. Repeating is harmless."""
        if self.closed:
            return
        if self._loop is not None:
            self._check_process()
        # Also if it is unused, since a thread may make the first call meanwhile.
        self._claim()
        self.closed = True
        for scope in self.scopes:
            scope.cancel()
        await self._transport.aclose()

    def _check_process(self) -> None:
        # Before the event loop, of which there is none in the child of a fork.
        if self._pid != os.getpid():
            msg = "the session was made before a fork: make one in each process"
            raise SessionStateError(msg)

    def _claim(self) -> None:
        """Make the current event loop the owner, unless another one is."""
        self._loop = self._claims.setdefault("loop", current_token())
        self._check_loop()

    def _check_loop(self) -> None:
        if self._loop != current_token():
            msg = "the session belongs to another event loop: make one in each"
            raise SessionStateError(msg)
