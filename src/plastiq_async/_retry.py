"""The retry rule, the next step after an error, and the retry loop."""

import random
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeGuard, TypeVar

import anyio
import httpx

from plastiq_async._call import Call
from plastiq_async._logging import RETRIED_PREFIX, log_retry
from plastiq_async._operation import Operation
from plastiq_async._protocol import TRANSIENT
from plastiq_async._quota import RetryQuota
from plastiq_async.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ConfigurationError,
    DocumentUploadError,
    HookError,
    InvalidArgumentError,
    NextStep,
    PlastiqError,
    RateLimitError,
)

PlastiqErrorT = TypeVar("PlastiqErrorT", bound=PlastiqError)

_REQUEST_TIMEOUT = 408
_CONFLICT = 409
_THROTTLED = 429
_SERVER_ERROR = 500
# Bounds of the first wait, which double with each attempt. The limit of requests needs
# more time to recover than a connection.
_FIRST_WAIT = 0.1
_FIRST_THROTTLED_WAIT = 1.0
_LONGEST_WAIT = 8.0
# A request in flight is polled without jitter.
_FIRST_POLL_WAIT = 0.5
_LONGEST_POLL_WAIT = 4.0
_LONGEST_RETRY_AFTER = 60.0
# Statuses of a gateway, of a token, or of a request in flight: nothing was decided.
_TELLS_NOTHING = frozenset({401, 403, _REQUEST_TIMEOUT, _CONFLICT, _THROTTLED})
# Error codes of a payment that was refused for good.
_DECLINED = re.compile(r"PAYMENT_METHOD_\w+|PROCESSOR_CHARGE_ERROR")


def next_wait(
    error: Exception,
    *,
    operation: Operation[Any],
    attempt: int,
    polls: int,
    max_retries: int,
    left: float,
    quota: int,
) -> float | None:
    """Return the seconds to wait before the next attempt, or None to give up.

    `attempt` counts from 1 and leaves out the polls. `left` is the time until the
    deadline, `quota` the number of retries that the session has left.
    """
    asked = (isinstance(error, APIStatusError) and error.retry_after) or 0.0
    if asked > _LONGEST_RETRY_AFTER:
        return None
    if is_in_progress(error, operation):
        poll = min(_LONGEST_POLL_WAIT, _FIRST_POLL_WAIT * 2.0 ** min(polls, 10))
        wait = max(poll, asked)
    elif attempt > max_retries or quota < 1 or not _is_retryable(error, operation):
        return None
    else:
        # Full jitter, anywhere below the exponential bound, so that callers spread out,
        # also those that were asked to wait for the same time.
        bound = min(_LONGEST_WAIT, _first_wait(error) * 2.0 ** min(attempt - 1, 10))
        wait = asked + random.uniform(0, bound)  # noqa: S311 -- not for cryptography
    return wait if wait < left else None


def _first_wait(error: Exception) -> float:
    """Return the bound of the first wait after `error`, in seconds."""
    if (
        isinstance(error, APIStatusError)
        and error.status_code == _THROTTLED
        and error.retry_after is None
    ):
        return _FIRST_THROTTLED_WAIT
    return _FIRST_WAIT


def is_in_progress(error: Exception | None, operation: Operation[Any]) -> bool:
    """Tell whether the server is still processing the operation's idempotency key."""
    return (
        isinstance(error, APIStatusError)
        and error.status_code == _CONFLICT
        and operation.idempotency_key is not None
        and not error.replayed
    )


def is_throttled(
    error: Exception, operation: Operation[Any]
) -> TypeGuard[RateLimitError]:
    """Tell whether the API refused an attempt because of its limit for all requests."""
    return (
        isinstance(error, RateLimitError)
        and not error.replayed
        and not operation.own_limit
    )


def _is_retryable(error: Exception, operation: Operation[Any]) -> bool:
    """Tell whether the error is transient and the request is safe to send again."""
    repeatable = operation.harmless or operation.idempotency_key is not None
    if isinstance(error, APIStatusError):
        return repeatable and error.status_code in TRANSIENT and not error.replayed
    return (
        isinstance(error, APIConnectionError)
        and not isinstance(error, APITimeoutError)
        and error.transient
        and (repeatable or not error.outcome_unknown)
    )


def describe(error: PlastiqErrorT, call: Call) -> PlastiqErrorT:
    """Return `error` after writing on it which call it ended, and what to do."""
    operation = call.operation
    if isinstance(error, HookError):
        call.result_lost()
    error.trace_id = error.trace_id or call.trace_id
    error.method = operation.method
    error.path = operation.path
    error.attempts = call.attempts
    # Without a decline or a replay, a refusal does not settle what came before: it may
    # be "this is paid already", by an attempt whose key the server has lost, or that of
    # a gateway, which knows nothing of payments.
    if operation.idempotency_key is not None and not _settles(error):
        call.unsettled()
    error.outcome_unknown = call.outcome_unknown
    describe_operation(error, operation, outcome_unknown=call.outcome_unknown)
    if isinstance(error, APIConnectionError):
        error.host = call.defaults.host
    call.described_error = error
    return error


def describe_operation(
    error: PlastiqError, operation: Operation[Any], *, outcome_unknown: bool
) -> None:
    """Write on `error` how to go on with `operation`, whose call may not have begun."""
    error.idempotency_key = operation.idempotency_key
    error.resume_offset = operation.resume_offset
    error.next_step = next_step(error, operation, outcome_unknown=outcome_unknown)


def next_step(
    error: PlastiqError, operation: Operation[Any], *, outcome_unknown: bool
) -> NextStep:
    """Return what the caller should do about `error`, the final one of a call."""
    at_fault = isinstance(error, (InvalidArgumentError, ConfigurationError))
    if at_fault or (isinstance(error, HookError) and not outcome_unknown):
        return "fix"
    status_error = error if isinstance(error, APIStatusError) else None
    if operation.idempotency_key is not None:
        return _step_with_key(status_error) if status_error else "same_key"
    if outcome_unknown and not operation.harmless:
        return "reconcile"
    lasting = (
        isinstance(error, (APIConnectionError, DocumentUploadError))
        and not error.transient
    )
    if lasting or isinstance(error, HookError):
        return "fix"
    if status_error is None or status_error.status_code == _THROTTLED:
        return "again"
    status = status_error.status_code
    transient = status == _REQUEST_TIMEOUT or status >= _SERVER_ERROR
    return "again" if operation.harmless and transient else "fix"


def _settles(error: PlastiqError) -> bool:
    """Tell whether `error` is the definite answer to all attempts with its key."""
    answer = error if isinstance(error, APIStatusError) else None
    return answer is not None and (answer.replayed or _is_declined(answer))


def _is_declined(error: APIStatusError) -> bool:
    """Tell whether the payment was refused for good."""
    status = error.status_code
    refused = 400 <= status < _SERVER_ERROR and status not in _TELLS_NOTHING  # noqa: PLR2004
    return refused and bool(error.code and _DECLINED.fullmatch(error.code))


def _step_with_key(error: APIStatusError) -> NextStep:
    status = error.status_code
    if status >= _SERVER_ERROR or status in {_REQUEST_TIMEOUT, _CONFLICT, _THROTTLED}:
        # The same key would bring a replayed response again.
        return "reconcile" if error.replayed else "same_key"
    if _is_declined(error):
        return "new_key"
    if status in {401, 403} or status < 400:  # noqa: PLR2004 -- 3xx
        return "fix"
    return "reconcile" if status in {400, 404, 422} else "fix"


class RetryLoop:
    """Repeats failed attempts, in stamina's loop."""

    def __init__(self, quota: RetryQuota) -> None:
        # Not at the top: it is a fifth of the import time, and a program that only
        # imports our types and errors does not need it.
        from stamina import retry  # noqa: PLC0415

        self._retry = retry
        self.quota = quota

    async def run(
        self,
        call: Call,
        failure: PlastiqError,
        attempt: Callable[[], Awaitable[httpx.Response]],
    ) -> httpx.Response:
        """Return the response of the first attempt that succeeds."""
        failures = [failure]

        async def attempt_again() -> httpx.Response:
            if failures:
                raise failures.pop()
            return await attempt()

        # The name that stamina's instrumentation sees.
        attempt_again.__module__ = RETRIED_PREFIX.rstrip(".")
        attempt_again.__qualname__ = call.operation.name
        # The rule alone decides how often and how long.
        rule = partial(self._decide, call)
        retrying = self._retry(on=rule, attempts=None, timeout=None)(attempt_again)
        return await retrying()

    def _decide(self, call: Call, error: Exception) -> float | bool:
        """Return the wait before the next attempt, or False to give up."""
        if error is call.hook_error:
            return False
        wait_with = partial(
            next_wait,
            error,
            operation=call.operation,
            attempt=call.attempts - call.polls,
            polls=call.polls,
            max_retries=call.defaults.max_retries,
            left=call.deadline - anyio.current_time(),
        )
        wait = wait_with(quota=self.quota.left)
        if wait is None:
            if call.measured is not None and self.quota.left < 1:
                call.measured.quota_exhausted = wait_with(quota=1) is not None
            return False
        if is_in_progress(error, call.operation):
            call.polls += 1
        else:
            self.quota.spend()
        log_retry(call, error, wait)
        return wait
