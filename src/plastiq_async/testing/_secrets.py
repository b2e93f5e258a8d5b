"""`SecretVault`, the client secrets that a fake has issued, and its errors."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from uuid import UUID

import attrs

from plastiq_async.testing._records import IssuedSecret

__all__ = [
    "RedeemError",
    "SecretExpiredError",
    "SecretUnknownError",
    "SecretUsedError",
    "SecretVault",
]

LIFETIME = timedelta(seconds=60)


class RedeemError(Exception):
    """A client secret cannot be used. The message never contains the secret."""


class SecretUnknownError(RedeemError):
    """The fake has not issued this client secret, or no longer keeps it."""


class SecretUsedError(RedeemError):
    """The client secret has already been used."""


class SecretExpiredError(RedeemError):
    """The client secret is 60 seconds old or older."""


class SecretVault(Mapping[str, IssuedSecret]):
    """The issued client secrets, a read-only mapping from value to record.

    The repr contains only their number.

    Args:
        now: Returns the current time, timezone-aware.
        limit: Number of secrets to keep. The oldest are dropped.
    """

    def __init__(self, now: Callable[[], datetime], *, limit: int = 10_000) -> None:
        self._now = now
        self._limit = limit
        self._records: OrderedDict[str, IssuedSecret] = OrderedDict()

    def __getitem__(self, client_secret: str) -> IssuedSecret:
        """Return the record of a secret."""
        return self._records[client_secret]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the values, oldest first."""
        return iter(self._records)

    def __len__(self) -> int:
        """Return the number of secrets kept."""
        return len(self._records)

    def __repr__(self) -> str:
        """Return the number of secrets, and none of their values."""
        return f"<{type(self).__name__} of {len(self)}>"

    def issue(self, *, payer_id: UUID, trace_id: UUID) -> str:
        """Create a client secret.

        Args:
            payer_id: Payer that the secret is for.
            trace_id: Trace ID of the request that asks for it.

        Returns:
            The value of the secret.
        """
        client_secret = secrets.token_urlsafe()
        self._records[client_secret] = IssuedSecret(
            payer_id=payer_id, trace_id=trace_id, issued_at=self._now()
        )
        if len(self._records) > self._limit:
            self._records.popitem(last=False)
        return client_secret

    def clear(self) -> None:
        """Forget all secrets."""
        self._records.clear()

    def redeem(self, client_secret: str) -> UUID:
        """Use up a secret: once, within 60 seconds.

        Args:
            client_secret: Value of the secret.

        Returns:
            The ID of the payer that the secret was created for.

        Raises:
            SecretUnknownError: The secret was not issued here, or is no longer
                kept.
            SecretUsedError: The secret has already been used.
            SecretExpiredError: The secret is 60 seconds old or older.
        """
        record = self._records.get(client_secret)
        if record is None:
            msg = "This FakePlastiq did not issue the client secret, or dropped it."
            raise SecretUnknownError(msg)
        if record.redeemed:
            msg = f"This client secret of payer {record.payer_id} was already used."
            raise SecretUsedError(msg)
        age = self._now() - record.issued_at
        if age >= LIFETIME:
            msg = (
                f"This client secret of payer {record.payer_id} expired after "
                f"{LIFETIME.total_seconds():g} s; it is {age.total_seconds():g} s old."
            )
            raise SecretExpiredError(msg)
        self._records[client_secret] = attrs.evolve(record, redeemed=True)
        return record.payer_id
