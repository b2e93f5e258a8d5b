"""Purchases with random faults, cancellations and crashes, charged at most once each.

Run it as ``python -m tests.orders --count 100000`` from the repository's root. The time
on the event loop jumps, so that nothing waits for a deadline or a back-off.
"""

from __future__ import annotations

import argparse
import logging
import platform
import random
import sys
import time
from functools import partial

import anyio
import stamina.instrumentation

from tests.orders.clock import jumping
from tests.orders.report import Report, audit
from tests.orders.shop import Shop
from tests.orders.world import World


async def simulate(seed: int, count: int) -> Report:
    """Make so many purchases, and return what became of them."""
    random.seed(seed)  # of the jitter
    source = random.Random(seed)  # noqa: S311 -- to be repeated, not secret
    async with anyio.create_task_group() as tasks:
        shop = Shop(world=World(random=source, late_requests=tasks), count=count)
        await shop.run()
    return audit(shop)


def main() -> None:
    """Run the purchases, and print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="of purchases")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))  # noqa: S311 -- no secret
    parser.add_argument("--backend", choices=["asyncio", "trio"], default="asyncio")
    options = parser.parse_args()
    version = f"Python {platform.python_version()}, {options.backend}"
    print(f"{version}, --seed {options.seed}\n", flush=True)  # noqa: T201 -- the point of it
    # Warnings are expected: calls are cancelled, and retry quotas are used up.
    logging.getLogger("plastiq_async").setLevel(logging.ERROR)
    stamina.instrumentation.set_on_retry_hooks([])
    run = partial(simulate, options.seed, options.count)
    started = time.process_time()
    report = anyio.run(run, **jumping(options.backend))
    print(report)  # noqa: T201 -- likewise
    print(f"\n{time.process_time() - started:.0f} s of CPU time")  # noqa: T201 -- likewise
    sys.exit(bool(report.failures))


if __name__ == "__main__":
    main()
