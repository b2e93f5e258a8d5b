"""`FakeState`: clock, access tokens, payers, client secrets, recorded requests."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from plastiq_async.testing._rate_limit import RateLimit
from plastiq_async.testing._records import RecordedRequest
from plastiq_async.testing._secrets import SecretVault

__all__ = ["FakeState"]

ROTATED_TOKEN_SECONDS = 12 * 60 * 60

_T = TypeVar("_T")


class FakeState:
    """The state of one fake, shared by its routes.

    Args:
        access_tokens: Accepted tokens, at least one.
        payer_ids: Existing payers, at least one.
        clock: Returns the seconds since the epoch.
        history: Number of requests, and of records of each kind, to keep.
        guide_vocabulary: Whether statuses are those of the vendor's guide.

    Attributes:
        access_token: An accepted token: the first one, or the newest after a
            rotation.
        payer_ids: The existing payers.
        first_payer_id: The first of them.
        secrets: The issued client secrets.
        rate_limit: The limit of requests in a minute.
        requests: The recorded requests, oldest first.
        history: Number of requests, and of records of each kind, to keep.
        guide_vocabulary: Whether statuses are those of the vendor's guide.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        *,
        access_tokens: Iterable[str],
        payer_ids: Iterable[UUID | str],
        clock: Callable[[], float],
        history: int,
        guide_vocabulary: bool,
    ) -> None:
        tokens = tuple(access_tokens)
        payers = tuple(UUID(str(payer_id)) for payer_id in payer_ids)
        if not tokens or not payers:
            msg = "FakePlastiq needs at least one access token and one payer ID"
            raise ValueError(msg)
        if not history >= 1:
            msg = f"history must be at least 1, not {history}"
            raise ValueError(msg)
        self._clock = clock
        self._offset = 0.0
        self._initial_tokens = tokens
        self._initial_payer_ids = payers
        # Each token with the time at which it expires.
        self._tokens = dict.fromkeys(tokens, math.inf)
        self._resources: dict[type[Any], Any] = {}
        self.access_token = tokens[0]
        self.first_payer_id = payers[0]
        self.payer_ids = set(payers)
        self.history = history
        self.guide_vocabulary = guide_vocabulary
        self.secrets = SecretVault(lambda: self.now, limit=history)
        self.rate_limit = RateLimit(lambda: self.now)
        self.requests: list[RecordedRequest] = []

    @property
    def now(self) -> datetime:
        """The time by the fake's clock, in UTC."""
        return datetime.fromtimestamp(self._seconds(), tz=UTC)

    def of(self, kind: type[_T]) -> _T:
        """Return the state of one resource.

        Args:
            kind: Class of the resource's state, which takes no arguments.

        Returns:
            The only instance of `kind` in this fake, created by the first call.
        """
        if kind not in self._resources:
            self._resources[kind] = kind()
        resource: _T = self._resources[kind]
        return resource

    def record(self, request: RecordedRequest) -> None:
        """Append a request to `requests`, and drop the oldest beyond `history`.

        Args:
            request: The request received.
        """
        self.requests.append(request)
        del self.requests[: -self.history]

    def reset(self) -> None:
        """Return to the initial state."""
        self._offset = 0.0
        self._tokens = dict.fromkeys(self._initial_tokens, math.inf)
        self.access_token = self._initial_tokens[0]
        self.payer_ids.clear()
        self.payer_ids.update(self._initial_payer_ids)
        self._resources.clear()
        self.secrets.clear()
        self.rate_limit.set(None)
        self.requests.clear()

    def advance(self, seconds: float) -> None:
        """Move the clock forward.

        Args:
            seconds: Number of seconds.

        Raises:
            ValueError: `seconds` is negative.
        """
        if not seconds >= 0:
            msg = f"seconds must not be negative, not {seconds}"
            raise ValueError(msg)
        self._offset += seconds

    def accepts_token(self, token: str | None) -> bool:
        """Return whether a token is accepted now.

        Args:
            token: Token of a request, if it has one.

        Returns:
            Whether the token is known and has not expired.
        """
        return token is not None and self._seconds() < self._tokens.get(token, 0.0)

    def rotate_token(self, new: str | None, *, keep_old: bool) -> str:
        """Replace `access_token`.

        A token that was replaced earlier is rejected from now on.

        Args:
            new: New token; None means a random one.
            keep_old: Whether to accept the old token for 12 more hours.

        Returns:
            The new token.
        """
        del self._tokens[self.access_token]
        # The API accepts the new token and at most one old one.
        self._tokens = {
            token: end for token, end in self._tokens.items() if end == math.inf
        }
        if keep_old:
            self._tokens[self.access_token] = self._seconds() + ROTATED_TOKEN_SECONDS
        self.access_token = secrets.token_urlsafe() if new is None else new
        self._tokens[self.access_token] = math.inf
        return self.access_token

    def _seconds(self) -> float:
        return self._clock() + self._offset
