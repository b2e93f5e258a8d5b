"""A stateful Plastiq Connect in memory, for tests and for trying things out.

`FakePlastiq` checks what the real server checks and answers as the real
server answers. Put `fake.transport` below an httpx client, or serve `fake.app`
with any ASGI server, and order faults with `fake.fail_next(503)` and its
siblings:

    fake = FakePlastiq()
    async with httpx.AsyncClient(
        transport=fake.transport, base_url=fake.base_url
    ) as client:
        ...

With pytest, the fixture `fake_plastiq` gives each test a fresh one.

It is written from the API's documentation and shares no code with the client,
so that a mistake in one does not hide the same mistake in the other.
"""

from __future__ import annotations

try:
    import starlette  # noqa: F401  # only to explain its absence
except ModuleNotFoundError:
    raise ModuleNotFoundError(
        "plastiq_async.testing needs Starlette, which is not installed: "
        "pip install 'plastiq-async[testing]'",
        name="starlette",
    ) from None

from ._fake import FakePlastiq
from ._faults import ErrorShape
from ._records import IssuedSecret, RecordedRequest
from ._state import (
    RedeemError,
    SecretExpiredError,
    SecretUnknownError,
    SecretUsedError,
    SecretVault,
)

__all__ = [
    "ErrorShape",
    "FakePlastiq",
    "IssuedSecret",
    "RecordedRequest",
    "RedeemError",
    "SecretExpiredError",
    "SecretUnknownError",
    "SecretUsedError",
    "SecretVault",
]
