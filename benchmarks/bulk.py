"""What ``create_many()`` costs: memory over many payers, and CPU beside bare workers.

Run it as ``python -m benchmarks.bulk``. It fails where more is needed than is allowed.
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
# Memory is looked at after so many outcomes.
SAMPLE = 1000
MOST_GROWTH_MB = 30
MOST_CPU = 1.1

Run = Callable[[PlastiqSession, int], Awaitable[None]]


def payers(number: int) -> Iterator[CreateClientSecret]:
    """Give as many requests, one at a time."""
    for _ in range(number):
        yield CreateClientSecret(payer_id=PAYER_ID)


def _rss_mb() -> float:
    return float(psutil.Process().memory_info().rss) / 2**20


async def bulk(session: PlastiqSession, calls: int) -> None:
    """Let `create_many` do it."""
    requests = payers(calls)
    async with session.client_secrets.create_many(requests) as outcomes:
        async for outcome in outcomes:
            if outcome.error:
                raise outcome.error


async def by_hand(session: PlastiqSession, calls: int) -> None:
    """Do the same with a task group of workers, as one would write it."""
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
    """Return the CPU microseconds per call."""
    gc.collect()
    started = time.process_time()
    await run(session, CALLS_PER_ROUND)
    return (time.process_time() - started) / CALLS_PER_ROUND * 1e6


async def growth(session: PlastiqSession, calls: int) -> float:
    """Return the MB by which the process grows at most, over so many outcomes."""
    gc.collect()
    before = most = _rss_mb()
    number = 0
    requests = payers(calls)
    async with session.client_secrets.create_many(requests) as outcomes:
        async for outcome in outcomes:
            if outcome.error:
                raise outcome.error
            number += 1
            if number % SAMPLE == 0:
                most = max(most, _rss_mb())
    if number != calls:
        msg = f"{number} outcomes of {calls} requests"
        raise RuntimeError(msg)
    return most - before


async def measure(url: str, calls: int) -> tuple[float, float, float, float]:
    """Return both costs in CPU microseconds per call, their ratio, and the growth."""
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
    """Measure, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    calls: int = parser.parse_args().calls
    with running() as server:
        ours, bare, ratio, grown = asyncio.run(measure(server.url, calls))
    print(f"Python {platform.python_version()}, {WORKERS} calls at once\n")
    print("| `create_many`, CPU us per call | workers by hand | ratio |\n|---|---|---|")
    print(f"| {ours:.0f} | {bare:.0f} | {ratio:.2f} |\n")
    print(f"{calls} payers through `create_many`: {grown:+.1f} MB")
    if ratio > MOST_CPU or grown > MOST_GROWTH_MB:
        sys.exit(1)


if __name__ == "__main__":
    main()
