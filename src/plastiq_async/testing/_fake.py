"""`FakePlastiq`, the public face of the fake."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import ClassVar
from uuid import UUID, uuid4

from starlette.applications import Starlette

from plastiq_async.testing._faults import FaultQueue
from plastiq_async.testing._records import RecordedRequest
from plastiq_async.testing._routes import ROUTES
from plastiq_async.testing._routing import Route, RouteTable
from plastiq_async.testing._secrets import SecretVault
from plastiq_async.testing._state import FakeState
from plastiq_async.testing._transport import FakeTransport
from plastiq_async.testing._wire import make_app

__all__ = ["FakePlastiq"]

PREFIX = "/api"


def _wall_clock() -> float:
    # Looked up at each reading, since a test may freeze the time while the fake lives.
    return time.time()


class FakePlastiq(FaultQueue):
    """A stateful, in-memory Plastiq Connect API.

    It keeps payers, access tokens and issued client secrets, records every
    request, and fails on demand: see `fail_next`, `garble_next`, `delay_next`,
    `drop_next` and `refuse_next`. Each of these takes `on`, the name of an operation
    such as `"client_secrets.create"`; without it the fault is for any request.

    Where the API's documentation leaves a case open, the fake is strict, so that a
    request that it accepts is valid at the real server. It rejects:

    - `"type": null`, because `type` is one of a list of texts. Omit it to get the
      default, `CARD`.
    - An empty `End-User-Ip`, because its value is an IP address. Omit the header if
      the address is unknown.

    Over a socket, the HTTP server rejects malformed HTTP before the fake sees it.
    uvicorn, which the local fake runs on, responds to a header that contains a NUL
    byte with a 400 in plain text, without `Trace-Id`, and records nothing.

    Memory is bounded: the fake keeps the last `history` requests, with at most
    64 KiB of each body, and as many client secrets and idempotency keys.

    Args:
        access_tokens: Accepted tokens, at least one.
        payer_ids: Existing payers, at least one.
        clock: Returns the seconds since the epoch; by default `time.time`.
        history: Number of requests and of client secrets to keep, at least 1. The
            oldest are dropped.

    Attributes:
        routes: The routes that a fake of this class serves.
        base_url: API base URL for clients that use `transport`. Its host is
            loopback because clients may refuse plain HTTP to other hosts.
        app: The ASGI application. Serve it to reach the fake over a socket.
        transport: An `httpx.AsyncBaseTransport` that calls `app`.

    Raises:
        ValueError: There is no token or no payer, a payer ID is not a UUID, or
            `history` is less than 1.
    """

    routes: ClassVar[tuple[Route, ...]] = ROUTES
    base_url: str
    app: Starlette
    transport: FakeTransport

    def __init__(
        self,
        *,
        access_tokens: Iterable[str] = ("fake-access-token",),
        payer_ids: Iterable[UUID | str] = ("8f51c396-6e29-49a6-ba5a-1a31d5420158",),
        clock: Callable[[], float] | None = None,
        history: int = 10_000,
    ) -> None:
        table = RouteTable(self.routes, prefix=PREFIX)
        super().__init__(table.operations)
        self._state = FakeState(
            access_tokens=access_tokens,
            payer_ids=payer_ids,
            clock=clock or _wall_clock,
            history=history,
        )
        self.base_url = f"http://127.0.0.1{PREFIX}"
        self.app = make_app(self._state, self, table)
        self.transport = FakeTransport(self.app)

    def __repr__(self) -> str:
        """Return the counts, and no token or secret."""
        return (
            f"<FakePlastiq requests={len(self.requests)} secrets={len(self.secrets)} "
            f"pending_faults={self.pending_faults}>"
        )

    @property
    def requests(self) -> list[RecordedRequest]:
        """The last `history` requests, oldest first."""
        return self._state.requests

    @property
    def secrets(self) -> SecretVault:
        """The last `history` client secrets: value to `IssuedSecret`."""
        return self._state.secrets

    @property
    def payer_ids(self) -> set[UUID]:
        """The existing payers."""
        return self._state.payer_ids

    @property
    def payer_id(self) -> UUID:
        """The first payer that the fake was created with."""
        return self._state.first_payer_id

    @property
    def access_token(self) -> str:
        """An accepted token: the first one, or the newest after a rotation."""
        return self._state.access_token

    @property
    def now(self) -> datetime:
        """The time by the fake's clock, in UTC."""
        return self._state.now

    def advance(self, seconds: float) -> None:
        """Move the fake's clock forward.

        Args:
            seconds: Number of seconds.

        Raises:
            ValueError: `seconds` is negative.
        """
        self._state.advance(seconds)

    def reset(self) -> None:
        """Return to the initial state.

        Requests, client secrets, idempotency keys, pending faults and added payers
        are forgotten, rotated tokens are valid again, and the clock is set back.
        """
        self._state.reset()
        self.clear_faults()

    def add_payer(self, payer_id: UUID | str | None = None) -> UUID:
        """Add a payer.

        Args:
            payer_id: ID of the payer; by default a new one.

        Returns:
            The ID of the payer.

        Raises:
            ValueError: The ID is not a UUID.
        """
        payer = uuid4() if payer_id is None else UUID(str(payer_id))
        self.payer_ids.add(payer)
        return payer

    def rotate_token(self, new: str | None = None, *, keep_old: bool = False) -> str:
        """Replace `access_token` by a new one.

        A token that was replaced earlier is rejected from now on, because the API
        has at most two active keys.

        Args:
            new: New token; by default a random one.
            keep_old: Whether to accept the old token for 12 more hours by the
                fake's clock, as the real API does. By default it is rejected at
                once.

        Returns:
            The new token.
        """
        return self._state.rotate_token(new, keep_old=keep_old)

    def redeem(self, client_secret: str) -> UUID:
        """Use a client secret as the browser does: once, within 60 seconds.

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
        return self.secrets.redeem(client_secret)

    def accepts_token(self, token: str | None) -> bool:
        """Return whether a token is accepted now.

        Args:
            token: Token of a request, if it has one.

        Returns:
            Whether the token is known and has not expired.
        """
        return self._state.accepts_token(token)
