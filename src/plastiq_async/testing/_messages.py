"""`ApiRequest` and `ApiResponse`, what a route receives and returns."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import attrs

from plastiq_async.testing._checks import require_uuid
from plastiq_async.testing._errors import ValidationError
from plastiq_async.testing._records import RecordedRequest

__all__ = ["ApiRequest", "ApiResponse"]


@attrs.frozen(kw_only=True)
class ApiRequest:
    """A request that has passed the checks of all operations.

    Attributes:
        operation: Name of the route, such as `"client_secrets.create"`.
        path_params: Decoded path parameters.
        query: Query parameters, all of them known to the route.
        body: JSON object of the body; empty if the method has no body. Not in the
            repr.
        recorded: The request as it was received.
        trace_id: Trace ID in the spelling that the response carries.
        origin: Scheme, host and path prefix by which the client reached the fake, such
            as `"http://127.0.0.1:8000"`.
        delay: Seconds by which `delay_next` delays the response.
    """

    operation: str
    path_params: Mapping[str, str]
    query: Mapping[str, str]
    body: dict[str, object] = attrs.field(repr=False)
    recorded: RecordedRequest
    trace_id: str
    origin: str
    delay: float = 0.0

    @property
    def headers(self) -> Mapping[str, str]:
        """Header values by lower-case name."""
        return self.recorded.headers

    @property
    def idempotency_key(self) -> str | None:
        """The value of the `Idempotency-Key` header, unchecked."""
        return self.headers.get("idempotency-key")

    def path_uuid(self, name: str) -> UUID:
        """Parse a path parameter.

        Args:
            name: Name of the parameter in the path template.

        Returns:
            The UUID.

        Raises:
            ValidationError: The parameter is not a UUID.
        """
        return require_uuid(self.path_params[name], name)

    def query_uuid(self, name: str) -> UUID | None:
        """Parse an optional query parameter.

        Args:
            name: Name of the parameter.

        Returns:
            The UUID, or None if the parameter is missing.

        Raises:
            ValidationError: The parameter is not a UUID.
        """
        value = self.query.get(name)
        return None if value is None else require_uuid(value, name)

    def require_query_uuid(self, name: str) -> UUID:
        """Parse a required query parameter.

        Args:
            name: Name of the parameter.

        Returns:
            The UUID.

        Raises:
            ValidationError: The parameter is missing or not a UUID.
        """
        uuid = self.query_uuid(name)
        if uuid is None:
            msg = f"{name} is required"
            raise ValidationError(msg)
        return uuid


@attrs.frozen
class ApiResponse:
    """A response of a route.

    Attributes:
        body: JSON value of the body, or None for no body. Not in the repr.
        status: Status code.
        headers: Additional headers. `Trace-Id` is added unless it is among them.
    """

    body: object = attrs.field(default=None, repr=False)
    status: int = attrs.field(default=200, kw_only=True)
    headers: Mapping[str, str] = attrs.field(factory=dict, kw_only=True, hash=False)
