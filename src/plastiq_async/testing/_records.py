"""`RecordedRequest` and `IssuedSecret`, the records that the fake keeps."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

import attrs

__all__ = ["IssuedSecret", "RecordedRequest"]


def _no_query() -> Mapping[str, tuple[str, ...]]:
    return MappingProxyType({})


@attrs.frozen(kw_only=True)
class RecordedRequest:
    """A request as the fake received it.

    Attributes:
        method: HTTP method in upper case.
        path: Decoded path without the query: `"/api/client-secrets"`.
        trace_id: Trace ID that the fake used: that of the request if it was a
            valid UUID version 4, else a new one.
        headers: Header values by lower-case name; the values of a repeated header
            are joined with `", "`. Not in the repr because they include the
            access token.
        body: Bytes of the body, truncated if the body is too large. Not in the
            repr.
        query: Decoded values of each query parameter, in order.
        operation: Name of the matched route, such as `"client_secrets.create"`,
            or None if no route matches the method and path.
    """

    method: str
    path: str
    trace_id: UUID
    headers: Mapping[str, str] = attrs.field(repr=False, hash=False)
    body: bytes = attrs.field(repr=False)
    query: Mapping[str, tuple[str, ...]] = attrs.field(factory=_no_query, hash=False)
    operation: str | None = None


@attrs.frozen(kw_only=True)
class IssuedSecret:
    """The record of a client secret, without its value.

    Attributes:
        payer_id: Payer that the secret was created for.
        trace_id: Trace ID of the request that created the secret.
        issued_at: Time of creation by the fake's clock, in UTC.
        redeemed: Whether the secret has been used.
    """

    payer_id: UUID
    trace_id: UUID
    issued_at: datetime
    redeemed: bool = False
