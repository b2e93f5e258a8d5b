"""Whose the connections of a session are, and when they end."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio
from anyio.lowlevel import current_token

from plastiq_async.errors import SessionStateError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx
    from anyio.lowlevel import EventLoopToken


class Connections:
    """The client that all views of one session share, and who may use it.

    It belongs to the process that made it and to the event loop of the first call.

    Args:
        client: The client; closed by `aclose`.
        max_connections: How many calls may be under way at once.
    """

    def __init__(self, client: httpx.AsyncClient, max_connections: int) -> None:
        self.closed = False
        self._client = client
        # No checkpoint where a permit is free: the call itself has plenty of them.
        self._permits = anyio.Semaphore(max_connections, fast_acquire=True)
        self._calls: set[anyio.CancelScope] = set()
        self._loop: EventLoopToken | None = None
        self._pid = os.getpid()

    def check_usable(self) -> None:
        """Take possession for this event loop, or make sure that it is the owner.

        Raises:
            SessionStateError: The session is closed, or belongs to another event loop
                or to the process before a fork.
        """
        loop = current_token()
        if self.closed:
            msg = "the session is closed"
        elif self._pid != os.getpid():
            msg = "the session was made before a fork: make one in each process"
        elif self._loop is None:
            self._loop = loop
            return
        elif self._loop == loop:
            return
        else:
            msg = "the session belongs to another event loop: make one in each"
        raise SessionStateError(msg)

    @contextmanager
    def permit(self, scope: anyio.CancelScope) -> Iterator[anyio.Semaphore]:
        """Let `aclose` cancel `scope` while the block waits for or holds a permit."""
        self._calls.add(scope)
        try:
            yield self._permits
        finally:
            self._calls.discard(scope)

    async def aclose(self) -> None:
        """Cancel the calls under way and close the client; once is enough.

        Raises:
            SessionStateError: The connections are not this event loop's to close.
        """
        if self.closed:
            return
        if self._loop is not None:
            self.check_usable()
        self.closed = True
        for scope in self._calls:
            scope.cancel()
        await self._client.aclose()
