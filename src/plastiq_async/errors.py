"""The errors that this library raises.

::

    PlastiqError
    ├── ConfigurationError            a setting is missing or not usable
    │   └── MissingDependencyError    (also an ImportError) a package is not installed
    ├── InvalidArgumentError          (also a ValueError) refused before sending
    ├── SessionStateError             (also a RuntimeError) closed, other loop, fork
    ├── HookError                     your hook, such as middleware, broke its contract
    ├── APIConnectionError            DNS, TCP, TLS, a dropped connection
    │   └── APITimeoutError           (also a TimeoutError) the call's deadline passed
    ├── APIResponseError              a response that violates the contract
    ├── DocumentUploadError           a document was not stored
    └── APIStatusError                a response with a status that is not 2xx
        ├── BadRequestError           400
        ├── AuthenticationError       401
        ├── PermissionDeniedError     403
        ├── NotFoundError             404
        ├── ConflictError             409
        ├── UnprocessableEntityError  422
        ├── RateLimitError            429
        └── InternalServerError       5xx
            └── ServiceUnavailableError  503

All of them survive pickling. None holds an access token, a client secret, the value of
a request header, or a secret of a request body, such as a card number.
"""

from __future__ import annotations

from typing import Literal, TypeAlias
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
    "DocumentUploadError",
    "HookError",
    "InternalServerError",
    "InvalidArgumentError",
    "MissingDependencyError",
    "NextStep",
    "NotFoundError",
    "PermissionDeniedError",
    "PlastiqError",
    "RateLimitError",
    "ServiceUnavailableError",
    "SessionStateError",
    "UnprocessableEntityError",
]


NextStep: TypeAlias = Literal["same_key", "new_key", "reconcile", "again", "fix"]
"""What to do about an error; see `PlastiqError.next_step`."""


class PlastiqError(Exception):
    """Base class of all errors.

    The attributes describe the call that failed. They keep their defaults if no call
    was made, such as on a `ConfigurationError` of a new session.

    Args:
        message: What went wrong, without any secret.

    Attributes:
        trace_id: The trace ID for the vendor's support: the one in the response, else
            the one that was sent. None if no call was made.
        method: The HTTP method of the call, such as ``"POST"``.
        path: The path template below the base URL, such as ``"/payments/{id}"``.
        attempts: How many attempts were made.
        outcome_unknown: Whether the server may have acted on the call, since an attempt
            was sent and its result is not known.
        idempotency_key: The key that the call carried, if the operation has one.
        resume_offset: The offset of the page that failed, if the call asked for a page
            of a listing. The items before it were received, so a new listing with
            ``offset=`` this value goes on where the failed one ended. None for other
            calls, and for a listing that takes no offset.
        next_step: What to do. None if no call was made and nothing is to be fixed.

            - ``"same_key"``: call again with the same idempotency key.
            - ``"new_key"``: the payment was declined; another attempt to pay needs
              another payment method or decision, and a new key.
            - ``"reconcile"``: read from the API what happened before calling again.
            - ``"again"``: call again; nothing can happen twice.
            - ``"fix"``: change the arguments, the access token or the settings.
    """

    trace_id: UUID | None = None
    method: str | None = None
    path: str | None = None
    attempts: int = 0
    outcome_unknown: bool = False
    idempotency_key: UUID | None = None
    resume_offset: int | None = None
    next_step: NextStep | None = None

    def __init__(self, message: str) -> None:
        super().__init__(message)

    def __str__(self) -> str:
        """Return the message, the call, its trace ID, and where to resume a listing."""
        facts = []
        if self.method is not None:
            tries = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
            facts = [f"{self.method} {self.path}", tries, f"trace ID {self.trace_id}"]
        if self.resume_offset is not None:
            facts.append(f"resume from offset {self.resume_offset}")
        message = super().__str__()
        return f"{message} [{', '.join(facts)}]" if facts else message


class ConfigurationError(PlastiqError):
    """A setting is missing or not usable.

    Such as a missing or malformed token, ``http://`` to a host that is not loopback, a
    bad proxy, CA file or environment variable. The message names the setting and never
    repeats its value.
    """

    next_step: NextStep | None = "fix"


class MissingDependencyError(ConfigurationError, ModuleNotFoundError):
    """An optional package is not installed. The message says how to install it.

    Raised when an integration or `plastiq_async.testing` is imported, or when a session
    is made whose transport or proxy needs the package.

    Attributes:
        name: The module that was not found.
    """


class InvalidArgumentError(PlastiqError, ValueError):
    """An argument was refused before anything was sent."""

    next_step: NextStep | None = "fix"


class SessionStateError(PlastiqError, RuntimeError):
    """The session is closed, belongs to another event loop, or was forked."""


class HookError(PlastiqError):
    """A hook of yours broke its contract.

    A hook is a middleware, a token provider, a rate limiter, a transport, a ``trace``
    extension or an iterator of requests. It returned a wrong value, passed on a request
    that may not be sent, or awaited something that was cancelled although the task was
    not (asyncio). The message names the hook and never repeats a value. An exception
    that a hook raises is not a `HookError`: it reaches the caller unchanged.
    """


class APIConnectionError(PlastiqError):
    """There was no response: DNS, TCP or TLS failed, or the connection was dropped.

    The message has the host and port, those of the proxy if there is one, and the
    reason, such as "Connection refused".

    Attributes:
        host: The host of the base URL. None if no call was made, or for an upload.
        transient: Whether another attempt may succeed. False if a proxy refused to
            connect and will again, such as with 407 for a wrong password. Only
            transient errors are retried.
    """

    host: str | None = None
    transient: bool = True


class APITimeoutError(APIConnectionError, TimeoutError):
    """The deadline of the call passed, or a rate limit allows no attempt before it."""


class APIResponseError(PlastiqError):
    """The response violates the contract.

    It is not JSON, has the wrong shape, an encoding that was not requested, more than
    1 MiB, a header of more than 64 KiB, headers of more than 100 KiB in all, or more
    than 128 of them. The call is not retried. The message names the path into the data,
    never the data.

    Attributes:
        status_code: The status code of the response. None if its headers were too large
            to be read.
    """

    status_code: int | None = None


class DocumentUploadError(PlastiqError):
    """A document was not stored: no response, or another one than a 201 with XML.

    Its `trace_id` is in the logs of this library only, since it is not sent there.

    Attributes:
        status_code: The status code of the response. None if there was none.
        transient: Whether another try with the same presigned upload may succeed. If
            not, create another one with `documents.create`.
    """

    status_code: int | None = None
    transient: bool = True


class APIStatusError(PlastiqError):
    """The server, or a gateway in front of it, returned a status that is not 2xx.

    Args:
        message: The server's message, or what the status means if there is none.
        status_code: The status code.
        code: The API's error code, such as ``"VALIDATION_ERROR"``.
        details: What exactly was wrong, a sentence each.
        retry_after: Seconds to wait before the next attempt, as the server asks.

    Attributes:
        message: As the argument.
        status_code: As the argument.
        code: As the argument. None if the body is no error body of the API.
        details: As the argument. Empty if the server sent none.
        retry_after: As the argument. None if the server did not ask.
        replayed: Whether the server replayed the response that it stored under the
            idempotency key (``Idempotent-Replay: true``).
    """

    replayed: bool = False

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
    """422: the request was understood, but cannot be processed."""


class RateLimitError(APIStatusError):
    """429: too many requests."""


class InternalServerError(APIStatusError):
    """5xx: the server, or a gateway in front of it, failed."""


class ServiceUnavailableError(InternalServerError):
    """503: maintenance or overload."""
