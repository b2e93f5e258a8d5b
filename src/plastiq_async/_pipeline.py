"""The pipeline of a call: ownership, deadline, permit, middleware, retries, attempt."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from functools import partial

import anyio
import attrs
import httpx

from plastiq_async._auth import BearerAuth, TokenSource
from plastiq_async._call import Call, CallDefaults, call_of, start_call
from plastiq_async._logging import log_attempt, log_unknown_outcome, logger
from plastiq_async._operation import Operation, T
from plastiq_async._ownership import Ownership
from plastiq_async._protocol import (
    header_values,
    is_success,
    parse_trace_id,
    read_result,
    status_error,
)
from plastiq_async._request import RequestBuilder, check_headers
from plastiq_async._retry import RetryLoop, next_step
from plastiq_async.errors import APITimeoutError, PlastiqError, SessionStateError
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
        call = start_call(operation, options, self.defaults)
        ownership = self.ownership
        permits = ownership.ensure_permits()
        call.deadline = anyio.current_time() + call.timeout
        try:
            with anyio.CancelScope(deadline=call.deadline) as scope:
                ownership.scopes.add(scope)
                try:
                    async with permits:
                        return await self._exchange(call, operation)
                finally:
                    ownership.scopes.discard(scope)
        except anyio.get_cancelled_exc_class():
            # A cancellation can carry neither the key nor the trace ID.
            if call.needs_own_response and call.outcome_unknown:
                log_unknown_outcome(call)
            raise
        # Only the cancelled scope leads here.
        error: PlastiqError = (
            SessionStateError("the session was closed during the call")
            if ownership.closed
            else APITimeoutError(f"no result within the deadline of {call.timeout:g} s")
        )
        _describe(error, call)
        raise error

    async def _exchange(self, call: Call, operation: Operation[T]) -> T:
        """Send the request through the middleware, and decode the response."""
        request = self.builder.build(call)
        response = await self._pass_on(call, request)
        try:
            # Again, since middleware can return a response of its own.
            _check_status(call, response)
            return read_result(operation, response.content, _info(call, response))
        except PlastiqError as error:
            if call.attempts and is_success(response.status_code):
                call.answered(response.status_code, readable=False)
            _describe(error, call)
            raise

    async def _pass_on(
        self, call: Call, request: httpx.Request, layer: int = 0
    ) -> httpx.Response:
        """Pass `request` through the middleware from `layer` on, then send it."""
        if layer == len(self.middleware):
            return await self._send(call, request)

        def call_next(request: httpx.Request) -> Awaitable[httpx.Response]:
            return self._pass_on(call, request, layer + 1)

        return await self.middleware[layer](request, call_next)

    async def _send(self, call: Call, request: httpx.Request) -> httpx.Response:
        """Send `request`, and again while the retry rule allows."""
        call_of(request)  # raises if middleware built it itself
        check_headers(request)
        try:
            return await self._attempt(call, request)
        except PlastiqError as error:
            failure = error
        attempt = partial(self._attempt, call, request)
        return await self.retries.run(call, failure, attempt)

    async def _attempt(self, call: Call, request: httpx.Request) -> httpx.Response:
        """Send `request` once, and return the response if it is a success."""
        call.begin_attempt()
        started = time.perf_counter()
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
                _describe(error, call)
            raise
        finally:
            if logger.isEnabledFor(logging.DEBUG):
                elapsed = time.perf_counter() - started
                log_attempt(call, outcome, elapsed, response)
        self.retries.quota.earn(retried=call.attempts - call.polls > 1)
        return response


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


def _describe(error: PlastiqError, call: Call) -> None:
    """Write on `error` which call it ended, and what to do about it."""
    operation = call.operation
    error.trace_id = error.trace_id or call.trace_id
    error.method = operation.method
    error.path = operation.path
    error.attempts = call.attempts
    error.outcome_unknown = call.outcome_unknown
    error.idempotency_key = operation.idempotency_key
    error.next_step = next_step(error, operation, outcome_unknown=call.outcome_unknown)


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
        elapsed=timedelta(seconds=time.perf_counter() - call.started),
    )
