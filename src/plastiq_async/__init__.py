"""Async-first client for the Plastiq Connect payments API."""

from plastiq_async._session import PlastiqSession
from plastiq_async.errors import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConflictError,
    InternalServerError,
    InvalidArgumentError,
    NextStep,
    NotFoundError,
    PermissionDeniedError,
    PlastiqError,
    RateLimitError,
    ServiceUnavailableError,
    SessionStateError,
    UnprocessableEntityError,
)
from plastiq_async.models import (
    CallOptions,
    ClientSecret,
    CreateClientSecret,
    EndUser,
    Failed,
    Outcome,
    Page,
    ResponseInfo,
    Succeeded,
)
from plastiq_async.tracing import current_trace_id, trace_context

__all__ = [
    "APIConnectionError",
    "APIResponseError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "CallOptions",
    "ClientSecret",
    "ConfigurationError",
    "ConflictError",
    "CreateClientSecret",
    "EndUser",
    "Failed",
    "InternalServerError",
    "InvalidArgumentError",
    "NextStep",
    "NotFoundError",
    "Outcome",
    "Page",
    "PermissionDeniedError",
    "PlastiqError",
    "PlastiqSession",
    "RateLimitError",
    "ResponseInfo",
    "ServiceUnavailableError",
    "SessionStateError",
    "Succeeded",
    "UnprocessableEntityError",
    "current_trace_id",
    "trace_context",
]


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 -- seldom asked for

        return version("plastiq-async")
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
