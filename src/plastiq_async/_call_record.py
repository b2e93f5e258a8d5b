"""`CallInfo`, `CallRecord`, `SessionStats`: descriptions of calls and session state."""

from collections.abc import Callable
from uuid import UUID

import attrs

from plastiq_async._call import Call


@attrs.frozen(kw_only=True)
class CallInfo:
    """What is known of the call that a request belongs to.

    Attributes:
        operation: The resource and its method, such as ``"client_secrets.create"``.
        method: The HTTP method, such as ``"POST"``.
        path: The path template below the base URL, such as ``"/payments/{id}"``. It
            holds no IDs, so it suits metrics.
        trace_id: The trace ID that all attempts carry.
        idempotency_key: The idempotency key, if the operation has one.
        attempts: How many attempts were begun so far.
        deadline: When the call must end, on the event loop's clock
            (`anyio.current_time`).
        host: The host of the base URL. None for the upload of a document, which goes
            elsewhere.
    """

    operation: str
    method: str
    path: str
    trace_id: UUID
    idempotency_key: UUID | None
    attempts: int
    deadline: float
    host: str | None


@attrs.frozen(kw_only=True)
class CallRecord(CallInfo):
    """What is known of a call that has ended, for an observer of the session.

    It holds no IDs of payers or payments, no secrets and nothing of what was sent or
    received, so it can be logged as it is. Durations are in seconds, on the event
    loop's clock.

    Attributes:
        trace_id: The trace ID in the response, else the one that was sent.
        status: The status code of the response, such as 200. None if the last attempt
            had no response, or nothing was sent.
        error_type: The name of the exception's class, such as ``"RateLimitError"``.
            None if the call succeeded.
        cancelled: Whether the caller cancelled the call. A deadline that passed is an
            ``"APITimeoutError"``, and a session that was closed meanwhile is a
            ``"SessionStateError"``.
        outcome_unknown: As on `PlastiqError`, also for a call that was cancelled.
        replayed: Whether the server replayed the response that it stored under the
            idempotency key.
        elapsed: The duration of the whole call, all waits included.
        permit_wait: How long it waited for its permit, of which there are
            ``max_connections``.
        pace_wait: How long it waited for a rate limit, before all of its attempts.
        retries: The name of the error's class for each attempt that was followed by
            another one.
        quota_exhausted: Whether the call failed without a retry which it would have
            had, because the session's retry quota was used up.
    """

    status: int | None
    error_type: str | None
    cancelled: bool
    outcome_unknown: bool
    replayed: bool
    elapsed: float
    permit_wait: float
    pace_wait: float
    retries: tuple[str, ...]
    quota_exhausted: bool


Observer = Callable[[CallRecord], object]
"""A callable, not async, that a session calls with the record of each call."""


@attrs.frozen(kw_only=True)
class SessionStats:
    """The state of a session and all of its views at one moment.

    Attributes:
        in_use: The calls that hold one of the ``max_connections`` permits.
        waiting: The calls that wait for a permit.
        retry_quota_left: How many retries may be made now. If it is 0, failed calls are
            not retried until others succeed.
        idle_connections: The open connections that no request uses. The server may
            have closed some of them already. None if the transport is your own.
    """

    in_use: int
    waiting: int
    retry_quota_left: int
    idle_connections: int | None


def info_of(call: Call) -> CallInfo:
    """Return what is known of `call` at this moment."""
    operation = call.operation
    return CallInfo(
        operation=operation.name,
        method=operation.method,
        path=operation.path,
        trace_id=call.trace_id,
        idempotency_key=operation.idempotency_key,
        attempts=call.attempts,
        deadline=call.deadline,
        host=call.defaults.host,
    )
