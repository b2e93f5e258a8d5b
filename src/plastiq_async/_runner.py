"""`CallRunner`, what all calls have in common: deadline, permit, retries, attempts."""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial

import anyio
import attrs
import httpx

from plastiq_async._call import Call, CallDefaults, start_call
from plastiq_async._hooks import is_stray, stray_cancellation
from plastiq_async._logging import log_attempt, log_unknown_outcome, logger
from plastiq_async._operation import Operation, T
from plastiq_async._ownership import Ownership
from plastiq_async._pace import Pace, paced_first
from plastiq_async._request import check_headers
from plastiq_async._retry import (
    RetryLoop,
    describe,
    describe_operation,
    is_in_progress,
    is_throttled,
)
from plastiq_async._telemetry import Telemetry, measured_pace
from plastiq_async.errors import (
    APITimeoutError,
    InvalidArgumentError,
    PlastiqError,
    SessionStateError,
)
from plastiq_async.models.common import CallOptions

_RATE_LIMIT = "the rate limit"


@attrs.frozen(kw_only=True, eq=False)
class CallRunner(ABC):
    """Performs calls of a session, or of a view of it.

    A subclass says what is sent, through which transport, and what a success is.
    """

    ownership: Ownership
    retries: RetryLoop
    defaults: CallDefaults
    pace: Pace = attrs.field(factory=Pace)
    telemetry: Telemetry | None = None

    def run(self, operation: Operation[T], options: CallOptions) -> Awaitable[T]:
        """Return an awaitable that performs `operation` and returns its result."""
        try:
            call = start_call(operation, options, self.defaults)
            permits = self.ownership.ensure_permits()
        except PlastiqError as error:
            # There is no call to describe, but a payment or a listing has ended here.
            describe_operation(error, operation, outcome_unknown=False)
            raise
        performing = self._perform(call, operation, permits)
        if self.telemetry is None:
            return performing
        return self.telemetry.observe(call, performing)

    async def _perform(
        self, call: Call, operation: Operation[T], permits: anyio.Semaphore
    ) -> T:
        """Perform `operation` within its deadline, and return its result."""
        ownership = self.ownership
        call.started = anyio.current_time()
        call.deadline = call.started + call.timeout
        scope = anyio.CancelScope(deadline=call.deadline)
        try:
            try:
                with scope:
                    ownership.scopes.add(scope)
                    try:
                        if self.pace.active:
                            await self._pace_first(call, scope)
                        async with permits:
                            call.waiting_for = None
                            if call.measured is not None:
                                call.measured.permitted()
                            return await self.exchange(call, operation)
                    finally:
                        ownership.scopes.discard(scope)
            except BaseException as error:
                # Unless a hook replaced our own cancellation by one of asyncio's, which
                # the scope does not recognize.
                if not (scope.cancel_called and is_stray(error)):
                    _warn_unless_described(error, call)
                    if isinstance(error, anyio.get_cancelled_exc_class()):
                        # Without the frames of HTTP libraries, which hold headers.
                        error.__traceback__ = None
                    raise
            # Only the cancelled scope leads here.
            call.result_lost()
            raise describe(_interruption(call, closed=ownership.closed), call)
        finally:
            call.described_error = call.hook_error = None  # reference cycles

    @abstractmethod
    async def exchange(self, call: Call, operation: Operation[T]) -> T:
        """Build the request, send it, and return the result of the response.

        Its frame and those of what it calls hold no arguments of the user's.
        """

    @abstractmethod
    def _transmit(
        self, call: Call, request: httpx.Request
    ) -> Awaitable[httpx.Response]:
        """Send `request` once, and return its complete response."""

    @abstractmethod
    def _check_status(self, call: Call, response: httpx.Response) -> None:
        """Raise unless `response` says that the call succeeded."""

    async def _pace_first(self, call: Call, scope: anyio.CancelScope) -> None:
        """Wait for the pace of the first attempt, within the deadline or before it."""
        if not paced_first.get():
            await self._ensure_pace(call, self.pace.wait)
            return
        call.deadline = scope.deadline = math.inf
        await self._ensure_pace(call, self.pace.wait_in_turn)
        call.started = anyio.current_time()
        call.deadline = scope.deadline = call.started + call.timeout

    async def _ensure_pace(
        self, call: Call, wait: Callable[[float], Awaitable[bool]]
    ) -> None:
        """Wait until an attempt may begin, or raise at once if that is too late.

        The error is that of the latest attempt, if there was one.
        """
        if not await _wait_for_pace(call, wait):
            msg = f"the rate limit allows no attempt within {call.timeout:g} s"
            error = call.described_error or describe(APITimeoutError(msg), call)
            call.hook_error = error
            del error
            raise call.hook_error

    async def _keep_pace(self, call: Call) -> bool:
        """Wait until `call` may send another request, and return whether it may."""
        return not self.pace.active or await _wait_for_pace(call, self.pace.wait)

    async def _send(self, call: Call, request: httpx.Request) -> httpx.Response:
        """Send `request`, and again while the retry rule allows."""
        try:
            check_headers(request)
        except InvalidArgumentError as error:  # a header that middleware has set
            raise describe(error, call)  # noqa: B904 -- the same error
        try:
            try:
                return await self._attempt(call, request)
            except PlastiqError as error:
                failure = error
            attempt = partial(self._attempt_again, call, request)
            return await self.retries.run(call, failure, attempt)
        except anyio.get_cancelled_exc_class() as error:
            if is_stray(error):
                stray = stray_cancellation("the transport")
                raise describe(stray, call) from error
            raise

    async def _attempt_again(
        self, call: Call, request: httpx.Request
    ) -> httpx.Response:
        """Send `request` once more, as soon as the pace allows."""
        if self.pace.active:
            paid = not is_in_progress(call.described_error, call.operation)
            try:
                await self._ensure_pace(call, self.pace.wait)
            except BaseException:
                if paid:
                    self.retries.quota.give_back()
                raise
        if call.measured is not None:
            call.measured.retrying(call.described_error)
        return await self._attempt(call, request)

    async def _attempt(self, call: Call, request: httpx.Request) -> httpx.Response:
        """Send `request` once, and return the response if it is a success."""
        if self.pace.held:
            await self._ensure_pace(call, self.pace.wait_for_hold)
        call.begin_attempt()
        logged = logger.isEnabledFor(logging.DEBUG)
        started = anyio.current_time() if logged else 0.0
        response = None
        outcome: int | str = "abandoned"
        try:
            response = await self._transmit(call, request)
            outcome = response.status_code
            self._check_status(call, response)
        except PlastiqError as error:
            if response is None:
                outcome = type(error).__name__
            if error is not call.hook_error:
                describe(error, call)
                if is_throttled(error, call.operation):
                    with _hooks_of(call):
                        self.pace.throttled(error.retry_after)
            raise
        finally:
            if logged:
                elapsed = anyio.current_time() - started
                log_attempt(call, outcome, elapsed, response)
        self.retries.quota.earn(retried=call.attempts - call.polls > 1)
        return response


async def _wait_for_pace(call: Call, wait: Callable[[float], Awaitable[bool]]) -> bool:
    """Return what `wait` returns for the deadline of `call`."""
    then, call.waiting_for = call.waiting_for, _RATE_LIMIT
    with _hooks_of(call), measured_pace(call):
        in_time = await wait(call.deadline)
    call.waiting_for = then
    return in_time


@contextmanager
def _hooks_of(call: Call) -> Iterator[None]:
    """Let errors of a rate limiter end `call`: ours described, others unchanged.

    An earlier attempt may have been sent, which the error of a payment must say.
    """
    try:
        yield
    except PlastiqError as error:
        call.hook_error = error  # not retried
        raise describe(error, call)  # noqa: B904 -- the same error


def _interruption(call: Call, *, closed: bool) -> PlastiqError:
    """Return the error of a call that the session cancelled."""
    if closed:
        return SessionStateError("the session was closed during the call")
    if call.described_error is not None and call.waiting_for == _RATE_LIMIT:
        return call.described_error  # of the latest attempt
    waiting = f", waiting for {call.waiting_for}" if call.waiting_for else ""
    msg = f"no result within the deadline of {call.timeout:g} s{waiting}"
    return APITimeoutError(msg)


def _warn_unless_described(error: BaseException, call: Call) -> None:
    """Log what is needed to find out what happened, if `error` cannot carry it."""
    if error is not call.described_error and call.needs_own_response:
        call.result_lost()
        if call.outcome_unknown:
            log_unknown_outcome(call)
