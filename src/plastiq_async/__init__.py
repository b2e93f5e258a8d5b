"""Async-first client for the Plastiq Connect payments API."""

from plastiq_async._auth import TokenProvider
from plastiq_async._config import Environment
from plastiq_async._resources.client_secrets import ClientSecrets
from plastiq_async._session import PlastiqSession
from plastiq_async._transport.make import TransportName
from plastiq_async._version import __version__
from plastiq_async.errors import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConflictError,
    HookError,
    InternalServerError,
    InvalidArgumentError,
    MissingDependencyError,
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
    "ClientSecrets",
    "ConfigurationError",
    "ConflictError",
    "CreateClientSecret",
    "EndUser",
    "Environment",
    "Failed",
    "HookError",
    "InternalServerError",
    "InvalidArgumentError",
    "MissingDependencyError",
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
    "TokenProvider",
    "TransportName",
    "UnprocessableEntityError",
    "__version__",
    "current_trace_id",
    "trace_context",
]
