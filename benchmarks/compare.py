"""Compares this library with what one would use instead: prints tables of medians.

Run it as ``python -m benchmarks.compare``. It starts its own servers, each a process of
its own, and measures all candidates in turn in one process: without and with a delay
of 50 ms in the server, and over TLS. At the end it holds the goals against the results.
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
    """Return a new certificate's file in `folder`, and the context that trusts it."""
    authority = trustme.CA()
    path = folder / "certificate.pem"
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(path))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return path, context


def calls_for(scenario: str, concurrency: int, calls: int) -> int:
    """Return how many calls make a sample: fewer where the server makes them wait."""
    if SCENARIOS[scenario]:
        return max(20, 8 * concurrency)
    return max(calls, 4 * concurrency)


def compare(concurrencies: list[int], calls: int, rounds: int) -> list[Cell]:
    """Measure all scenarios."""
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
    """Read the arguments, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=500, help="in each sample")
    parser.add_argument(
        "--concurrency", type=int, nargs="+", default=[1, 10, 50, 200], metavar="C"
    )
    parser.add_argument("--quick", action="store_true", help="a look, in seconds")
    parser.add_argument("--json", type=Path, help="where to write the results")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.calls, options.concurrency = 1, 100, [1, 50]
    print(f"Python {platform.python_version()}, medians of {options.rounds}\n")
    bursts = []
    for name in burst.TRANSPORTS:
        # In a process of its own, whose memory nothing else has been through.
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
