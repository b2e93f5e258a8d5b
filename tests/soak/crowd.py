"""Callers that cancel their calls, and the record of each call's outcome.

The result or error of a call is recorded where the call is made. Its cancellation is
recorded by the code outside that sees it. A call that does both therefore has two
outcomes, and one that does neither has none.
"""

from __future__ import annotations

import asyncio
import math
import random
import traceback
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from uuid import UUID

import anyio
import attrs

from plastiq_async import (
    CreateClientSecret,
    Failed,
    PlastiqError,
    PlastiqSession,
    SessionStateError,
    Succeeded,
    trace_context,
)
from tests.soak.tokens import TokenError
from tests.support.ledger import GRACE, Entry, Ledger
from tests.support.sessions import PAYER

CALLERS = 48
MAX_CONNECTIONS = 16
TIMEOUT = 1.0
ENDLESS = 60.0
MAX_RETRIES = 2
# Concurrent calls of a caller that makes more than one.
SEVERAL = 4


@attrs.define(kw_only=True)
class Crowd:
    """The callers of one session.

    Args:
        backend: The event loop.
        session: The session that all callers share.
        connect_guest: Makes another, short-lived session.
        ledger: Record of the calls.
        random: Source of all random decisions.

    Attributes:
        busy: Number of callers that are making calls.
        doors: Set while callers may start calls.
    """

    backend: str
    session: PlastiqSession
    connect_guest: Callable[[], PlastiqSession]
    ledger: Ledger
    random: random.Random
    busy: int = 0
    doors: anyio.Event = attrs.field(factory=anyio.Event)

    async def caller(self) -> None:
        """Make calls in random ways while `doors` is set."""
        manners = [
            *(self.patient, self.hurried, self.scoped),
            *(self.grouped, self.in_bulk, self.guest),
        ]
        if self.backend == "asyncio":
            manners += [self.waited_for, self.killed, self.killed_guest]
        while True:
            await self.doors.wait()
            self.busy += 1
            try:
                await self.random.choice(manners)()
            except BaseException as error:  # noqa: BLE001 -- each is a complaint
                story = "".join(
                    traceback.format_exception(None, error, error.__traceback__)
                )
                self.ledger.complain(f"not to be raised by a call:\n{story}")
            finally:
                self.busy -= 1

    async def rest(self) -> None:
        """Stop new calls, and wait until all callers are done or overdue."""
        self.doors = anyio.Event()
        with anyio.move_on_after(TIMEOUT + 2 * GRACE):
            while self.busy:  # noqa: ASYNC110 -- it has no event
                await anyio.sleep(0.01)

    async def patient(self) -> None:
        """Make a call and wait for its outcome."""
        await self.call(self.enter())

    async def hurried(self) -> None:
        """Make a call with a short timeout."""
        await self.call(self.enter(timeout=self.short()))

    async def scoped(self) -> None:
        """Make a call in a cancel scope with a short deadline."""
        entry = self.be_impatient(self.short())
        with anyio.move_on_after(entry.patience) as scope:
            await self.call(entry)
        if scope.cancelled_caught:
            self.ledger.cancel(entry)

    async def grouped(self) -> None:
        """Start several calls in a task group, and cancel the group."""
        patience = self.short()
        entries = [self.be_impatient(patience) for _ in range(SEVERAL)]
        async with anyio.create_task_group() as group:
            for entry in entries:
                group.start_soon(self.call, entry)
            await anyio.sleep(patience)
            group.cancel_scope.cancel()
        self.cancel_rest(entries)

    async def in_bulk(self) -> None:
        """Make calls in bulk, and sometimes leave before all are done."""
        entries: list[Entry] = []
        patience, left = self.short(), False

        def requests() -> Iterator[CreateClientSecret]:
            for _ in range(SEVERAL):
                entries.append(self.enter(patience=patience))
                trace_id = entries[-1].trace_id
                yield CreateClientSecret(payer_id=PAYER, trace_id=trace_id)

        bulk = self.session.client_secrets.create_many(requests(), concurrency=2)
        with anyio.move_on_after(patience) as scope:
            async with bulk as outcomes:
                async for outcome in outcomes:
                    (entry,) = (
                        one
                        for one in entries
                        if one.trace_id == outcome.request.trace_id
                    )
                    match outcome:
                        case Succeeded(result=secret):
                            self.ledger.succeed(entry, secret)
                        case Failed(error=error):
                            self.ledger.fail(entry, error)
                    if left := self.random.random() < 0.1:
                        break
        if left or scope.cancelled_caught:
            self.cancel_rest(entries)

    async def guest(self) -> None:
        """Close a session while its calls are in flight, or cancel its block."""
        patience = self.short()
        entries = [self.be_impatient(patience) for _ in range(SEVERAL)]
        leave = self.random.random() < 0.5
        async with (
            anyio.create_task_group() as group,
            self.connect_guest() as session,
        ):
            for entry in entries:
                group.start_soon(self.call, entry, session)
            await anyio.sleep(patience)
            if leave:
                group.cancel_scope.cancel()
        if leave:
            self.cancel_rest(entries)

    async def waited_for(self) -> None:
        """Cancel the call as `asyncio.wait_for` does."""
        entry = self.be_impatient(self.short())
        try:
            await asyncio.wait_for(self.call(entry), entry.patience)
        except TimeoutError:
            self.ledger.cancel(entry)

    async def killed(self) -> None:
        """Cancel the call's task at any step, sometimes twice."""
        entry = self.be_impatient(self.short())
        if await self._kill(self.call(entry), entry.patience):
            self.ledger.cancel(entry)

    async def killed_guest(self) -> None:
        """Cancel a task that has its own session open."""
        entry = self.be_impatient(self.short())

        async def visit() -> None:
            async with self.connect_guest() as session:
                await self.call(entry, session)

        if await self._kill(visit(), entry.patience) and entry.outcome is None:
            self.ledger.cancel(entry)

    async def _kill(self, visit: Coroutine[None, None, None], patience: float) -> bool:
        """Cancel a task after a random time; tell whether it ended as cancelled."""
        task = asyncio.ensure_future(visit)
        if self.random.random() < 0.5:
            for _ in range(self.random.randrange(40)):
                await asyncio.sleep(0)
        else:
            await asyncio.wait([task], timeout=patience)
        asked = task.cancel()
        if self.random.random() < 0.5:
            for _ in range(self.random.randrange(3)):
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.wait([task])
        if asked and not task.cancelled():
            self.ledger.complain("a call swallowed its cancellation")
        return task.cancelled()

    def enter(self, timeout: float = TIMEOUT, patience: float = math.inf) -> Entry:
        """Open the entry of a call."""
        trace_id = UUID(int=self.random.getrandbits(128), version=4)
        return self.ledger.enter(trace_id, timeout, patience)

    def be_impatient(self, patience: float) -> Entry:
        """Open the entry of a call that only its caller ends in time."""
        return self.enter(ENDLESS, patience)

    def cancel_rest(self, entries: list[Entry]) -> None:
        """Settle the calls that have no outcome yet as cancelled."""
        for entry in entries:
            if entry.outcome is None:
                self.ledger.cancel(entry)

    def short(self) -> float:
        """Return a random time in seconds, mostly too short for a call."""
        return math.exp(self.random.uniform(-9, -1))

    async def call(self, entry: Entry, session: PlastiqSession | None = None) -> None:
        """Make a call, and settle it unless it is cancelled."""
        chosen = session or self.session
        create = partial(chosen.client_secrets.create, PAYER, timeout=entry.timeout)
        try:
            if self.random.random() < 0.5:
                secret = await create(trace_id=entry.trace_id)
            else:
                with trace_context(entry.trace_id):
                    secret = await create()
        except (PlastiqError, TokenError) as error:
            if isinstance(error, SessionStateError) and chosen is self.session:
                self.ledger.complain("an open session said that it was closed")
            self.ledger.fail(entry, error)
        else:
            self.ledger.succeed(entry, secret)
