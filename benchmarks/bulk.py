"""Cost of ``create_many()``: memory growth, and CPU compared with a task group.

Run it as ``python -m benchmarks.bulk``. It fails if a limit is exceeded.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import platform
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator

import anyio
import psutil

from benchmarks.candidates import PAYER_ID, TOKEN
from benchmarks.server import running
from plastiq_async import CreateClientSecret, PlastiqSession

WORKERS = 50
ROUNDS = 7
CALLS_PER_ROUND = 3000
# Number of outcomes between two measurements of the memory.
SAMPLE = 1000
MAX_GROWTH_MB = 30
MAX_CPU_RATIO = 1.1

Run = Callable[[PlastiqSession, int], Awaitable[None]]


def payers(number: int) -> Iterator[CreateClientSecret]:
    """Yield `number` requests."""
    for _ in range(number):
        yield CreateClientSecret(payer_id=PAYER_ID)


def _rss_mb() -> float:
    return float(psutil.Process().memory_info().rss) / 2**20


async def bulk(session: PlastiqSession, calls: int) -> None:
    """Make the calls with `create_many`."""
    requests = payers(calls)
    async with session.client_secrets.create_many(requests) as outcomes:
        async for outcome in outcomes:
            if outcome.error:
                raise outcome.error


async def by_hand(session: PlastiqSession, calls: int) -> None:
    """Make the same calls with a task group of workers."""
    requests = payers(calls)

    async def work() -> None:
        for request in requests:
            await session.client_secrets.create(
                request.payer_id,
                type=request.type,
                end_user=request.end_user,
                trace_id=request.trace_id,
            )

    async with anyio.create_task_group() as group:
        for _ in range(WORKERS):
            group.start_soon(work)


async def cpu(run: Run, session: PlastiqSession) -> float:
    """Return the CPU time per call, in microseconds."""
    gc.collect()
    started = time.process_time()
    await run(session, CALLS_PER_ROUND)
    return (time.process_time() - started) / CALLS_PER_ROUND * 1e6


async def growth(session: PlastiqSession, calls: int) -> float:
    """Return the maximum growth of the process during `calls` calls, in MB."""
    gc.collect()
    before = maximum = _rss_mb()
    number = 0
    requests = payers(calls)
    async with session.client_secrets.create_many(requests) as outcomes:
        async for outcome in outcomes:
            if outcome.error:
                raise outcome.error
            number += 1
            if number % SAMPLE == 0:
                maximum = max(maximum, _rss_mb())
    if number != calls:
        msg = f"{number} outcomes of {calls} requests"
        raise RuntimeError(msg)
    return maximum - before


async def measure(url: str, calls: int) -> tuple[float, float, float, float]:
    """Return both CPU times per call in microseconds, their ratio, and the growth."""
    async with PlastiqSession(
        TOKEN, base_url=url, max_connections=WORKERS, trust_env=False
    ) as session:
        await bulk(session, CALLS_PER_ROUND)
        pairs = [
            (await cpu(bulk, session), await cpu(by_hand, session))
            for _ in range(ROUNDS)
        ]
        grown = await growth(session, calls)
    ours, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(ours / bare for ours, bare in pairs)
    return ours, bare, ratio, grown


def main() -> None:
    """Measure, print the results, and check the limits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    calls: int = parser.parse_args().calls
    with running() as server:
        ours, bare, ratio, grown = asyncio.run(measure(server.url, calls))
    print(f"Python {platform.python_version()}, {WORKERS} calls at once\n")
    print("| `create_many`, CPU us per call | workers by hand | ratio |\n|---|---|---|")
    print(f"| {ours:.0f} | {bare:.0f} | {ratio:.2f} |\n")
    print(f"{calls} payers through `create_many`: {grown:+.1f} MB")
    if ratio > MAX_CPU_RATIO or grown > MAX_GROWTH_MB:
        sys.exit(1)


if __name__ == "__main__":
    main()
