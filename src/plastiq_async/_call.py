"""What is asked for, and how far the asking has come."""

from __future__ import annotations

import enum
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID, uuid4

import attrs

from plastiq_async.errors import ConfigurationError
from plastiq_async.tracing import current_trace_id

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from plastiq_async.errors import PlastiqError
    from plastiq_async.models.common import ResponseInfo

T = TypeVar("T")

# Under this key the session hands each call's state to the rooms on its way.
CALL_EXTENSION = "plastiq_async.call"


class RetryRule(enum.Enum):
    """When an operation may be sent again."""

    ALWAYS = enum.auto()
    """After whatever may pass: doing it twice is harmless."""
    WITH_IDEMPOTENCY_KEY = enum.auto()
    """Likewise, and after a 409: the server itself sorts out the second."""
    ONLY_IF_UNSENT = enum.auto()
    """Only where no request can have arrived."""


@attrs.frozen(kw_only=True)
class Operation(Generic[T]):
    """One request to the API, as its resource words it; knows nothing of HTTP clients.

    Attributes:
        method: The HTTP method.
        path: The path below the base URL.
        headers: The headers that are this operation's own.
        body: The JSON text to send.
        trace_id: The trace ID that the caller asked for.
        retry: When it may be sent again.
        result: Makes the result of the decoded body and how it came about; raises
            AnswerError.
    """

    method: str
    path: str
    headers: tuple[tuple[bytes, bytes], ...] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    trace_id: UUID | None
    retry: RetryRule
    result: Callable[[object, ResponseInfo], T] = attrs.field(repr=False)


@attrs.define(kw_only=True, eq=False)
class Call:
    """The state of one logical call, on its way through the session.

    Attributes:
        operation: What is asked for.
        max_retries: How many attempts may follow the first.
        started: When it began, by `time.perf_counter`.
        deadline: When it must be over, on the event loop's clock.
        trace_id: The trace ID; the server's own once that has answered.
        attempts: How many attempts have begun.
        sent_at: The wall clock before the latest attempt left.
        token: The access token that it carried, for us not to repeat it.
        in_flight: Whether a request is under way right now.
        outcome_unknown: Whether a request may have arrived without an answer.
        provider_error: What the token provider raised: not this call's own failure.
    """

    operation: Operation[Any]
    max_retries: int
    deadline: float
    started: float = attrs.Factory(time.perf_counter)
    trace_id: UUID | None = None
    attempts: int = 0
    sent_at: datetime = attrs.Factory(lambda: datetime.now(UTC))
    token: str = attrs.field(default="", repr=False)
    in_flight: bool = False
    outcome_unknown: bool = False
    provider_error: Exception | None = None

    def choose_trace_id(self) -> UUID:
        """Return the trace ID that the call carries or, if none yet, should carry."""
        asked = self.trace_id or self.operation.trace_id
        return asked or current_trace_id() or uuid4()

    def describe(self, error: PlastiqError) -> None:
        """Write on `error` which call it ended, unless it tells of another."""
        if error is self.provider_error:
            return
        error.trace_id = error.trace_id or self.trace_id
        error.method = self.operation.method
        error.path = self.operation.path
        error.attempts = self.attempts
        error.outcome_unknown = self.outcome_unknown or self.in_flight


exchanging: ContextVar[Call] = ContextVar("plastiq_exchanging")
"""The call whose request is with the transport, for what is given no request there."""


def call_of(request: httpx.Request) -> Call:
    """Return the state of the call that `request` belongs to.

    Raises:
        ConfigurationError: It has none: a middleware made it up.
    """
    call = request.extensions.get(CALL_EXTENSION)
    if isinstance(call, Call):
        return call
    msg = (
        "middleware: passed on a request without the extensions of the one that it "
        "was given"
    )
    raise ConfigurationError(msg)
