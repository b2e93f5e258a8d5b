"""Use a session in a trio program, with a heartbeat, a nursery and a timeout.

Requires trio. Run it with the local fake:

    python -m plastiq_async.sandbox python examples/trio_program.py
"""

from __future__ import annotations

import os

import trio

from plastiq_async import PlastiqError, PlastiqSession


async def heartbeat() -> None:
    """Print at regular intervals, which shows that the event loop is not blocked."""
    while True:
        print("tick")
        await trio.sleep(0.5)


async def main() -> None:
    """Create a client secret while the heartbeat runs."""
    async with PlastiqSession(timeout=10) as plastiq, trio.open_nursery() as nursery:
        nursery.start_soon(heartbeat)
        try:
            with trio.fail_after(5):
                secret = await plastiq.client_secrets.create(
                    os.environ["PLASTIQ_PAYER_ID"]
                )
        except PlastiqError as error:
            print("no secret:", error)
        except trio.TooSlowError:
            print("no secret within five seconds")
        else:
            print("secret until", f"{secret.expires_at:%H:%M:%S} UTC")
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
