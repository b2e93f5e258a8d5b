"""When a failed attempt is made again: stamina's loop, and the rule for it."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import anyio

from plastiq_async._call import RetryRule, call_of
from plastiq_async.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    PlastiqError,
)

if TYPE_CHECKING:
    import httpx

    from plastiq_async._call import Call
    from plastiq_async._quota import RetryQuota
    from plastiq_async.middleware import Handler

# The statuses that the API or a gateway answers with when a second try may succeed.
_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
_CONFLICT = 409
_FIRST_WAIT = 0.5
_LONGEST_WAIT = 8.0
_LONGEST_RETRY_AFTER = 60.0


def next_wait(
    error: Exception,
    *,
    rule: RetryRule,
    attempt: int,
    max_retries: int,
    left: float,
    quota: int,
) -> float | None:
    """Decide about another attempt.

    Args:
        error: What the latest attempt ended in.
        rule: When the operation may be sent again.
        attempt: How many attempts there were, 1 or more.
        max_retries: How many may follow the first.
        left: Seconds until the call's deadline.
        quota: How many retries the session has left.

    Returns:
        Seconds to wait before the next attempt, or None to let `error` through: it is
        not of those that pass, the attempts or the quota are used up, or the wait does
        not fit.
    """
    if attempt > max_retries or quota < 1 or not _is_retryable(error, rule):
        return None
    # Full jitter: anywhere below the exponential bound, so that callers spread out.
    bound = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(attempt - 1, 10))
    wait = random.uniform(0, bound)  # noqa: S311 -- not for cryptography
    asked = error.retry_after if isinstance(error, APIStatusError) else None
    if asked is not None:
        if asked > _LONGEST_RETRY_AFTER:
            return None
        wait = max(wait, asked)
    return wait if wait < left else None


def _is_retryable(error: Exception, rule: RetryRule) -> bool:
    if isinstance(error, APIStatusError):
        return rule is not RetryRule.ONLY_IF_UNSENT and (
            error.status_code in _STATUSES
            or (error.status_code == _CONFLICT and rule is not RetryRule.ALWAYS)
        )
    return (
        isinstance(error, APIConnectionError)
        and not isinstance(error, APITimeoutError)
        and not (rule is RetryRule.ONLY_IF_UNSENT and error.outcome_unknown)
    )


class Retry:
    """The innermost middleware: makes the attempts of a call.

    Args:
        quota: How many retries the session's calls have between them.
    """

    def __init__(self, quota: RetryQuota) -> None:
        # Here and not above: it is a fifth of the whole import, and a program that
        # only names our types and errors needs none of it.
        from stamina import AsyncRetryingCaller  # noqa: PLC0415

        self._caller = AsyncRetryingCaller
        self._quota = quota

    async def __call__(
        self, request: httpx.Request, call_next: Handler, /
    ) -> httpx.Response:
        """Try, and try again while `next_wait` says so."""
        call = call_of(request)

        async def attempt() -> httpx.Response:
            call.attempts += 1
            call.sent_at = datetime.now(UTC)
            response = await call_next(request)
            self._quota.earn(retried=call.attempts > 1)
            return response

        try:
            return await attempt()
        except PlastiqError as error:
            failures = [error]

        async def attempt_again() -> httpx.Response:
            # stamina starts with the failure above. To start it any earlier would add
            # a quarter to the cost of the calls that need no second attempt.
            if failures:
                raise failures.pop()
            return await attempt()

        try:
            # The caller form shows the instrumentation no arguments.
            retrying = self._caller(attempts=call.max_retries + 1, timeout=None)
            return await retrying(partial(self._decide, call), attempt_again)
        except PlastiqError as error:
            call.describe(error)
            raise

    def _decide(self, call: Call, error: Exception) -> float | bool:
        if error is call.provider_error:
            return False
        wait = next_wait(
            error,
            rule=call.operation.retry,
            attempt=call.attempts,
            max_retries=call.max_retries,
            left=call.deadline - anyio.current_time(),
            quota=self._quota.left,
        )
        if wait is None:
            return False
        self._quota.spend()
        return wait
