"""`Wire`, the ASGI middleware that receives every request.

It finds the route, records the request, applies the next fault and the checks of
all operations, calls the route and sends its response.
"""

from __future__ import annotations

from decimal import Context, localcontext
from types import MappingProxyType
from typing import NoReturn
from uuid import uuid4

import anyio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from plastiq_async.testing._checks import (
    MAX_BODY_BYTES,
    bearer_token,
    check_body,
    check_headers,
    check_query,
    parse_uuid4,
)
from plastiq_async.testing._errors import ApiError, NotFoundError, ValidationError
from plastiq_async.testing._faults import (
    ConnectionLostError,
    Delay,
    Drop,
    Fail,
    FaultQueue,
    Garble,
    Refuse,
)
from plastiq_async.testing._messages import ApiRequest, ApiResponse
from plastiq_async.testing._records import RecordedRequest
from plastiq_async.testing._responses import (
    error_response,
    fault_response,
    http_response,
)
from plastiq_async.testing._routing import Match, RouteTable
from plastiq_async.testing._state import FakeState

__all__ = ["make_app", "read_body"]

METHODS_WITH_BODY = ("PATCH", "POST", "PUT")
# More than an amount and its fee need.
AMOUNT_DIGITS = 28


def make_app(state: FakeState, faults: FaultQueue, table: RouteTable) -> Starlette:
    """Make the ASGI application of a fake.

    Args:
        state: State of the fake.
        faults: Faults of the fake.
        table: Routes of the fake.

    Returns:
        The application.
    """
    middleware = Middleware(Wire, state=state, faults=faults, table=table)
    return Starlette(middleware=[middleware])


class Wire:
    """ASGI middleware that responds to all HTTP requests by itself.

    Args:
        app: ASGI application for lifespan and WebSocket.
        state: State of the fake.
        faults: Faults of the fake.
        table: Routes of the fake.
    """

    def __init__(
        self, app: ASGIApp, state: FakeState, faults: FaultQueue, table: RouteTable
    ) -> None:
        self._app = app
        self._state = state
        self._faults = faults
        self._table = table

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, and pass everything else on.

        Args:
            scope: ASGI scope.
            receive: ASGI receive channel.
            send: ASGI send channel.

        Raises:
            ConnectionLostError: A fault closes the connection.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # `root_path` is set if the application is mounted below another one.
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        match = self._table.find(scope["method"], path)
        operation = None if match.route is None else match.route.operation
        # Taken before the body is read, so that faults apply in order of arrival.
        fault = self._faults.take_fault(operation)
        if isinstance(fault, Refuse):
            await _hang_up(send, fault)
        request = Request(scope, receive)
        try:
            body = await read_body(request)
        except ClientDisconnect:
            return
        recorded, trace_id = _make_record(request, body, operation)
        self._state.record(recorded)
        if isinstance(fault, Drop) and not fault.after_processing:
            await _hang_up(send, fault)
        if isinstance(fault, (Fail, Garble)):
            if isinstance(fault, Fail) and fault.after_processing:
                self._respond(match, recorded, trace_id, 0.0)
            http = fault_response(fault, trace_id=trace_id)
            await http(scope, receive, send)
            return
        delay = fault.seconds if isinstance(fault, Delay) else 0.0
        response = self._respond(match, recorded, trace_id, delay)
        if isinstance(fault, Drop):
            await _hang_up(send, fault)
        if isinstance(fault, Delay):
            await anyio.sleep(delay)
        http = http_response(response, trace_id=trace_id)
        await http(scope, receive, send)

    def _respond(
        self, match: Match, recorded: RecordedRequest, trace_id: str, delay: float
    ) -> ApiResponse:
        try:
            # In memory, the decimal context would be that of the code under test.
            with localcontext(Context(prec=AMOUNT_DIGITS)):
                return self._call_route(match, recorded, trace_id, delay)
        except ApiError as error:
            return error_response(error, trace_id=trace_id)

    def _call_route(
        self, match: Match, recorded: RecordedRequest, trace_id: str, delay: float
    ) -> ApiResponse:
        route = match.route
        if route is None:
            if match.allowed:
                raise ApiError(405, headers={"Allow": ", ".join(match.allowed)})
            raise NotFoundError
        if not self._state.accepts_token(bearer_token(recorded.headers)):
            raise ApiError(401, headers={"WWW-Authenticate": "Bearer"})
        self._state.rate_limit.count()
        has_body = route.method in METHODS_WITH_BODY
        check_headers(recorded.headers, has_body=has_body)
        if len(recorded.body) > MAX_BODY_BYTES:
            msg = f"body must not be larger than {MAX_BODY_BYTES} bytes"
            raise ValidationError(msg)
        request = ApiRequest(
            operation=route.operation,
            path_params=match.path_params,
            query=check_query(recorded.query, route.query),
            body=check_body(recorded.body) if has_body else {},
            recorded=recorded,
            trace_id=trace_id,
            delay=delay,
        )
        return route.handler(request, self._state)


def _make_record(
    request: Request, body: bytes, operation: str | None
) -> tuple[RecordedRequest, str]:
    headers = {
        name: ", ".join(request.headers.getlist(name)) for name in request.headers
    }
    query = {
        name: tuple(request.query_params.getlist(name)) for name in request.query_params
    }
    # A valid trace ID is sent back as it came, in the same letter case.
    trace_text = headers.get("trace-id", "")
    trace_id = parse_uuid4(trace_text)
    if trace_id is None:
        trace_id = uuid4()
        trace_text = str(trace_id)
    recorded = RecordedRequest(
        method=request.method,
        path=request.scope["path"],
        trace_id=trace_id,
        headers=MappingProxyType(headers),
        body=body,
        query=MappingProxyType(query),
        operation=operation,
    )
    return recorded, trace_text


async def read_body(request: Request) -> bytes:
    """Read the whole body, but keep no more than shows that it is too large.

    Clients that are still sending would not see a response to an unread body.

    Args:
        request: The request.

    Returns:
        The body, or its first `MAX_BODY_BYTES + 1` bytes.

    Raises:
        ClientDisconnect: The client closed the connection.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk[: MAX_BODY_BYTES + 1 - len(body)]
    return body


async def _hang_up(send: Send, fault: Drop | Refuse) -> NoReturn:
    # A server closes the connection if an application fails within a response.
    # Before the response starts, the server would send a complete 500 instead.
    await send(
        {
            "type": "http.response.start",
            "status": 500,
            "headers": [(b"content-length", b"1")],
        }
    )
    raise ConnectionLostError(fault)
