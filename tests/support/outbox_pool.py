"""Worker processes of the outbox example that are killed and replaced."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import attrs
from starlette.types import Message, Receive, Scope, Send

from plastiq_async.testing import FakePlastiq
from tests.support.example_processes import EXAMPLES
from tests.support.outbox_worker import GAPS_INSIDE
from tests.support.uvicorn_server import in_uvicorn

RECEIVED = "request received"
CHARGED = "payer charged"
GAPS = (*GAPS_INSIDE, RECEIVED, CHARGED)
"""Where workers are killed: where they do it themselves, and where the fake does."""

NOWHERE = "nowhere"

FOLDER = EXAMPLES / "outbox"


def start_python(*arguments: str, settings: dict[str, str]) -> subprocess.Popen[str]:
    """Start Python with environment variables, and with the example's modules."""
    paths = [str(FOLDER), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, "-W", "error", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=EXAMPLES.parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **settings},
    )


@attrs.define(eq=False)
class Worker:
    """A worker process.

    Attributes:
        process: The process.
        gap: Where it is killed, one of `GAPS`, or `NOWHERE`.
        left: How many more times it comes there, if the fake kills it.
    """

    process: subprocess.Popen[str]
    gap: str
    left: int

    def come_to(self, gap: str) -> None:
        """Kill the process if it is time to."""
        if gap == self.gap:
            self.left -= 1
            if self.left == 0:
                self.process.kill()


class WorkerPool:
    """Two workers at a time, of which each is killed and then replaced.

    Workers that nothing kills come after the last one that was to be killed.

    They reach the fake through this ASGI application, which has it drop 10 % of the
    responses after it has charged.

    Args:
        fake: The fake.
        settings: Environment variables of the workers.
        options: Further arguments of the workers.
        kills: Number of workers to kill at each gap.
        seed: Seed of what is random.

    Attributes:
        lost: Number of dropped responses.
        killed: Number of workers that were killed, by gap.
    """

    def __init__(
        self,
        fake: FakePlastiq,
        settings: dict[str, str],
        *options: str,
        kills: int,
        seed: int = 20,
    ) -> None:
        self._fake = fake
        self._settings = settings
        self._url = ""
        self._options = options
        # Each has its own, since one is used by the thread of the server.
        self._losses = random.Random(seed)  # noqa: S311 -- not for cryptography
        self._passages = random.Random(seed)  # noqa: S311 -- likewise
        self._gaps = list(GAPS * kills)
        self._workers: list[Worker] = []
        self._working: list[Worker] = []
        self.lost = 0
        self.killed = Counter[str]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request of the worker whose number begins its path."""
        number = scope["path"].split("/")[1]
        come_to = self._workers[int(number)].come_to
        pays = (scope["method"], scope["path"]) == ("POST", f"/{number}/api/payments")

        async def send_response(message: Message) -> None:
            if pays and message["type"] == "http.response.start":
                come_to(CHARGED)
            await send(message)

        if pays:
            come_to(RECEIVED)
            await anyio.sleep(0.05)
            if self._losses.random() < 0.1:
                self._fake.drop_next(after_processing=True, on="payments.create")
                self.lost += 1
        await self._fake.app(
            {**scope, "root_path": f"/{number}"}, receive, send_response
        )

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Serve the workers during the block, and kill those that are left then."""
        with in_uvicorn(self, lifespan="off", log_level="critical") as url:
            self._url = url
            try:
                yield
            finally:
                for worker in self._working:
                    worker.process.kill()
                    worker.process.communicate()

    def replace(self) -> None:
        """Replace the workers that were killed, which is the only way they may end."""
        for worker in [one for one in self._working if one.process.poll() is not None]:
            self._working.remove(worker)
            _, errors = worker.process.communicate()
            assert (worker.process.returncode, errors) == (-signal.SIGKILL, "")
            self.killed[worker.gap] += 1
        if not self._gaps and not self._working:
            self._gaps = [NOWHERE] * 2
        while self._gaps and len(self._working) < 2:
            worker = self._start(self._gaps.pop(0), self._passages.randint(1, 6))
            self._working.append(worker)

    def _start(self, gap: str, passage: int) -> Worker:
        command = ["-m", "tests.support.outbox_worker", gap, str(passage)]
        settings = {
            **self._settings,
            "PLASTIQ_BASE_URL": f"{self._url}/{len(self._workers)}/api",
            "PLASTIQ_ACCESS_TOKEN": self._fake.access_token,
        }
        process = start_python(*command, *self._options, settings=settings)
        worker = Worker(process, gap, passage)
        self._workers.append(worker)
        return worker
