"""Create a client secret, and print everything about it that is not confidential.

Run it with the local fake::

    python -m plastiq_async.sandbox python examples/quickstart.py
"""

from __future__ import annotations

import os

import anyio

from plastiq_async import EndUser, PlastiqSession


async def main() -> None:
    """Create a client secret on behalf of an end user."""
    async with PlastiqSession() as plastiq:  # PLASTIQ_ACCESS_TOKEN, PLASTIQ_BASE_URL
        secret = await plastiq.client_secrets.create(
            payer_id=os.environ["PLASTIQ_PAYER_ID"],
            end_user=EndUser(
                user_agent="Mozilla/5.0 (X11; Linux x86_64)",
                ip="203.0.113.7",
                device_id="a1b2",
            ),
        )
        print(plastiq)

    print(f"result      {secret!r}")
    print(f"secret      {len(secret.client_secret)} characters, not printed")
    print(f"trace ID    {secret.trace_id}")
    print(
        f"expires at  {secret.expires_at:%H:%M:%S} UTC (expired: {secret.is_expired()})"
    )
    print(f"response    {secret.response!r}")


if __name__ == "__main__":
    anyio.run(main)
