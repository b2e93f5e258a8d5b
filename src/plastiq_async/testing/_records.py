"""What the fake remembers of the calls that it received."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import attrs

__all__ = ["IssuedSecret", "RecordedRequest"]


@attrs.frozen(kw_only=True)
class RecordedRequest:
    """A request as the fake received it.

    Attributes:
        method: The HTTP method, in upper case.
        path: The decoded path, without the query: `"/api/client-secrets"`.
        trace_id: The trace ID that the fake used: the request's own if it was
            a valid UUID version 4, else a new one.
        headers: Names in lower case; a header sent several times is joined
            with `", "`. Not in the repr, since it holds the access token.
        body: The bytes of the body; of one that is too large, its first part.
            Not in the repr.
    """

    method: str
    path: str
    trace_id: UUID
    headers: Mapping[str, str] = attrs.field(repr=False, hash=False)
    body: bytes = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class IssuedSecret:
    """What the fake knows of a client secret; the value is not part of it.

    Attributes:
        payer_id: The payer that the secret was created for.
        trace_id: The trace ID of the request that created it.
        issued_at: The time of creation by the fake's clock, in UTC.
        redeemed: Whether it has been used.
    """

    payer_id: UUID
    trace_id: UUID
    issued_at: datetime
    redeemed: bool = False
