"""The course of a soak on one wiring: warm up, look at it at rest, again and again."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import logging
import random
import resource
import ssl
import sys
import warnings
from functools import partial
from pathlib import Path

import anyio
import stamina
import stamina.instrumentation
import trio

from plastiq_async import PlastiqSession
from tests.soak.chaos import ChaosServer, chaos_server
from tests.soak.crowd import (
    CALLERS,
    MAX_CONNECTIONS,
    MAX_RETRIES,
    TIMEOUT,
    Crowd,
)
from tests.soak.ledger import GRACE, SUCCEEDED, Ledger
from tests.soak.report import Report, Vitals
from tests.soak.tokens import Tokens

SAMPLES = 20
# A guest is a session beside the main one; it is reached by name, which takes longer.
GUEST_CONNECTIONS = 2
CHECKS = 200
# Seconds between two looks at it.
SHORTEST = 0.2
# Over plain http none is used; to make one with all the usual CAs takes a while.
_ANY_CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_PROCESS = Path("/proc/self")


class Course:
    """One soak.

    Args:
        wiring: The event loop and the transport.
        seconds: For how long the callers call.
        seed: Of all that is random.
        server: Whom they call.

    Attributes:
        ledger: Where it is all written down.
    """

    def __init__(
        self, wiring: tuple[str, str], seconds: float, seed: int, server: ChaosServer
    ) -> None:
        self._backend, self._transport = wiring
        self._seconds = seconds
        self._server = server
        self._random = random.Random(seed)  # noqa: S311 -- to be repeated, not secret
        self.ledger = Ledger(MAX_RETRIES + 1)
        self._tokens = Tokens(ledger=self.ledger, random=self._random)
        self._samples: list[Vitals] = []

    async def run(self) -> Report:
        """Run it, from one look at the process before all else to one after it."""
        before = self._take()
        resting = before.plus(connections=MAX_CONNECTIONS, tasks=CALLERS)
        async with self._connect(MAX_CONNECTIONS, "127.0.0.1") as session:
            crowd = self._gather(session, self.ledger)
            async with anyio.create_task_group() as group:
                for _ in range(CALLERS):
                    group.start_soon(crowd.caller)
                samples = await self._watch(crowd, resting)
                group.cancel_scope.cancel()
            await self._check_health(crowd)
        after = await self._settle(before)
        state = self._server.ask(calm=True)
        for complaint in state.complaints:
            self.ledger.complain(complaint)
        return Report(
            wiring=f"{self._backend}-{self._transport}",
            seconds=self._seconds,
            outcomes=self.ledger.outcomes,
            complaints=self.ledger.complaints,
            samples=[before, *samples, after],
            seen=state.seen,
        )

    def _gather(self, session: PlastiqSession, ledger: Ledger) -> Crowd:
        return Crowd(
            backend=self._backend,
            session=session,
            connect_guest=partial(self._connect, GUEST_CONNECTIONS, "localhost"),
            ledger=ledger,
            random=self._random,
        )

    def _connect(self, max_connections: int, host: str) -> PlastiqSession:
        return PlastiqSession(
            self._tokens.for_session(),
            base_url=f"http://{host}:{self._server.port}/api",
            timeout=TIMEOUT,
            max_retries=MAX_RETRIES,
            max_connections=max_connections,
            transport=self._transport,  # type: ignore[arg-type]  # one of its names
            verify=_ANY_CONTEXT,
        )

    async def _watch(self, crowd: Crowd, resting: Vitals) -> list[Vitals]:
        """Let the callers loose, and look at what they leave whenever they rest."""
        samples = []
        start = anyio.current_time()
        for number in range(SAMPLES + 1):
            # Every other time without the waits, in which nothing much can happen.
            stamina.set_testing(number % 2 == 1, attempts=100, cap=True)
            # A third to warm up, and the rest in equal parts.
            end = start + self._seconds * (1 + 2 * number / SAMPLES) / 3
            self._server.ask(calm=False)
            crowd.doors.set()
            await anyio.sleep(max(SHORTEST, end - anyio.current_time()))
            self._server.ask(calm=True)
            await crowd.rest()
            samples.append(await self._settle(resting))
            if crowd.busy:
                self.ledger.complain(f"{crowd.busy} callers hang")
                break
        return samples

    async def _settle(self, most: Vitals) -> Vitals:
        """Return the vitals, once they are not above `most`, or not at all soon."""
        with anyio.move_on_after(GRACE):
            # The other side, and tasks that were cancelled, take a moment.
            while self._take().beyond(most):  # noqa: ASYNC110 -- it has no event
                await anyio.sleep(0.05)
        vitals = self._take()
        for what in vitals.beyond(most):
            self.ledger.complain(f"at rest there are more {what} than there may be")
        self.ledger.close()
        return vitals

    def _take(self) -> Vitals:
        """Look at the process, after the garbage is collected."""
        gc.collect()
        pages = int((_PROCESS / "statm").read_text().split()[1])
        return Vitals(
            rss_kb=pages * resource.getpagesize() // 1024,
            blocks=sys.getallocatedblocks(),
            descriptors=len(list((_PROCESS / "fd").iterdir())),
            tasks=(
                trio.lowlevel.current_statistics().tasks_living
                if self._backend == "trio"
                else len(asyncio.all_tasks())
            ),
            connections=self._server.ask(calm=True).connections,
        )

    async def _check_health(self, crowd: Crowd) -> None:
        """Make sure that after all this the session works as on its first day."""
        self._tokens.failing = False
        ledger = Ledger(MAX_RETRIES + 1)
        patient = self._gather(crowd.session, ledger)

        async def call_often() -> None:
            for _ in range(CHECKS // (2 * MAX_CONNECTIONS) + 1):
                await patient.call(patient.enter(timeout=10))

        async with anyio.create_task_group() as group:
            # Any connection may have grown stale: each serves one call that may fail.
            for _ in range(2 * MAX_CONNECTIONS):
                group.start_soon(crowd.call, crowd.enter(timeout=10))
        async with anyio.create_task_group() as group:
            for _ in range(2 * MAX_CONNECTIONS):
                group.start_soon(call_often)
        if set(ledger.outcomes) != {(SUCCEEDED, 1)} or ledger.complaints:
            self.ledger.complain(f"in the end not healthy: {ledger.outcomes}")


def listen(ledger: Ledger) -> None:
    """Have `ledger` hear of warnings, logged problems, and what no caller can catch."""

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            ledger.complain(f"logged: {record.getMessage()}")

    logging.getLogger().addHandler(Listener(logging.WARNING))
    # Not a problem, but what is to happen: the retry quota is used up now and then.
    logging.getLogger("plastiq_async").setLevel(logging.ERROR)
    sys.unraisablehook = lambda hook: ledger.complain(f"unraisable: {hook.exc_value!r}")
    warnings.simplefilter("error")
    stamina.instrumentation.set_on_retry_hooks([])


def soak(wiring: tuple[str, str], seconds: float, seed: int) -> Report:
    """Soak one wiring, in a process that does nothing else."""
    random.seed(seed)
    # What hangs so hard that it cannot be cancelled shows where, and fails.
    faulthandler.dump_traceback_later(seconds + 120, exit=True)
    with chaos_server(seed) as server:
        course = Course(wiring, seconds, seed, server)
        listen(course.ledger)
        report = anyio.run(course.run, backend=wiring[0])
        gc.collect()
    faulthandler.cancel_dump_traceback_later()
    return report
