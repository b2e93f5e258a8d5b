"""Everything that this library raises.

::

    PlastiqError
    ├── ConfigurationError            the session cannot be made as asked
    ├── InvalidArgumentError          (also a ValueError) refused before sending
    ├── SessionStateError             (also a RuntimeError) closed, other loop, fork
    ├── APIConnectionError            DNS, TCP, TLS, a dropped connection
    │   └── APITimeoutError           (also a TimeoutError) the call's deadline passed
    ├── APIResponseError              an answer that the contract does not know
    └── APIStatusError                an answer with a status that is not 2xx
        ├── BadRequestError           400
        ├── AuthenticationError       401
        ├── PermissionDeniedError     403
        ├── NotFoundError             404
        ├── ConflictError             409
        ├── UnprocessableEntityError  422
        ├── RateLimitError            429
        └── InternalServerError       5xx
            └── ServiceUnavailableError  503

All of them survive pickling. None holds an access token, a client secret or the value
of a request header.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

__all__ = [
    "APIConnectionError",
    "APIResponseError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "ConfigurationError",
    "ConflictError",
    "InternalServerError",
    "InvalidArgumentError",
    "NotFoundError",
    "PermissionDeniedError",
    "PlastiqError",
    "RateLimitError",
    "ServiceUnavailableError",
    "SessionStateError",
    "UnprocessableEntityError",
]


class PlastiqError(Exception):
    """Base of everything that this library raises.

    The attributes describe the call that failed. They keep their defaults where no
    call was made, such as on a `ConfigurationError`.

    Args:
        message: What went wrong, without any secret.

    Attributes:
        trace_id: The trace ID to name to support: the server's where it answered with
            one, else the one that was sent; None where nothing was ever to be sent.
        method: The HTTP method of the call, such as ``"POST"``.
        path: The path below the base URL, such as ``"/client-secrets"``.
        attempts: How many times the call was tried.
        outcome_unknown: Whether an attempt may have reached the server without an
            answer coming back, so that the server may have acted on it.
    """

    trace_id: UUID | None = None
    method: str | None = None
    path: str | None = None
    attempts: int = 0
    outcome_unknown: bool = False

    def __init__(self, message: str) -> None:
        super().__init__(message)

    def __str__(self) -> str:
        """Tell what went wrong, in which call, and under which trace ID."""
        message = super().__str__()
        if self.method is None:
            return message
        tries = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        return (
            f"{message} [{self.method} {self.path}, {tries}, trace ID {self.trace_id}]"
        )


class ConfigurationError(PlastiqError):
    """The session cannot be made or used as it was configured.

    Raised for a missing or malformed token, ``http://`` to a host that is not
    loopback, a bad proxy, CA file or environment variable, or an extra that is not
    installed. The message names the setting and never repeats its value.
    """


class InvalidArgumentError(PlastiqError, ValueError):
    """An argument was refused before anything was sent."""


class SessionStateError(PlastiqError, RuntimeError):
    """The session is closed, belongs to another event loop, or was forked."""


class APIConnectionError(PlastiqError):
    """No answer: DNS, TCP or TLS failed, or the connection was dropped."""


class APITimeoutError(APIConnectionError, TimeoutError):
    """The call's whole deadline has passed, retries and waits included."""


class APIResponseError(PlastiqError):
    """The answer is not what the contract says.

    No JSON, the wrong shape, an encoding that was not asked for, or larger than
    1 MiB. The message names the path into the data, never the data.

    Attributes:
        status_code: The HTTP status of that answer.
    """

    status_code: int | None = None


class APIStatusError(PlastiqError):
    """The server, or a gateway before it, answered with a status that is not 2xx.

    Args:
        message: What the server says, or the status alone where it says nothing.
        status_code: The HTTP status.
        code: The API's error code, such as ``"VALIDATION_ERROR"``.
        details: What exactly was wrong, a sentence each.
        retry_after: Seconds that the server asks to wait before the next try.

    Attributes:
        message: As the argument.
        status_code: As the argument.
        code: As the argument; None where the body is no error body of the API.
        details: As the argument; empty where there are none.
        retry_after: As the argument; None where the server does not ask for it.
    """

    def __init__(
        self,
        message: str,
        status_code: int,
        code: str | None = None,
        details: tuple[str, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        summary = f"{status_code} {code}: " if code else f"{status_code}: "
        super().__init__("; ".join((summary + message, *details)))
        self.message = message
        self.status_code = status_code
        self.code = code
        self.details = details
        self.retry_after = retry_after

    def __reduce__(
        self,
    ) -> tuple[type[APIStatusError], tuple[object, ...], dict[str, object]]:
        """Pickle by the constructor's arguments; `args` holds the text alone."""
        arguments = (
            self.message,
            self.status_code,
            self.code,
            self.details,
            self.retry_after,
        )
        return type(self), arguments, self.__dict__


class BadRequestError(APIStatusError):
    """400: bad or missing parameters."""


class AuthenticationError(APIStatusError):
    """401: the access token is missing, unknown or rotated away."""


class PermissionDeniedError(APIStatusError):
    """403: not allowed for this key or resource, or from this IP address."""


class NotFoundError(APIStatusError):
    """404: no such resource."""


class ConflictError(APIStatusError):
    """409: the idempotency key is already in flight."""


class UnprocessableEntityError(APIStatusError):
    """422: understood, but not to be processed."""


class RateLimitError(APIStatusError):
    """429: too many requests."""


class InternalServerError(APIStatusError):
    """5xx: the server or a gateway before it failed."""


class ServiceUnavailableError(InternalServerError):
    """503: maintenance, or overload."""
