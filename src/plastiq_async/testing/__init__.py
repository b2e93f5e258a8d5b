"""`FakePlastiq`, an in-memory Plastiq Connect API for tests and experiments.

The fake checks requests as strictly as the real server and returns the same
responses. Pass `fake.transport` to an httpx client, or serve `fake.app` with any
ASGI server. Order faults with `fake.fail_next(503)` and its siblings:

    fake = FakePlastiq()
    async with httpx.AsyncClient(
        transport=fake.transport, base_url=fake.base_url
    ) as client:
        ...

The pytest fixture `fake_plastiq` gives each test a new fake.

The fake is written from the API's documentation. It shares no code with the
client, so that a mistake in one does not hide the same mistake in the other.
"""

from __future__ import annotations

try:
    import starlette  # noqa: F401 -- only to explain its absence
except ModuleNotFoundError:
    msg = (
        "plastiq_async.testing needs Starlette, which is not installed: "
        "pip install 'plastiq-async[testing]'"
    )
    raise ModuleNotFoundError(msg, name="starlette") from None

from plastiq_async.testing._fake import FakePlastiq
from plastiq_async.testing._faults import ErrorShape
from plastiq_async.testing._records import IssuedSecret, RecordedRequest
from plastiq_async.testing._secrets import (
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
