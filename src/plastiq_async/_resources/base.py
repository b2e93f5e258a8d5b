"""What all resources share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from plastiq_async._call import Operation, T


class Perform(Protocol):
    """The session's way in: performs an operation and returns its result."""

    async def __call__(self, operation: Operation[T], within: float | None, /) -> T:
        """Perform `operation` `within` so many seconds, or the session's own."""
        ...


class Resource:
    """A namespace of operations.

    Args:
        perform: The session's way in.
        max_connections: How many operations can be under way at once.
    """

    __slots__ = ("_max_connections", "_perform")

    def __init__(self, perform: Perform, max_connections: int) -> None:
        self._perform = perform
        self._max_connections = max_connections
