"""The pipeline of an operation of the API: request, middleware, client, result."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from inspect import isawaitable

import anyio
import attrs
import httpx

from plastiq_async._auth import BearerAuth, TokenSource
from plastiq_async._call import Call
from plastiq_async._hooks import is_stray, name_hook, stray_cancellation, wrong_result
from plastiq_async._middleware import RequestSeal, check_passed_on, check_response
from plastiq_async._operation import Operation, T
from plastiq_async._protocol import (
    header_values,
    is_replay,
    is_success,
    parse_trace_id,
    read_result,
    status_error,
)
from plastiq_async._request import RequestBuilder
from plastiq_async._retry import describe
from plastiq_async._runner import CallRunner
from plastiq_async.errors import PlastiqError
from plastiq_async.middleware import Middleware
from plastiq_async.models.common import ResponseInfo


@attrs.frozen(kw_only=True, eq=False)
class Pipeline(CallRunner):
    """Performs the operations of a session, or of a view of it."""

    client: httpx.AsyncClient
    builder: RequestBuilder
    tokens: TokenSource
    middleware: tuple[Middleware, ...]

    async def exchange(self, call: Call, operation: Operation[T]) -> T:
        """Send the request through the middleware, and decode the response.

        Its frame and those of what it calls hold no arguments of the user's.
        """
        request = self.builder.build(call)
        response = await self._pass_on(call, request)
        try:
            # Again, since middleware can return a response of its own.
            self._check_status(call, response)
            return read_result(
                operation,
                response.content,
                _info(call, response),
                token=call.token,
                secrets=call.secrets,
            )
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

    def _transmit(
        self, call: Call, request: httpx.Request
    ) -> Awaitable[httpx.Response]:
        """Send `request` once, with the access token."""
        auth = BearerAuth(self.tokens, call, self._keep_pace)
        return self.client.send(request, auth=auth)

    def _check_status(self, call: Call, response: httpx.Response) -> None:
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
            secrets=call.secrets,
        )


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
