"""The taskiq example, with its own Redis and worker processes."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import anyio
import attrs
import pytest

from plastiq_async import trace_context
from plastiq_async.testing import FakePlastiq
from tests.support.example_processes import EXAMPLES
from tests.support.programs import running
from tests.support.redis_program import redis_program, url_of
from tests.support.uvicorn_server import in_uvicorn

# First, because the imports take seconds.
if shutil.which("redis-server") is None:
    pytest.skip("the program redis-server is missing", allow_module_level=True)
pytest.importorskip("taskiq_redis")
redis = pytest.importorskip("redis")

pytestmark = pytest.mark.slow

EXAMPLE = EXAMPLES / "worker_taskiq.py"
GROUP = ("client-secrets", "taskiq")  # the stream and its consumer group
LIMIT = b"plastiq-async:rate-limit:plastiq"


def until(condition: Callable[[], object]) -> None:
    """Wait for other processes and threads, without an event loop."""
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio only, because taskiq requires it."""
    return "asyncio"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Start a private Redis that persists nothing."""
    with running(redis_program(tmp_path)) as server:
        url = url_of(server)
        monkeypatch.setenv("REDIS_URL", url)
        with redis.Redis.from_url(url) as client:
            yield client


@pytest.fixture
def _server(
    fake_plastiq: FakePlastiq, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Serve the fake on a socket, and pass its settings to the workers."""
    with in_uvicorn(fake_plastiq.app, lifespan="off") as url:
        monkeypatch.setenv("PLASTIQ_BASE_URL", f"{url}/api")
        monkeypatch.setenv("PLASTIQ_ACCESS_TOKEN", fake_plastiq.access_token)
        yield


@attrs.frozen
class Worker:
    """A `taskiq worker`: the process that was started, and its children."""

    main: subprocess.Popen[bytes]
    log_file: Path

    @property
    def log(self) -> str:
        """The output of all processes so far."""
        return self.log_file.read_text()

    def kill(self) -> None:
        """Kill all processes at once, as in a machine failure."""
        if self.main.poll() is None:
            os.killpg(self.main.pid, signal.SIGKILL)
            self.main.wait(10)


StartWorker = Callable[..., Worker]


@pytest.fixture
def start_worker(store: Any, _server: None, tmp_path: Path) -> Iterator[StartWorker]:
    """Start workers with full logging, and wait until they listen."""
    workers: list[Worker] = []

    def start(processes: int = 1) -> Worker:
        log_file = tmp_path / f"{len(workers)}.log"
        command = [sys.executable, "-m", "taskiq", "worker", "worker_taskiq:broker"]
        options = [f"--app-dir={EXAMPLE.parent}", f"--workers={processes}"]
        with log_file.open("wb") as log:
            main = subprocess.Popen(
                [*command, *options, "--log-level=DEBUG"],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        worker = Worker(main, log_file)
        workers.append(worker)
        until(lambda: worker.log.count("Listening started.") == processes)
        return worker

    yield start
    for worker in workers:
        worker.kill()


@pytest.fixture
async def example(store: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """Import the example afresh, as the enqueuing side."""
    monkeypatch.syspath_prepend(EXAMPLE.parent)
    monkeypatch.delitem(sys.modules, EXAMPLE.stem, raising=False)
    module = importlib.import_module(EXAMPLE.stem)
    await module.broker.startup()
    yield module
    await module.broker.shutdown()


async def enqueue(example: Any, payer_id: UUID, times: int) -> dict[UUID, Any]:
    """Enqueue a payer several times; return the tasks by trace ID."""
    tasks = {}
    for _ in range(times):
        with trace_context() as trace_id:
            tasks[trace_id] = await example.create_client_secret.kiq(str(payer_id))
    return tasks


async def test_each_payer_gets_an_answer(
    fake_plastiq: FakePlastiq, start_worker: StartWorker, store: Any
) -> None:
    """Every task gets a result, with its trace ID and no secret in the log."""
    payers = {str(fake_plastiq.add_payer()) for _ in range(10)}
    worker = start_worker(processes=2)
    command = [sys.executable, "-W", "error", str(EXAMPLE), *payers, str(uuid4())]
    with anyio.fail_after(40):
        done = await anyio.run_process(command)
    assert done.stderr == b""
    lines = done.stdout.decode().splitlines()
    assert sum(" expires at " in line for line in lines) == 10
    assert sum(" 400 VALIDATION_ERROR: " in line for line in lines) == 1
    requests = fake_plastiq.requests
    assert payers < {json.loads(one.body)["payer"]["id"] for one in requests}
    assert {UUID(line.split()[0]) for line in lines} == {
        request.trace_id for request in requests
    }
    assert len(requests) == 11
    assert worker.log.count("session for ") == 2
    assert "Traceback" not in worker.log
    # Only the stream is left, and all its entries have been acknowledged. The limit of
    # requests is left for some seconds.
    assert store.ttl(LIMIT) <= 5
    store.delete(LIMIT)
    assert store.keys() == [b"client-secrets"]
    assert store.xpending(*GROUP)["pending"] == 0
    shown = f"{worker.log} {lines} {store.xrange('client-secrets')}"
    assert len(fake_plastiq.secrets) == 10
    for secret in (*fake_plastiq.secrets, fake_plastiq.access_token):
        assert secret not in shown


async def test_results_go(
    example: Any, fake_plastiq: FakePlastiq, start_worker: StartWorker, store: Any
) -> None:
    """A result is deleted before its secret expires, and once it has been read."""
    start_worker()
    fake_plastiq.delay_next(2)
    (task,) = (await enqueue(example, fake_plastiq.payer_id, 1)).values()
    key = f"client-secret:{task.task_id}"
    until(lambda: store.exists(key))
    goes = time.time() + store.pttl(key) / 1000
    stored = json.loads(store.get(key))["return_value"]
    answer = (await task.get_result()).return_value
    assert answer == stored
    assert not store.exists(key)
    secret = answer["client_secret"]
    assert goes < fake_plastiq.secrets[secret].issued_at.timestamp() + 60
    assert fake_plastiq.redeem(secret) == fake_plastiq.payer_id


async def test_killed_worker(
    example: Any, fake_plastiq: FakePlastiq, start_worker: StartWorker
) -> None:
    """Another worker finishes the task of a killed one, without a new task."""
    worker = start_worker()
    fake_plastiq.delay_next(4, times=12)
    tasks = await enqueue(example, fake_plastiq.payer_id, 12)
    until(lambda: len(fake_plastiq.requests) == 12)
    worker.kill()
    start_worker()
    for task in tasks.values():
        result = await task.wait_result(check_interval=0.05, timeout=40)
        assert "client_secret" in result.return_value
    seen = [request.trace_id for request in fake_plastiq.requests]
    assert len(seen) > 12
    assert set(seen) == set(tasks)


async def test_backlog(
    example: Any, fake_plastiq: FakePlastiq, start_worker: StartWorker
) -> None:
    """Tasks that come faster than the limit wait for their turn, and none fails."""
    fake_plastiq.limit_requests(example.MAX_REQUESTS_PER_MINUTE)
    start_worker()
    tasks = await enqueue(example, fake_plastiq.payer_id, 60)
    for task in tasks.values():
        result = await task.wait_result(check_interval=0.05, timeout=40)
        assert "client_secret" in result.return_value
    assert len(fake_plastiq.requests) == 60


async def test_stopped_worker(
    example: Any, fake_plastiq: FakePlastiq, start_worker: StartWorker, store: Any
) -> None:
    """On SIGTERM a worker finishes its task and closes its session."""
    worker = start_worker()
    fake_plastiq.delay_next(3, times=5)
    tasks = await enqueue(example, fake_plastiq.payer_id, 5)
    until(lambda: len(fake_plastiq.requests) == 5)
    assert not any([await task.is_ready() for task in tasks.values()])
    worker.main.terminate()
    assert worker.main.wait(40) == 0
    for task in tasks.values():
        assert "client_secret" in (await task.get_result()).return_value
    assert store.xpending(*GROUP)["pending"] == 0
    assert len(fake_plastiq.requests) == 5
    assert not re.search("Traceback|ERROR", worker.log)
    # The session was closed, which the exit of the process alone does not prove.
    opened, closed = map(worker.log.count, ("connect_tcp.complete", "close.complete"))
    assert opened == closed == 5


async def test_too_late(
    example: Any,
    fake_plastiq: FakePlastiq,
    start_worker: StartWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No secret is created if the result is no longer awaited."""
    monkeypatch.setattr(example, "RESULT_TIMEOUT", 0)
    (task,) = (await enqueue(example, fake_plastiq.payer_id, 1)).values()
    start_worker()
    result = await task.wait_result(timeout=40)
    assert result.return_value == {"error": "too late"}
    assert fake_plastiq.requests == []
