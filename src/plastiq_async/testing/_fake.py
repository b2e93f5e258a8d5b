"""`FakePlastiq`: the state of a Plastiq Connect in memory."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from ._faults import FaultQueue
from ._state import SecretVault
from ._transport import FakeTransport
from ._wire import make_app

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from ._records import RecordedRequest

__all__ = ["FakePlastiq"]

ROTATED_TOKEN_SECONDS = 12 * 60 * 60


class FakePlastiq(FaultQueue):
    """A stateful Plastiq Connect that lives in memory.

    It keeps payers, access tokens and issued secrets, records each request,
    and goes wrong on demand: see `fail_next`, `garble_next`, `delay_next`,
    `drop_next` and `refuse_next`.

    Attributes:
        base_url: The API's address, for clients above `transport`; loopback,
            since clients may refuse plain http to anywhere else.
        app: The ASGI application. Serve it to reach the fake over a socket.
        transport: An `httpx.AsyncBaseTransport` in front of `app`.
        requests: The requests received so far, oldest first.
        secrets: The secrets issued so far: value to `IssuedSecret`.
        payer_ids: The payers that exist.
        payer_id: The first of them.
    """

    base_url: str
    app: Starlette
    transport: FakeTransport
    requests: list[RecordedRequest]
    secrets: SecretVault
    payer_ids: set[UUID]
    payer_id: UUID

    def __init__(
        self,
        *,
        access_tokens: Iterable[str] = ("fake-access-token",),
        payer_ids: Iterable[UUID | str] = ("8f51c396-6e29-49a6-ba5a-1a31d5420158",),
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Make a fake.

        Args:
            access_tokens: The tokens that it accepts, at least one.
            payer_ids: The payers that exist, at least one.
            clock: Gives the seconds since the epoch; by default `time.time`.

        Raises:
            ValueError: There is no token or no payer, or a payer ID is no UUID.
        """
        super().__init__()
        # Each token with the time at which it stops being accepted.
        self._tokens = dict.fromkeys(access_tokens, math.inf)
        payers = [UUID(str(payer_id)) for payer_id in payer_ids]
        if not self._tokens or not payers:
            message = "FakePlastiq needs at least one access token and one payer ID"
            raise ValueError(message)
        self._access_token = next(iter(self._tokens))
        self._clock = clock or time.time
        self._offset = 0.0
        self.payer_id = payers[0]
        self.payer_ids = set(payers)
        self.secrets = SecretVault(lambda: self.now)
        self.requests = []
        self.base_url = "http://127.0.0.1/api"
        self.app = make_app(self)
        self.transport = FakeTransport(self.app)

    def __repr__(self) -> str:
        """Give the counts, and no token or secret."""
        return (
            f"<FakePlastiq requests={len(self.requests)} secrets={len(self.secrets)} "
            f"pending_faults={self.pending_faults}>"
        )

    @property
    def access_token(self) -> str:
        """A token that is accepted: the first one, or the newest rotated in."""
        return self._access_token

    @property
    def now(self) -> datetime:
        """The time by the fake's clock, in UTC."""
        return datetime.fromtimestamp(self._seconds(), tz=UTC)

    def advance(self, seconds: float) -> None:
        """Move the fake's clock forward.

        Args:
            seconds: How far.

        Raises:
            ValueError: It is negative.
        """
        if not seconds >= 0:
            message = f"seconds must not be negative, not {seconds}"
            raise ValueError(message)
        self._offset += seconds

    def add_payer(self, payer_id: UUID | str | None = None) -> UUID:
        """Let a payer exist.

        Args:
            payer_id: The payer's ID; by default a new one.

        Returns:
            The payer's ID.

        Raises:
            ValueError: It is no UUID.
        """
        payer = uuid4() if payer_id is None else UUID(str(payer_id))
        self.payer_ids.add(payer)
        return payer

    def rotate_token(self, new: str | None = None, *, keep_old: bool = False) -> str:
        """Replace `access_token` by a new one.

        Args:
            new: The new token; by default a random one.
            keep_old: Whether the old one works for 12 more hours by the fake's
                clock, as the real API has it, or stops at once.

        Returns:
            The new token.
        """
        if keep_old:
            self._tokens[self._access_token] = self._seconds() + ROTATED_TOKEN_SECONDS
        else:
            del self._tokens[self._access_token]
        self._access_token = secrets.token_urlsafe() if new is None else new
        self._tokens[self._access_token] = math.inf
        return self._access_token

    def redeem(self, client_secret: str) -> UUID:
        """Use a client secret, as the browser does: once, within 60 seconds.

        Args:
            client_secret: The secret's value.

        Returns:
            The ID of the payer that it was created for.

        Raises:
            SecretUnknownError: It was not issued here.
            SecretUsedError: It was used before.
            SecretExpiredError: It is 60 seconds old or older.
        """
        return self.secrets.redeem(client_secret)

    def accepts_token(self, token: str | None) -> bool:
        """Tell whether a token is accepted now; for the server's side.

        Args:
            token: The token of a request, if it has one.

        Returns:
            Whether it is one of the fake's tokens and has not run out.
        """
        return token is not None and self._seconds() < self._tokens.get(token, 0.0)

    def _seconds(self) -> float:
        return self._clock() + self._offset
