r"""Programs for subprocesses: abandoned sessions and forks.

::

    python -W default -m tests.support.session_programs \
        PROGRAM BACKEND TRANSPORT URL CA-FILE

Python writes errors and warnings about unclosed resources to stderr.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import pytest
import trio

from plastiq_async import PlastiqSession, SessionStateError
from tests.support.sessions import PAYER, TOKEN

# Keeps a session alive until the process exits.
_kept: list[object] = []


def open_files() -> int:
    """Return the number of open file descriptors of this process."""
    return len(list(Path("/dev/fd").iterdir()))


async def refuse(session: PlastiqSession, reason: str) -> None:
    """Check that a session can neither make calls nor be closed."""
    view = session.with_options(max_retries=0)
    for one in (session, view):
        with pytest.raises(SessionStateError, match=reason):
            await one.client_secrets.create(PAYER)
        with pytest.raises(SessionStateError, match=reason):
            await one.aclose()


@attrs.frozen
class Wiring:
    """The event loop, transport and server of a program."""

    backend: str
    transport: Any
    base_url: str
    ca_file: str

    async def start(self) -> PlastiqSession:
        """Return a session with two idle connections."""
        session = PlastiqSession(
            TOKEN,
            base_url=self.base_url,
            transport=self.transport,
            verify=self.ca_file,
            trust_env=False,
        )
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(session.client_secrets.create, PAYER)
        return session

    def run(self, main: Callable[[], Awaitable[Any]]) -> Any:
        """Run `main` in an event loop."""
        return anyio.run(main, backend=self.backend)

    def start_for_good(self, session: PlastiqSession) -> object:
        """Start a call that runs until the event loop ends."""
        create = session.client_secrets.create
        if self.backend == "trio":
            # trio cancels system tasks when the main task ends.
            return trio.lowlevel.spawn_system_task(create, PAYER)
        return asyncio.ensure_future(create(PAYER))


def abandon(wiring: Wiring, moment: str) -> None:
    """Drop a session without closing it.

    `moment` is ``inside`` (while the event loop runs), ``after`` (after the event loop
    has ended), ``under-way`` (the same, with a call in flight when the event loop ends)
    or ``exit`` (at the exit of the process).
    """

    async def main() -> PlastiqSession | None:
        before = open_files()
        session = await wiring.start()
        assert open_files() == before + 2
        if moment == "under-way":
            task = wiring.start_for_good(session)
            await anyio.sleep(0.5)
            assert task
        if moment != "inside":
            return session
        del session
        gc.collect()
        # asyncio needs another step to close a connection.
        await anyio.sleep(0.1)
        assert open_files() == before
        return None

    # The first event loop opens file descriptors that stay open.
    wiring.run(anyio.lowlevel.checkpoint)
    before = open_files()
    session = wiring.run(main)
    if moment == "exit":
        _kept.append(session)
    else:
        del session
        gc.collect()
        assert open_files() == before


def fork(wiring: Wiring) -> None:
    """Use a session before and after a fork, and check that the child cannot use it."""

    async def in_child(session: PlastiqSession) -> int:
        try:
            await refuse(session, "fork")
            # Repeat in an event loop of the child process, which needs its own thread.
            again = partial(refuse, session, "fork")
            thread = threading.Thread(target=wiring.run, args=(again,))
            thread.start()
            thread.join()
        except BaseException:  # noqa: BLE001 -- pytest.fail raises a BaseException
            traceback.print_exc()
            return 1
        return 0

    async def main() -> None:
        session = await wiring.start()
        child = os.fork()
        if not child:
            os._exit(await in_child(session))
        _, status = os.waitpid(child, 0)  # noqa: ASYNC222 -- blocking is intended
        assert os.waitstatus_to_exitcode(status) == 0
        for _ in range(3):
            await session.client_secrets.create(PAYER)
        await session.aclose()

    wiring.run(main)


if __name__ == "__main__":
    program, *wires = sys.argv[1:6]
    globals()[program](Wiring(*wires), *sys.argv[6:])
