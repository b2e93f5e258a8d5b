"""The models of ``POST /client-secrets``."""

from datetime import UTC, datetime, timedelta
from typing import Literal, get_args
from uuid import UUID

import attrs

from plastiq_async._codec import NOT_EMPTY, derived
from plastiq_async._secrets import SECRET
from plastiq_async._validate import check_choice, check_trace_id, check_uuid
from plastiq_async.models.common import (
    EndUser,
    ResponseInfo,
    check_end_user,
    checked_by,
)

__all__ = ["ClientSecret", "ClientSecretType", "CreateClientSecret"]

ClientSecretType = Literal["CARD"]
"""What a client secret is for; the API knows only ``"CARD"`` today."""

# A client secret expires this long after its creation, says the API.
_LIFETIME = timedelta(seconds=60)


def _payer_id(value: UUID | str) -> UUID:
    return check_uuid("payer_id", value)


def _trace_id(value: UUID | str | None) -> UUID | None:
    return None if value is None else check_trace_id(value)


def _end_user(value: EndUser | None) -> EndUser | None:
    return None if value is None else check_end_user(value)


@attrs.frozen(kw_only=True)
class CreateClientSecret:
    """The request for a client secret.

    Attributes:
        payer_id: The payer whose card is to be tokenized.
        type: What the secret is for.
        end_user: The person at the browser.
        trace_id: The trace ID of this one call, a UUID of version 4.

    Raises:
        InvalidArgumentError: A value is not what the API takes.
    """

    payer_id: UUID = attrs.field(converter=_payer_id)
    type: ClientSecretType = attrs.field(
        default="CARD",
        validator=checked_by(check_choice, choices=get_args(ClientSecretType)),
    )
    end_user: EndUser | None = attrs.field(default=None, converter=_end_user)
    trace_id: UUID | None = attrs.field(default=None, converter=_trace_id)


@attrs.frozen(kw_only=True)
class ClientSecret:
    """A single-use secret with which a browser tokenizes one payer's card.

    Attributes:
        client_secret: The secret itself, in neither repr nor str, and left out by
            `plastiq_async.to_jsonable`.
        trace_id: The trace ID that the server used, for requests to its support.
        issued_at: The time in UTC just before the successful attempt was sent; the
            server created the secret after it.
        expires_at: 60 seconds after `issued_at`, in UTC; the secret lives at least
            until then.
        response: The HTTP response behind it; in neither repr nor equality.
    """

    # First, because the defaults of the others depend on it.
    response: ResponseInfo = attrs.field(repr=False, eq=False)
    client_secret: str = attrs.field(repr=False, metadata=NOT_EMPTY | SECRET)
    trace_id: UUID = derived(lambda self: self.response.trace_id)
    issued_at: datetime = derived(lambda self: self.response.sent_at)
    expires_at: datetime = derived(lambda self: self.issued_at + _LIFETIME)

    def is_expired(self, now: datetime | None = None) -> bool:
        """Tell whether the secret has expired.

        Args:
            now: The time to compare with, aware. Default: this machine's clock, which
                set `issued_at`, too.
        """
        return (now or datetime.now(UTC)) >= self.expires_at
