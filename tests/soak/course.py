"""The course of a soak test on one wiring: warm up, then measure repeatedly at rest."""

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
from tests.soak.report import Report, Vitals
from tests.soak.tokens import Tokens
from tests.support.ledger import GRACE, SUCCEEDED, Ledger

SAMPLES = 20
# A guest is a second, short-lived session, connected by host name, which is slower.
GUEST_CONNECTIONS = 2
CHECKS = 200
# Minimum number of seconds between two measurements.
SHORTEST = 0.2
# Plain HTTP never uses it, and loading the default CAs would be slow.
_ANY_CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_PROCESS = Path("/proc/self")


class Course:
    """A soak test of one wiring.

    Args:
        wiring: The event loop and the transport.
        seconds: Duration of the calls.
        seed: Seed of the random numbers.
        server: The server to call.

    Attributes:
        ledger: Record of all calls and complaints.
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
        """Run the soak, with a first measurement before it and a last one after it."""
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
        """Run the callers, and measure the process whenever they rest."""
        samples = []
        start = anyio.current_time()
        for number in range(SAMPLES + 1):
            # Every other period without waits, because little happens during them.
            stamina.set_testing(number % 2 == 1, attempts=100, cap=True)
            # The first third is the warm-up; the rest is divided equally.
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
        """Return the vitals once they are within `most`, or after the grace period."""
        with anyio.move_on_after(GRACE):
            # The server and cancelled tasks need a moment to finish.
            while self._take().beyond(most):  # noqa: ASYNC110 -- it has no event
                await anyio.sleep(0.05)
        vitals = self._take()
        for what in vitals.beyond(most):
            self.ledger.complain(f"at rest there are more {what} than there may be")
        self.ledger.close()
        return vitals

    def _take(self) -> Vitals:
        """Collect garbage and measure the process."""
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
        """Check that the session still works normally after the soak."""
        self._tokens.failing = False
        ledger = Ledger(MAX_RETRIES + 1)
        patient = self._gather(crowd.session, ledger)

        async def call_often() -> None:
            for _ in range(CHECKS // (2 * MAX_CONNECTIONS) + 1):
                await patient.call(patient.enter(timeout=10))

        async with anyio.create_task_group() as group:
            # Any connection may be stale, and each stale one may fail one call.
            for _ in range(2 * MAX_CONNECTIONS):
                group.start_soon(crowd.call, crowd.enter(timeout=10))
        async with anyio.create_task_group() as group:
            for _ in range(2 * MAX_CONNECTIONS):
                group.start_soon(call_often)
        if set(ledger.outcomes) != {(SUCCEEDED, 1)} or ledger.complaints:
            self.ledger.complain(f"in the end not healthy: {ledger.outcomes}")


def listen(ledger: Ledger) -> None:
    """Record warnings, logged problems and uncatchable exceptions as complaints."""

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            ledger.complain(f"logged: {record.getMessage()}")

    logging.getLogger().addHandler(Listener(logging.WARNING))
    # Warnings are expected, because the retry quota is used up now and then.
    logging.getLogger("plastiq_async").setLevel(logging.ERROR)
    sys.unraisablehook = lambda hook: ledger.complain(f"unraisable: {hook.exc_value!r}")
    warnings.simplefilter("error")
    stamina.instrumentation.set_on_retry_hooks([])


def soak(wiring: tuple[str, str], seconds: float, seed: int) -> Report:
    """Soak one wiring, in a process that does nothing else."""
    random.seed(seed)
    # If something hangs and cannot be cancelled, print its traceback and exit.
    faulthandler.dump_traceback_later(seconds + 120, exit=True)
    with chaos_server(seed) as server:
        course = Course(wiring, seconds, seed, server)
        listen(course.ledger)
        report = anyio.run(course.run, backend=wiring[0])
        gc.collect()
    faulthandler.cancel_dump_traceback_later()
    return report
