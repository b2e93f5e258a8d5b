"""Comparison of this library with httpx and aiohttp, as tables of medians.

Run it as ``python -m benchmarks.compare``. Each server is a process of its own. All
clients are measured in turn in one process: on loopback, with a server delay of 50 ms,
and over TLS. The last table compares the results with the goals.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import ssl
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import attrs
import trustme

from benchmarks import burst, overhead
from benchmarks.load import Cell, measure
from benchmarks.report import goals, table
from benchmarks.server import running

LOOPBACK = "loopback"
SCENARIOS = {LOOPBACK: 0.0, "server with 50 ms delay": 50.0, "TLS": 0.0}


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Return the file of a new certificate, and a context that trusts it."""
    authority = trustme.CA()
    path = folder / "certificate.pem"
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(path))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return path, context


def calls_for(scenario: str, concurrency: int, calls: int) -> int:
    """Return the number of calls per sample; smaller if the server has a delay."""
    if SCENARIOS[scenario]:
        return max(20, 8 * concurrency)
    return max(calls, 4 * concurrency)


def compare(concurrencies: list[int], calls: int, rounds: int) -> list[Cell]:
    """Measure all scenarios, and print their tables."""
    cells = []
    with tempfile.TemporaryDirectory() as folder:
        path, context = certificate(Path(folder))
        for scenario, delay in SCENARIOS.items():
            tls = path if scenario == "TLS" else None
            with running(delay, tls) as server:
                for concurrency in sorted(concurrencies):
                    cells += asyncio.run(
                        measure(
                            scenario,
                            server,
                            context if tls else True,
                            concurrency=concurrency,
                            calls=calls_for(scenario, concurrency, calls),
                            rounds=rounds,
                        )
                    )
            print(table(scenario, [c for c in cells if c.scenario == scenario]))
    return cells


def main() -> None:
    """Parse the arguments, measure, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=500, help="calls per sample")
    parser.add_argument(
        "--concurrency", type=int, nargs="+", default=[1, 10, 50, 200], metavar="C"
    )
    parser.add_argument("--quick", action="store_true", help="few calls")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.calls, options.concurrency = 1, 100, [1, 50]
    print(f"Python {platform.python_version()}, medians of {options.rounds}\n")
    bursts = []
    for name in burst.TRANSPORTS:
        # A new process, so that its memory is not affected by other measurements.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            measured = pool.submit(burst.measure_bursts, name, quick=options.quick)
            bursts.append(measured.result())
    above = asyncio.run(overhead.measure(*((200, 5) if options.quick else ())))
    cells = compare(options.concurrency, options.calls, options.rounds)
    lines = goals([c for c in cells if c.scenario == LOOPBACK], above, bursts)
    print(burst.table(bursts))
    print("\n".join(lines))
    if options.json:
        results = {
            "python": platform.python_version(),
            "cells": [attrs.asdict(cell) for cell in cells],
            "overhead": attrs.asdict(above),
            "bursts": [attrs.asdict(each) for each in bursts],
        }
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
