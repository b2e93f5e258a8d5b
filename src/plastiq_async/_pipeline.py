"""The pipeline of a call: ownership, deadline, permit, middleware, retries, attempt."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from functools import partial
from inspect import isawaitable

import anyio
import attrs
import httpx

from plastiq_async._auth import BearerAuth, TokenSource
from plastiq_async._call import Call, CallDefaults, start_call
from plastiq_async._hooks import is_stray, name_hook, stray_cancellation, wrong_result
from plastiq_async._logging import log_attempt, log_unknown_outcome, logger
from plastiq_async._middleware import RequestSeal, check_passed_on, check_response
from plastiq_async._operation import Operation, T
from plastiq_async._ownership import Ownership
from plastiq_async._protocol import (
    header_values,
    is_replay,
    is_success,
    parse_trace_id,
    read_result,
    status_error,
)
from plastiq_async._request import RequestBuilder, check_headers
from plastiq_async._retry import RetryLoop, describe, describe_operation
from plastiq_async.errors import (
    APITimeoutError,
    InvalidArgumentError,
    PlastiqError,
    SessionStateError,
)
from plastiq_async.middleware import Middleware
from plastiq_async.models.common import CallOptions, ResponseInfo


@attrs.frozen(kw_only=True, eq=False)
class Pipeline:
    """Performs the operations of a session, or of a view of it."""

    ownership: Ownership
    client: httpx.AsyncClient
    builder: RequestBuilder
    tokens: TokenSource
    middleware: tuple[Middleware, ...]
    retries: RetryLoop
    defaults: CallDefaults

    async def run(self, operation: Operation[T], options: CallOptions) -> T:
        """Perform `operation` within its deadline, and return its result."""
        ownership = self.ownership
        try:
            call = start_call(operation, options, self.defaults)
            permits = ownership.ensure_permits()
        except PlastiqError as error:
            # There is no call to describe, but a payment or a listing has ended here.
            describe_operation(error, operation, outcome_unknown=False)
            raise
        call.started = anyio.current_time()
        call.deadline = call.started + call.timeout
        scope = anyio.CancelScope(deadline=call.deadline)
        try:
            with scope:
                ownership.scopes.add(scope)
                try:
                    async with permits:
                        call.waiting_for = None
                        return await self.exchange(call, operation)
                finally:
                    ownership.scopes.discard(scope)
        except BaseException as error:
            # Unless a hook replaced our own cancellation by one of asyncio's, which the
            # scope does not recognize.
            if not (scope.cancel_called and is_stray(error)):
                _warn_unless_described(error, call)
                if isinstance(error, anyio.get_cancelled_exc_class()):
                    # Without the frames of HTTP libraries, which hold headers.
                    error.__traceback__ = None
                raise
        finally:
            call.described_error = None  # a reference cycle
        # Only the cancelled scope leads here.
        call.result_lost()
        raise describe(_interruption(call, closed=ownership.closed), call)

    async def exchange(self, call: Call, operation: Operation[T]) -> T:
        """Send the request through the middleware, and decode the response.

        Its frame and those of what it calls hold no arguments of the user's.
        """
        request = self.builder.build(call)
        response = await self._pass_on(call, request)
        try:
            # Again, since middleware can return a response of its own.
            _check_status(call, response)
            info = _info(call, response)
            return read_result(operation, response.content, info, token=call.token)
        except PlastiqError as error:
            call.result_lost()
            describe(error, call)
            raise

    async def _pass_on(
        self,
        call: Call,
        request: httpx.Request,
        layer: int = 0,
        seal: RequestSeal | None = None,
    ) -> httpx.Response:
        """Pass `request` through the middleware from `layer` on, then send it."""
        middleware = self.middleware[layer]
        passed = False

        def call_next(request: httpx.Request) -> Awaitable[httpx.Response]:
            nonlocal passed
            check_passed_on(middleware, request, call, seal, again=passed)
            passed = True
            below = layer + 1
            if below == len(self.middleware):
                return self._send(call, request)
            # Made once the first layer, which is ours, has completed the request.
            return self._pass_on(call, request, below, seal or RequestSeal.of(request))

        try:
            result = middleware(request, call_next)
            if isawaitable(result):
                return check_response(middleware, await result, call)
        except anyio.get_cancelled_exc_class() as error:
            if is_stray(error):
                stray = stray_cancellation(name_hook("middleware", middleware))
                raise describe(stray, call) from error
            raise
        wrong = wrong_result("middleware", middleware, result, "an awaitable")
        raise describe(wrong, call)

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
            attempt = partial(self._attempt, call, request)
            return await self.retries.run(call, failure, attempt)
        except anyio.get_cancelled_exc_class() as error:
            if is_stray(error):
                stray = stray_cancellation("the transport")
                raise describe(stray, call) from error
            raise

    async def _attempt(self, call: Call, request: httpx.Request) -> httpx.Response:
        """Send `request` once, and return the response if it is a success."""
        call.begin_attempt()
        logged = logger.isEnabledFor(logging.DEBUG)
        started = anyio.current_time() if logged else 0.0
        response = None
        outcome: int | str = "abandoned"
        try:
            auth = BearerAuth(self.tokens, call)
            response = await self.client.send(request, auth=auth)
            outcome = response.status_code
            _check_status(call, response)
        except PlastiqError as error:
            if response is None:
                outcome = type(error).__name__
            if error is not call.provider_error:
                describe(error, call)
            raise
        finally:
            if logged:
                elapsed = anyio.current_time() - started
                log_attempt(call, outcome, elapsed, response)
        self.retries.quota.earn(retried=call.attempts - call.polls > 1)
        return response


def _interruption(call: Call, *, closed: bool) -> PlastiqError:
    """Return the error of a call that the session cancelled."""
    if closed:
        return SessionStateError("the session was closed during the call")
    waiting = f", waiting for {call.waiting_for}" if call.waiting_for else ""
    msg = f"no result within the deadline of {call.timeout:g} s{waiting}"
    return APITimeoutError(msg)


def _check_status(call: Call, response: httpx.Response) -> None:
    """Raise unless `response` says that the call succeeded."""
    status = response.status_code
    if is_success(status) or call.already_deleted(status):
        return
    raise status_error(
        status,
        response.headers.raw,
        response.content,
        datetime.now(UTC),
        token=call.token,
        secrets=call.body_secrets,
    )


def _warn_unless_described(error: BaseException, call: Call) -> None:
    """Log what is needed to find out what happened, if `error` cannot carry it."""
    if error is not call.described_error and call.needs_own_response:
        call.result_lost()
        if call.outcome_unknown:
            log_unknown_outcome(call)


def _info(call: Call, response: httpx.Response) -> ResponseInfo:
    """Return the metadata of `response`."""
    headers, trace_id = response.headers.raw, call.trace_id
    if header_values(headers, b"trace-id") != [call.trace_text]:
        trace_id = parse_trace_id(headers) or trace_id
    return ResponseInfo(
        status=response.status_code,
        headers=response.headers,
        trace_id=trace_id,
        attempts=call.attempts,
        sent_at=call.sent_at,
        elapsed=timedelta(seconds=anyio.current_time() - call.started),
        idempotency_key=call.operation.idempotency_key,
        replayed=call.operation.idempotency_key is not None and is_replay(headers),
    )
