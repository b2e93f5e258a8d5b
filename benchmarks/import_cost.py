"""Cost of the import and of a new session, compared with httpx.

Prints medians over interleaved rounds. Run it in an environment that contains only the
run-time dependencies, because other packages slow down `import httpx`.
"""

from __future__ import annotations

import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import httpx

import plastiq_async

ROUNDS = 15


def seconds(work: Callable[[], object]) -> float:
    """Return the duration of `work()`, in seconds."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def interpreter(code: str) -> Callable[[], object]:
    """Return a callable that runs `code` in a new interpreter."""
    return lambda: subprocess.run([sys.executable, "-c", code], check=True)


def medians(candidates: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the median duration of each candidate, in seconds."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(ROUNDS):
        for name, work in candidates.items():
            times[name].append(seconds(work))
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Measure, and print the results."""
    imports = medians(
        {
            "nothing": interpreter("pass"),
            "httpx": interpreter("import httpx"),
            "ours": interpreter("import plastiq_async"),
        }
    )
    base = imports["httpx"] - imports["nothing"]
    ours = imports["ours"] - imports["nothing"]
    sessions = medians(
        {
            "httpx": httpx.AsyncClient,
            "ours": lambda: plastiq_async.PlastiqSession("access-token"),
        }
    )
    print(f"Python {platform.python_version()}, medians of {ROUNDS}")
    print(
        f"import plastiq_async  {ours * 1e3:6.1f} ms"
        f"  = {ours / base:.2f} times import httpx ({base * 1e3:.1f} ms)"
    )
    print(
        f"PlastiqSession()      {sessions['ours'] * 1e3:6.1f} ms"
        f"  = {sessions['ours'] / sessions['httpx']:.2f} times httpx.AsyncClient()"
        f" ({sessions['httpx'] * 1e3:.1f} ms)"
    )


if __name__ == "__main__":
    main()
