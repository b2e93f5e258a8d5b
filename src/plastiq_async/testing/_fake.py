"""`FakePlastiq`, the public face of the fake."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import ClassVar
from uuid import UUID, uuid4

from starlette.applications import Starlette

from plastiq_async.testing._faults import FaultQueue
from plastiq_async.testing._models.documents import Documents, StoredDocument
from plastiq_async.testing._models.payment_methods import add_card
from plastiq_async.testing._payment_control import PaymentControl
from plastiq_async.testing._records import RecordedRequest
from plastiq_async.testing._routes import ROUTES
from plastiq_async.testing._routing import Route, RouteTable
from plastiq_async.testing._secrets import SecretVault
from plastiq_async.testing._state import FakeState
from plastiq_async.testing._storage import UPLOAD_OPERATION
from plastiq_async.testing._transport import FakeTransport
from plastiq_async.testing._wire import make_app

__all__ = ["FakePlastiq"]

PREFIX = "/api"


def _wall_clock() -> float:
    # Looked up at each reading, since a test may freeze the time while the fake lives.
    return time.time()


class FakePlastiq(PaymentControl, FaultQueue):
    """A stateful, in-memory Plastiq Connect API.

    It serves categories, payers, recipients, client secrets, payment methods, payment
    intents, payments and refunds, and records every request. What a request creates,
    later requests find. No request can do what these do: `tokenize` adds a card as the
    vendor's script in the browser does, `advance_payment` sets the status of a payment,
    `advance` moves the clock, on which payment intents and client secrets expire, and
    `limit_requests` sets a limit per minute. `charges` and `refunds` count how often
    money moved.

    It fails on demand: see `fail_next`, `garble_next`, `delay_next`, `drop_next` and
    `refuse_next`. Each of these takes `on`, the name of an operation such as
    `"payments.create"`, or `"documents.upload"` for the upload of a document; without
    it the fault is for any request. The card 4000000000000002 is declined when it is
    charged.

    Where the API's documentation leaves a case open, the fake is strict, so that a
    request that it accepts is valid at the real server. It rejects:

    - Unknown fields and unknown query parameters.
    - A null, also where a field may be left out.
    - An empty `End-User-Ip`, because its value is an IP address. Omit the header if
      the address is unknown.
    - A payment without the IDs of its payment intent and its payer, and a refund
      without that of its payer.
    - An `Idempotency-Key` that was used with another body.

    It charges cards 2.85 %, rounded half up to cents, and bank accounts nothing. A
    payment intent expires five minutes after its creation. A card of Texas is
    `INACTIVE` until its payer has an identity document.

    Over a socket, the HTTP server rejects malformed HTTP before the fake sees it.
    uvicorn, which the local fake runs on, responds to a header that contains a NUL
    byte with a 400 in plain text, without `Trace-Id`, and records nothing.

    Memory is bounded: the fake keeps the last `history` requests, with at most
    64 KiB of each body, and as many client secrets, idempotency keys, recipients,
    payment methods, payment intents, payments, and payers that requests created.
    Payers that you add stay until they are deleted.

    Args:
        access_tokens: Accepted tokens, at least one.
        payer_ids: Existing payers, at least one.
        clock: Returns the seconds since the epoch; by default `time.time`.
        history: Number of requests, and of records of each kind, to keep, at least 1.
            The oldest are dropped.
        guide_vocabulary: Whether statuses are those of the vendor's guide, such as
            `"NOT_CAPTURABLE"`, in place of those of the public API document, such as
            `"UNCAPTURABLE"`.

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
        guide_vocabulary: bool = False,
    ) -> None:
        table = RouteTable(self.routes, prefix=PREFIX)
        super().__init__((*table.operations, UPLOAD_OPERATION))
        self._state = FakeState(
            access_tokens=access_tokens,
            payer_ids=payer_ids,
            clock=clock or _wall_clock,
            history=history,
            guide_vocabulary=guide_vocabulary,
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
    def documents(self) -> list[StoredDocument]:
        """The documents that were uploaded, oldest first.

        The fake keeps the last `history` of them, and at most 100 MiB.
        """
        return self._state.of(Documents).stored

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

        Everything that requests or you added is forgotten: requests, payers,
        recipients, client secrets, payment methods, payment intents, payments,
        idempotency keys, the counts of charges and refunds, and pending faults. The
        payers that the fake was created with have no name and no identity documents
        again, rotated tokens are valid again, the clock is set back, requests are not
        limited, and `replay_first_trace_id`, `name_payment_intents` and `listing_delay`
        are as at first. What you passed when you created the fake stays, `history` and
        `guide_vocabulary` included.
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
        """Use up a client secret without adding a card: once, within 60 seconds.

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

    def tokenize(
        self, client_secret: str, card: Mapping[str, object] | None = None
    ) -> UUID:
        """Add a card with a client secret, as the vendor's script in the browser does.

        The card is added to the payer of the secret, which is used up even if the card
        is refused.

        Args:
            client_secret: Value of the secret.
            card: Fields of the card as in the `data` of `POST /payment-methods`, such
                as `{"accountNumber": "4000000000000002"}`. Those left out are those of
                a Visa card in California that has not expired.

        Returns:
            The ID of the payment method. It is `INACTIVE` if the billing address is in
            Texas and the payer has no identity document.

        Raises:
            SecretUnknownError: The secret was not issued here, or is no longer kept.
            SecretUsedError: The secret has already been used.
            SecretExpiredError: The secret is 60 seconds old or older.
            ValueError: `POST /payment-methods` would refuse the card, or the payer was
                deleted. The message names the field.
        """
        payer_id = self.redeem(client_secret)
        return add_card(self._state, payer_id, card or {})

    def limit_requests(self, per_minute: int | None) -> None:
        """Limit the number of requests in 60 seconds of the fake's clock.

        A request beyond it gets a 429 with `Retry-After`. By default there is no limit;
        the API's own is 200.

        Args:
            per_minute: Number of requests, at least 1; None for no limit.

        Raises:
            ValueError: `per_minute` is less than 1.
        """
        self._state.rate_limit.set(per_minute)

    def accepts_token(self, token: str | None) -> bool:
        """Return whether a token is accepted now.

        Args:
            token: Token of a request, if it has one.

        Returns:
            Whether the token is known and has not expired.
        """
        return self._state.accepts_token(token)
