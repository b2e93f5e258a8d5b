"""The client secrets that a fake has issued, and the rules for using them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from uuid import UUID

import attrs

from ._records import IssuedSecret

__all__ = [
    "RedeemError",
    "SecretExpiredError",
    "SecretUnknownError",
    "SecretUsedError",
    "SecretVault",
]

LIFETIME = timedelta(seconds=60)


class RedeemError(Exception):
    """A client secret cannot be used. The message never holds the secret."""


class SecretUnknownError(RedeemError):
    """The fake has not issued this client secret."""


class SecretUsedError(RedeemError):
    """The client secret has been used before."""


class SecretExpiredError(RedeemError):
    """The client secret is 60 seconds old or older."""


class SecretVault(Mapping[str, IssuedSecret]):
    """The issued secrets: a read-only mapping from value to record.

    Its repr gives their number only.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        """Make an empty vault.

        Args:
            now: Gives the current time, timezone-aware.
        """
        self._now = now
        self._records: dict[str, IssuedSecret] = {}

    def __getitem__(self, client_secret: str) -> IssuedSecret:
        """Return the record of a secret."""
        return self._records[client_secret]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the values, oldest first."""
        return iter(self._records)

    def __len__(self) -> int:
        """Return how many secrets were issued."""
        return len(self._records)

    def __repr__(self) -> str:
        """Say how many secrets there are, and nothing of their values."""
        return f"<{type(self).__name__} of {len(self)}>"

    def issue(self, *, payer_id: UUID, trace_id: UUID) -> str:
        """Make a new client secret.

        Args:
            payer_id: Whom it is for.
            trace_id: The trace ID of the request that asks for it.

        Returns:
            The secret's value.
        """
        client_secret = secrets.token_urlsafe()
        self._records[client_secret] = IssuedSecret(
            payer_id=payer_id, trace_id=trace_id, issued_at=self._now()
        )
        return client_secret

    def redeem(self, client_secret: str) -> UUID:
        """Use a secret, as the browser does: once, within 60 seconds.

        Args:
            client_secret: The secret's value.

        Returns:
            The ID of the payer that it was created for.

        Raises:
            SecretUnknownError: It was not issued here.
            SecretUsedError: It was used before.
            SecretExpiredError: It is 60 seconds old or older.
        """
        record = self._records.get(client_secret)
        if record is None:
            message = "This client secret was not issued by this FakePlastiq."
            raise SecretUnknownError(message)
        if record.redeemed:
            message = f"This client secret of payer {record.payer_id} was used before."
            raise SecretUsedError(message)
        age = self._now() - record.issued_at
        if age >= LIFETIME:
            message = (
                f"This client secret of payer {record.payer_id} expired after "
                f"{LIFETIME.total_seconds():g} s; it is {age.total_seconds():g} s old."
            )
            raise SecretExpiredError(message)
        self._records[client_secret] = attrs.evolve(record, redeemed=True)
        return record.payer_id
