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
except ModuleNotFoundError as _error:
    from plastiq_async._missing import explain_missing

    _package = "'plastiq-async[testing]'"
    raise explain_missing(_error, "starlette", _package, __name__) from None

from plastiq_async.testing._fake import FakePlastiq
from plastiq_async.testing._faults import ErrorShape
from plastiq_async.testing._models.documents import StoredDocument
from plastiq_async.testing._records import IssuedSecret, RecordedRequest
from plastiq_async.testing._routing import Route
from plastiq_async.testing._secrets import (
    RedeemError,
    SecretExpiredError,
    SecretUnknownError,
    SecretUsedError,
    SecretVault,
)
from plastiq_async.testing._transport import FakeTransport

__all__ = [
    "ErrorShape",
    "FakePlastiq",
    "FakeTransport",
    "IssuedSecret",
    "RecordedRequest",
    "RedeemError",
    "Route",
    "SecretExpiredError",
    "SecretUnknownError",
    "SecretUsedError",
    "SecretVault",
    "StoredDocument",
]
