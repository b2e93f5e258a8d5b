"""Create client secrets for many payers, with a progress bar and constant memory.

Requires rich. Run it with the local fake, to which every hundredth payer is unknown:

    python -m plastiq_async.sandbox python examples/bulk.py 1000
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from uuid import uuid4

import anyio
from rich.progress import Progress

from plastiq_async import CreateClientSecret, Failed, PlastiqSession, Succeeded


def read_payers(number: int) -> Iterator[CreateClientSecret]:
    """Yield the requests one at a time, like the rows of a database cursor."""
    known = os.environ["PLASTIQ_PAYER_ID"]
    for row in range(1, number + 1):
        yield CreateClientSecret(payer_id=uuid4() if row % 100 == 0 else known)


async def main(number: int) -> None:
    """Create the secrets, 50 at a time, and count the outcomes."""
    created = 0
    errors: Counter[str] = Counter()
    requests = read_payers(number)
    with Progress() as progress:
        task = progress.add_task("client secrets", total=number)
        async with (
            PlastiqSession() as plastiq,
            plastiq.client_secrets.create_many(requests, concurrency=50) as outcomes,
        ):
            async for outcome in outcomes:
                progress.advance(task)
                match outcome:
                    case Succeeded():
                        created += 1  # use outcome.result here
                    case Failed(error=error):
                        errors[type(error).__name__] += 1

    print(f"{created} created")
    for name, times in errors.items():
        print(f"{times} failed: {name}")


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
