"""Callers of a session, each of whose calls is accounted for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import attrs

from plastiq_async import PlastiqError, PlastiqSession
from tests.support.ledger import SUCCEEDED, Ledger
from tests.support.sessions import ANY_CONTEXT, TOKEN
from tests.support.timing import eventually


@attrs.define(kw_only=True)
class Callers:
    """Callers of the fake of `tests.support.fake_program`, which share one session.

    Attributes:
        session: The session.
        ledger: Record of the calls.
        timeout: Timeout of each call in seconds.
    """

    session: PlastiqSession
    ledger: Ledger
    timeout: float

    @property
    def outcomes(self) -> Counter[str]:
        """Number of calls by outcome."""
        counts: Counter[str] = Counter()
        for (outcome, _), count in self.ledger.outcomes.items():
            counts[outcome] += count
        return counts

    @property
    def attempts(self) -> int:
        """Number of attempts of all calls."""
        return sum(
            attempts * count for (_, attempts), count in self.ledger.outcomes.items()
        )

    async def call(self, timeout: float | None = None) -> bool:
        """Make a call for a payer of its own, and tell whether it succeeded."""
        timeout = self.timeout if timeout is None else timeout
        entry = self.ledger.enter(uuid4(), timeout, math.inf)
        try:
            # The payer's ID is the trace ID, as the fake requires it.
            secret = await self.session.client_secrets.create(
                entry.trace_id, trace_id=entry.trace_id, timeout=timeout
            )
        except PlastiqError as error:
            self.ledger.fail(entry, error)
            return False
        self.ledger.succeed(entry, secret)
        return True

    async def call_together(
        self, callers: int, *, calls: int = 1, timeout: float | None = None
    ) -> None:
        """Let concurrent callers make some calls each, one after the other."""

        async def call_often() -> None:
            for _ in range(calls):
                await self.call(timeout)

        async with anyio.create_task_group() as group:
            for _ in range(callers):
                group.start_soon(call_often)

    @asynccontextmanager
    async def calling(self, callers: int) -> AsyncIterator[None]:
        """Let concurrent callers make calls until the end of the block."""
        leaving = False

        async def call_until_the_end() -> None:
            while not leaving:
                if not await self.call():
                    # Failed calls may be quick, and leave no time to the servers.
                    await anyio.sleep(0.1)

        async with anyio.create_task_group() as group:
            for _ in range(callers):
                group.start_soon(call_until_the_end)
            yield
            leaving = True

    async def see(self, outcome: str, count: int = 50) -> None:
        """Wait until so many more calls have this outcome."""
        wanted = self.outcomes[outcome] + count
        await eventually(lambda: self.outcomes[outcome] >= wanted)

    async def check_health(self, *, at_once: bool = True) -> None:
        """Check that calls succeed, and on fresh connections at the first attempt."""
        for stale in (True, False):
            before = self.ledger.outcomes.copy()
            await self.call_together(10)
            made = self.ledger.outcomes - before
            assert {outcome for outcome, _ in made} == {SUCCEEDED}, made
            assert stale or not at_once or set(made) == {(SUCCEEDED, 1)}, made


@asynccontextmanager
async def accounted_for(
    base_url: str,
    *,
    max_retries: int = 2,
    timeout: float = 20.0,
    healthy: bool = True,
    **options: Any,
) -> AsyncIterator[Callers]:
    """Make a session for the block, and check its calls and what it leaves behind.

    Args:
        base_url: The API base URL.
        max_retries: Retries of each call.
        timeout: Timeout of each call in seconds.
        healthy: Whether the server has no faults at the end of the block, so that calls
            must succeed at once.
        options: Other settings of the session.
    """
    before = count_descriptors()
    ledger = Ledger(max_retries + 1)
    settings: dict[str, Any] = {"verify": ANY_CONTEXT, "trust_env": False, **options}
    async with PlastiqSession(
        TOKEN, base_url=base_url, max_retries=max_retries, **settings
    ) as session:
        callers = Callers(session=session, ledger=ledger, timeout=timeout)
        yield callers
        await callers.check_health(at_once=healthy)
    ledger.close()
    assert not ledger.complaints
    # An event loop closes sockets in its next steps.
    await eventually(lambda: count_descriptors() <= before)


def count_descriptors() -> int:
    """Return the number of open file descriptors of this process."""
    # One of them is that of the listing itself.
    return len(list(Path("/proc/self/fd").iterdir())) - 1
