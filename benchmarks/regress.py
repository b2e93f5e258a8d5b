"""Compare the CPU time of `create()` with that of an earlier commit, in one process.

Both versions are imported side by side and measured in interleaved pairs, so that a
busy machine slows both alike. Prints the ratio of each pair's CPU times as its median
and the interval from the second smallest to the second largest.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import io
import platform
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import ModuleType

from benchmarks.load import run
from benchmarks.server import running

PAYER_ID = "9a3ea4ab-8ac5-4c4b-a1e5-6f7b0a2ad2a4"
PACKAGE = "plastiq_async"
PAIRS = 11

Call = Callable[[], Awaitable[object]]


def import_from(source: Path) -> ModuleType:
    """Import the package from the folder `source`, and make room for another one."""
    sys.path.insert(0, str(source))
    try:
        module = __import__(PACKAGE)
        __import__(f"{PACKAGE}._session")
    finally:
        sys.path.remove(str(source))
    return module


def forget() -> dict[str, ModuleType]:
    """Remove the package from the imported modules, and return what was removed."""
    names = [name for name in sys.modules if name.partition(".")[0] == PACKAGE]
    return {name: sys.modules.pop(name) for name in names}


async def open_call(
    stack: AsyncExitStack, package: ModuleType, url: str, transport: str, limit: int
) -> Call:
    """Open a session of `package`, and return its call."""
    session = package.PlastiqSession(
        "token",
        base_url=url,
        max_connections=limit,
        trust_env=False,
        transport=transport,
        verify=False,
    )
    await stack.enter_async_context(session)
    await session.client_secrets.create(PAYER_ID)
    call: Call = lambda: session.client_secrets.create(PAYER_ID)  # noqa: E731
    return call


async def cpu_of(call: Call, calls: int, concurrency: int) -> float:
    """Return the CPU seconds of one call."""
    gc.collect()
    started = 0.0

    def begin() -> None:
        nonlocal started
        started = time.process_time()

    await run(call, calls, concurrency, ramp=2 * concurrency, begin=begin)
    return (time.process_time() - started) / calls


async def compare(old: Path, new: Path, calls: int) -> None:
    """Measure both versions, and print a line for each transport and concurrency."""
    before = import_from(old)
    url = ""
    with running() as server:
        url = server.url
        for transport in ("httpx", "aiohttp"):
            for concurrency in (1, 50):
                async with AsyncExitStack() as stack:
                    forget()
                    before = import_from(old)
                    old_call = await open_call(
                        stack, before, url, transport, concurrency
                    )
                    forget()
                    after = import_from(new)
                    new_call = await open_call(
                        stack, after, url, transport, concurrency
                    )
                    ratios, costs = [], []
                    for number in range(PAIRS + 1):
                        order = [old_call, new_call][:: 1 if number % 2 else -1]
                        taken = {
                            call: await cpu_of(call, calls, concurrency)
                            for call in order
                        }
                        ratios.append(taken[new_call] / taken[old_call])
                        costs.append(taken[new_call])
                ratios = sorted(ratios[1:])  # the first pair warms up
                median, cost = statistics.median(ratios), statistics.median(costs)
                print(
                    f"{transport:8} C={concurrency:<3} median {median:.3f}, interval "
                    f"{ratios[1]:.3f} to {ratios[-2]:.3f}, {cost * 1e6:.0f} us a call",
                    flush=True,
                )


def main() -> None:
    """Read the arguments, unpack the earlier commit, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commit", help="such as 4d1833b")
    parser.add_argument("--calls", type=int, default=500)
    arguments = parser.parse_args()
    root = Path(__file__).parents[1]
    archive = subprocess.run(
        ["git", "archive", arguments.commit, "src"],  # noqa: S607
        cwd=root,
        check=True,
        capture_output=True,
    ).stdout
    print(f"CPython {platform.python_version()}, against {arguments.commit}")
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
        asyncio.run(compare(Path(folder, "src"), root / "src", arguments.calls))


if __name__ == "__main__":
    main()
