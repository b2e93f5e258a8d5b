"""The worker of the outbox example, which kills itself at one of its steps.

``python -m tests.support.outbox_worker GAP PASSAGE [--fresh-keys]`` kills its process
with SIGKILL when it comes to `GAP` for the `PASSAGE`-th time.
"""

from __future__ import annotations

import argparse
import os
import signal
from itertools import count
from uuid import uuid4

import anyio
import attrs
from sqlalchemy import Connection, Engine, event

import outbox
import worker
from plastiq_async import PaymentOrder, PlastiqSession

CLAIM_NOT_COMMITTED = "claim not committed"
NOT_SUBMITTED = "not submitted"
NOT_STORED = "not stored"
OUTCOME_NOT_COMMITTED = "outcome not committed"
GAPS_INSIDE = (CLAIM_NOT_COMMITTED, NOT_SUBMITTED, NOT_STORED, OUTCOME_NOT_COMMITTED)


def main() -> None:
    """Work until a signal ends the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("gap")
    parser.add_argument("passage", type=int)
    parser.add_argument("--fresh-keys", action="store_true")
    options = parser.parse_args()
    passages = count(1)

    def come_to(gap: str) -> None:
        if gap == options.gap and next(passages) == options.passage:
            os.kill(os.getpid(), signal.SIGKILL)

    pay = worker.pay

    async def pay_between_gaps(
        plastiq: PlastiqSession, payment: PaymentOrder
    ) -> outbox.Outcome:
        if options.fresh_keys:
            payment = attrs.evolve(payment, idempotency_key=uuid4())
        come_to(NOT_SUBMITTED)
        # A lost response is left to the worker.
        outcome = await pay(plastiq.with_options(max_retries=0), payment)
        come_to(NOT_STORED)
        return outcome

    def execute(
        connection: Connection, _: object, statement: str, *rest: object
    ) -> None:
        connection.info["claims"] = "RETURNING" in statement

    def commit(connection: Connection) -> None:
        claims = connection.info["claims"]
        come_to(CLAIM_NOT_COMMITTED if claims else OUTCOME_NOT_COMMITTED)

    worker.pay = pay_between_gaps
    event.listen(Engine, "before_cursor_execute", execute)
    event.listen(Engine, "commit", commit)
    worker.CONCURRENCY = 3
    worker.POLL_INTERVAL = 0.05
    outbox.LEASE = 1.0
    outbox.FIRST_DELAY = 0.05
    anyio.run(worker.main)


if __name__ == "__main__":
    main()
