"""Create several client secrets concurrently, all or none, in an anyio task group.

Run it with the local fake, which sets `PLASTIQ_PAYER_ID` to a payer that it knows:

    python -m plastiq_async.sandbox python examples/task_group.py
"""

from __future__ import annotations

import os

import anyio

from plastiq_async import ClientSecret, PlastiqSession, trace_context


async def main() -> None:
    """Create three secrets concurrently, under one trace ID, within 20 seconds."""
    payer_id = os.environ["PLASTIQ_PAYER_ID"]
    secrets: list[ClientSecret] = []

    async def create(plastiq: PlastiqSession) -> None:
        secrets.append(await plastiq.client_secrets.create(payer_id))

    # A call that fails cancels the others, and so does the timeout.
    with trace_context() as trace_id, anyio.fail_after(20):
        async with PlastiqSession() as plastiq, anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(create, plastiq)

    print(f"{len(secrets)} secrets, each with 60 seconds to live")
    print("one trace ID:", {secret.trace_id for secret in secrets} == {trace_id})


if __name__ == "__main__":
    anyio.run(main)
