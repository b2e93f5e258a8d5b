"""Load generator and measurement of the clients, interleaved in one process."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from ssl import SSLContext

import attrs
import psutil

from benchmarks.candidates import CANDIDATES, Call
from benchmarks.server import Running

WARM_UP = 100
# Number of uncounted calls per caller at the start of each sample.
RAMP_TURNS = 2


@attrs.frozen(kw_only=True)
class Cell:
    """Results of one client at one concurrency.

    Attributes:
        scenario: The name of the scenario.
        concurrency: The number of concurrent calls.
        candidate: The name of the client.
        cpu_us: The CPU time of the client process per call, in microseconds.
        per_second: The number of calls per second.
        p50_ms: The median latency, in milliseconds.
        p99_ms: The 99th percentile of the latency, in milliseconds.
        server_share: The server's utilisation of its core, from 0 to 1.
    """

    scenario: str
    concurrency: int
    candidate: str
    cpu_us: float
    per_second: float
    p50_ms: float
    p99_ms: float
    server_share: float


async def _work(call: Call, turns: Iterator[int], latencies: list[float]) -> None:
    clock = time.perf_counter
    for _ in turns:
        started = clock()
        await call()
        latencies.append(clock() - started)


async def run(
    call: Call,
    calls: int,
    concurrency: int,
    *,
    ramp: int = 0,
    begin: Callable[[], object] = lambda: None,
) -> list[float]:
    """Make calls, `concurrency` at a time, and return their latencies in seconds.

    Args:
        call: The async function to call.
        calls: The number of counted calls.
        concurrency: The number of concurrent calls.
        ramp: The number of uncounted calls at the start.
        begin: Called before the first counted call.
    """
    latencies: list[float] = []

    def turns() -> Iterator[int]:
        for number in range(ramp + calls):
            if number == ramp:
                latencies.clear()
                begin()
            yield number

    shared = turns()
    await asyncio.gather(*(_work(call, shared, latencies) for _ in range(concurrency)))
    return latencies


async def _sample(
    call: Call, calls: int, concurrency: int, server: psutil.Process
) -> tuple[float, ...]:
    """Return the figures of one round, in the order of the attributes of `Cell`."""

    def clocks() -> tuple[float, float, float]:
        times = server.cpu_times()
        return time.perf_counter(), time.process_time(), times.user + times.system

    before = clocks()

    def begin() -> None:
        nonlocal before
        before = clocks()

    gc.collect()
    ramp = RAMP_TURNS * concurrency
    latencies = await run(call, calls, concurrency, ramp=ramp, begin=begin)
    elapsed, cpu, server_cpu = (
        now - then for now, then in zip(clocks(), before, strict=True)
    )
    percentiles = statistics.quantiles(latencies, n=100)
    return (
        cpu / calls * 1e6,
        calls / elapsed,
        percentiles[49] * 1e3,
        percentiles[98] * 1e3,
        server_cpu / elapsed,
    )


async def measure(
    scenario: str,
    server: Running,
    verify: SSLContext | bool,
    *,
    concurrency: int,
    calls: int,
    rounds: int,
) -> list[Cell]:
    """Return the medians of all clients over `rounds` interleaved rounds."""
    process = psutil.Process(server.pid)
    samples: dict[str, list[tuple[float, ...]]] = {name: [] for name in CANDIDATES}
    async with AsyncExitStack() as stack:
        opened: list[tuple[str, Call]] = []
        for name, candidate in CANDIDATES.items():
            call = await stack.enter_async_context(
                candidate(server.url, verify, concurrency)
            )
            await run(call, max(WARM_UP, 2 * concurrency), concurrency)
            opened.append((name, call))
        for number in range(rounds):
            # Each round starts with another client.
            first = number % len(opened)
            for name, call in opened[first:] + opened[:first]:
                figures = await _sample(call, calls, concurrency, process)
                samples[name].append(figures)
    cells = []
    for name, rows in samples.items():
        columns = zip(*rows, strict=True)
        cpu, rate, p50, p99, share = (statistics.median(column) for column in columns)
        cells.append(
            Cell(
                scenario=scenario,
                concurrency=concurrency,
                candidate=name,
                cpu_us=cpu,
                per_second=rate,
                p50_ms=p50,
                p99_ms=p99,
                server_share=share,
            )
        )
    return cells
