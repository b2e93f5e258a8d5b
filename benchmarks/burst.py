"""Bursts and long loops of calls: errors, event loop stalls, memory, leaks.

Run it as ``python -m benchmarks.burst``; ``--calls 1000000`` for the long loop.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import platform
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import get_args

import attrs
import psutil

from benchmarks.candidates import PAYER_ID, TOKEN
from benchmarks.load import run
from benchmarks.server import running
from plastiq_async import PlastiqSession
from plastiq_async._transport.make import TransportName

TRANSPORTS: tuple[TransportName, ...] = get_args(TransportName)
AT_ONCE = 1000
WAITING = 10_000
CONNECTIONS = 100
SERVER_MS = 100.0
TICK = 0.002
INTERVALS = 10
# Number of intervals after which memory must not grow.
WARM_UP = 3
MAX_GROWTH_KB = 1024


@attrs.frozen(kw_only=True)
class Burst:
    """Results of the bursts with one transport.

    Attributes:
        transport: The name of the transport.
        errors: The number of failed calls of a burst of `AT_ONCE` calls.
        seconds: The duration of that burst; 1 is ideal.
        stall_ms: The longest stall of the event loop during that burst.
        waiting: The number of concurrent calls of the larger burst.
        waiting_errors: The number of failed calls of the larger burst.
        waiting_kb: The peak memory per call of the larger burst.
    """

    transport: str
    errors: int
    seconds: float
    stall_ms: float
    waiting: int
    waiting_errors: int
    waiting_kb: float


@attrs.frozen
class Sample:
    """State of the process during the long loop."""

    calls: int
    rss_kb: int
    descriptors: int


def _rss_kb() -> int:
    return int(psutil.Process().memory_info().rss) // 1024


def _session(url: str, transport: TransportName, timeout: float) -> PlastiqSession:
    return PlastiqSession(
        TOKEN,
        base_url=url,
        transport=transport,
        max_connections=CONNECTIONS,
        timeout=timeout,
        trust_env=False,
    )


async def _watch(stalls: list[float], memory: list[int]) -> None:
    """Record the delay of each timer and the memory in use, until cancelled."""
    last = time.perf_counter()
    while True:
        await asyncio.sleep(TICK)
        now = time.perf_counter()
        stalls.append(now - last - TICK)
        memory.append(_rss_kb())
        # Excludes the time of the measurement itself.
        last = time.perf_counter()


async def _at_once(
    session: PlastiqSession, calls: int
) -> tuple[int, float, float, int]:
    """Return the errors, the duration and longest stall in seconds, the peak in KB."""
    stalls: list[float] = []
    memory: list[int] = []
    watcher = asyncio.create_task(_watch(stalls, memory))
    await asyncio.sleep(2 * TICK)
    started = time.perf_counter()
    results = await asyncio.gather(
        *(session.client_secrets.create(PAYER_ID) for _ in range(calls)),
        return_exceptions=True,
    )
    seconds = time.perf_counter() - started
    await asyncio.sleep(2 * TICK)
    watcher.cancel()
    errors = sum(isinstance(result, BaseException) for result in results)
    return errors, seconds, max(stalls), max(memory)


async def _measure_bursts(url: str, transport: TransportName, waiting: int) -> Burst:
    async with _session(url, transport, 120.0) as session:
        # Open all connections first, so that the growth is due to waiting calls.
        await _at_once(session, CONNECTIONS)
        gc.collect()
        before = _rss_kb()
        waiting_errors, _, _, peak = await _at_once(session, waiting)
    gc.collect()
    async with _session(url, transport, 30.0) as session:
        errors, seconds, stall, _ = await _at_once(session, AT_ONCE)
    return Burst(
        transport=transport,
        errors=errors,
        seconds=seconds,
        stall_ms=stall * 1e3,
        waiting=waiting,
        waiting_errors=waiting_errors,
        waiting_kb=(peak - before) / waiting,
    )


def measure_bursts(transport: TransportName, *, quick: bool = False) -> Burst:
    """Measure the bursts with `transport`; call this in a new process."""
    with running(SERVER_MS) as server:
        waiting = WAITING // 10 if quick else WAITING
        return asyncio.run(_measure_bursts(server.url, transport, waiting))


async def _loop(url: str, transport: TransportName, calls: int) -> list[Sample]:
    samples = []
    async with _session(url, transport, 30.0) as session:
        for number in range(1, INTERVALS + 1):
            each = calls // INTERVALS
            await run(lambda: session.client_secrets.create(PAYER_ID), each, 50)
            gc.collect()
            descriptors = psutil.Process().num_fds()
            samples.append(Sample(number * each, _rss_kb(), descriptors))
    return samples


def measure_loop(transport: TransportName, calls: int) -> list[Sample]:
    """Make `calls` calls, 50 at a time, and sample the process at intervals."""
    with running() as server:
        return asyncio.run(_loop(server.url, transport, calls))


def is_flat(samples: list[Sample]) -> bool:
    """Return whether memory and descriptors did not grow after the warm-up."""
    warm, last = samples[WARM_UP - 1], samples[-1]
    return (
        last.rss_kb - warm.rss_kb <= MAX_GROWTH_KB
        and last.descriptors <= warm.descriptors
    )


def table(bursts: list[Burst]) -> str:
    """Return the Markdown table of the bursts."""
    head = (
        f"| transport | {AT_ONCE} at once: errors | seconds (ideal 1.0) "
        "| longest stall, ms | calls waiting | errors | KB each |"
    )
    return "\n".join(
        (
            "### Bursts\n",
            head,
            "|---|---|---|---|---|---|---|",
            *(
                f"| {burst.transport} | {burst.errors} | {burst.seconds:.2f} "
                f"| {burst.stall_ms:.0f} | {burst.waiting} | {burst.waiting_errors} "
                f"| {burst.waiting_kb:.1f} |"
                for burst in bursts
            ),
            "",
        )
    )


def main() -> None:
    """Measure both transports, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000, help="of the long loop")
    parser.add_argument("--quick", action="store_true", help="few calls")
    options = parser.parse_args()
    calls = 2000 if options.quick else options.calls
    print(f"Python {platform.python_version()}\n")
    bursts, loops = [], {}
    for name in TRANSPORTS:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            burst = pool.submit(measure_bursts, name, quick=options.quick)
            bursts.append(burst.result())
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            loops[name] = pool.submit(measure_loop, name, calls).result()
    print(table(bursts))
    for name, samples in loops.items():
        flat = "flat" if is_flat(samples) else "NOT FLAT"
        print(f"### {calls} calls, {name}: {flat}\n")
        print("| calls | RSS KB | descriptors |\n|---|---|---|")
        for sample in samples:
            print(f"| {sample.calls} | {sample.rss_kb} | {sample.descriptors} |")
        print()
    if not all(map(is_flat, loops.values())):
        sys.exit(1)


if __name__ == "__main__":
    main()
