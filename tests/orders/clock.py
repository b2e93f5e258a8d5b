"""Event loops on which time does not pass but jumps: nobody waits for a timer."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any

from trio.testing import MockClock


class _JumpingSelector(selectors.DefaultSelector):
    """A selector whose time is the sum of all waits, none of which it makes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        """Return what is ready at once, after moving the time by `timeout`."""
        self.now += max(0.0, timeout or 0.0)
        return super().select(0)


class _JumpingLoop(asyncio.SelectorEventLoop):
    """asyncio's event loop, by the time of its selector."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the time in seconds since the loop was made."""
        return self._jumping.now


def jumping(backend: str) -> dict[str, Any]:
    """Return the arguments of `anyio.run` for an event loop whose time jumps."""
    if backend == "trio":
        clock = MockClock(autojump_threshold=0)
        return {"backend": "trio", "backend_options": {"clock": clock}}
    options = {"loop_factory": _JumpingLoop}
    return {"backend": "asyncio", "backend_options": options}
