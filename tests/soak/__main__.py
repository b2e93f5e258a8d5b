"""Soak test: random faults and cancellations, with an outcome recorded for every call.

Run it as ``python -m tests.soak --minutes 12``, on Linux, from the repository's root.
"""

from __future__ import annotations

import argparse
import platform
import random
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.soak.course import soak
from tests.support.wirings import WIRINGS


def main() -> None:
    """Soak each wiring in its own process, and print the reports."""
    names = ["-".join(wiring) for wiring in WIRINGS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="for all together")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))  # noqa: S311 -- no secret
    parser.add_argument("--wiring", choices=names, action="append", help="not all")
    options = parser.parse_args()
    chosen = [one for one in WIRINGS if "-".join(one) in (options.wiring or names)]
    seconds = options.minutes * 60 / len(chosen)
    print(f"Python {platform.python_version()}, --seed {options.seed}\n", flush=True)  # noqa: T201 -- the point of it
    failed = False
    for wiring in chosen:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            report = pool.submit(soak, wiring, seconds, options.seed).result()
        print(report, flush=True)  # noqa: T201 -- likewise
        failed |= bool(report.failures)
    sys.exit(failed)


if __name__ == "__main__":
    main()
