"""Whose the connections of a session are, and when they end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import anyio
from anyio.lowlevel import current_token

from plastiq_async.errors import SessionStateError

if TYPE_CHECKING:
    import httpx
    from anyio.lowlevel import EventLoopToken


class Connections:
    """The connections that all views of one session share, and who may use it.

    It belongs to the process that made it and to the event loop of the first call.

    Args:
        transport: What is behind the client; closed by `aclose`.
        max_connections: How many calls may be under way at once.

    Attributes:
        max_connections: As the argument.
        closed: Whether they are closed.
        calls: The scopes of the calls under way, for `aclose` to cancel.
        permits: What a call must hold; there once `check_usable` has passed.
    """

    permits: anyio.Semaphore

    def __init__(
        self, transport: httpx.AsyncBaseTransport, max_connections: int
    ) -> None:
        self.closed = False
        self.calls: set[anyio.CancelScope] = set()
        self._transport = transport
        self.max_connections = max_connections
        self._loop: EventLoopToken | None = None
        self._pid = os.getpid()

    def check_usable(self) -> None:
        """Take possession for this event loop, or make sure that it is the owner.

        Raises:
            SessionStateError: The session is closed, or belongs to another event loop
                or to the process before a fork.
        """
        if self._pid != os.getpid():
            # First: in the child of a fork, asyncio says that there is no event loop.
            msg = "the session was made before a fork: make one in each process"
        elif self.closed:
            msg = "the session is closed"
        elif self._loop is None:
            self._loop = current_token()
            # Made in its event loop: outside of one anyio would make a slower adapter.
            # No checkpoint where a permit is free: a call has plenty of them.
            self.permits = anyio.Semaphore(self.max_connections, fast_acquire=True)
            return
        elif self._loop == current_token():
            return
        else:
            msg = "the session belongs to another event loop: make one in each"
        raise SessionStateError(msg)

    async def aclose(self) -> None:
        """Cancel the calls under way and close the transport; once is enough.

        Raises:
            SessionStateError: The connections are not this event loop's to close.
        """
        if self.closed:
            return
        if self._loop is not None:
            self.check_usable()
        self.closed = True
        for scope in self.calls:
            scope.cancel()
        await self._transport.aclose()
