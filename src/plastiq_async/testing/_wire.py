"""`Wire`, the ASGI middleware that serves every request.

It finds the route, applies the checks of all operations, calls the route and sends its
response. Uploads go to the storage, which is no part of the API.
"""

from __future__ import annotations

from decimal import Context, localcontext
from functools import partial

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from plastiq_async.testing._checks import (
    MAX_BODY_BYTES,
    bearer_token,
    check_body,
    check_headers,
    check_query,
)
from plastiq_async.testing._errors import ApiError, NotFoundError, ValidationError
from plastiq_async.testing._faults import FaultQueue
from plastiq_async.testing._messages import ApiRequest, ApiResponse
from plastiq_async.testing._models.documents import STORAGE_PATH
from plastiq_async.testing._receiver import Received, Receiver
from plastiq_async.testing._responses import error_response, http_response
from plastiq_async.testing._routing import Match, RouteTable
from plastiq_async.testing._state import FakeState
from plastiq_async.testing._storage import (
    MAX_FORM_BYTES,
    UPLOAD_OPERATION,
    store_form,
)

__all__ = ["make_app"]

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
        self._receiver = Receiver(state, faults)
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
        if path.startswith(STORAGE_PATH):
            await self._receiver.serve(
                scope,
                receive,
                send,
                operation=UPLOAD_OPERATION,
                respond=partial(store_form, self._state, path),
                max_body=MAX_FORM_BYTES,
            )
            return
        match = self._table.find(scope["method"], path)
        await self._receiver.serve(
            scope,
            receive,
            send,
            operation=None if match.route is None else match.route.operation,
            respond=partial(self._respond, match),
        )

    def _respond(self, match: Match, received: Received) -> Response:
        try:
            # In memory, the decimal context would be that of the code under test.
            with localcontext(Context(prec=AMOUNT_DIGITS)):
                response = self._call_route(match, received)
        except ApiError as error:
            response = error_response(error, trace_id=received.trace_id)
        return http_response(response, trace_id=received.trace_id)

    def _call_route(self, match: Match, received: Received) -> ApiResponse:
        route = match.route
        recorded = received.recorded
        if route is None:
            if match.allowed:
                raise ApiError(405, headers={"Allow": ", ".join(match.allowed)})
            raise NotFoundError
        if not self._state.accepts_token(bearer_token(recorded.headers)):
            raise ApiError(401, headers={"WWW-Authenticate": "Bearer"})
        self._state.rate_limit.count()
        has_body = route.method in METHODS_WITH_BODY
        check_headers(recorded.headers, has_body=has_body)
        if len(received.body) > MAX_BODY_BYTES:
            msg = f"body must not be larger than {MAX_BODY_BYTES} bytes"
            raise ValidationError(msg)
        request = ApiRequest(
            operation=route.operation,
            path_params=match.path_params,
            query=check_query(recorded.query, route.query),
            body=check_body(received.body) if has_body else {},
            recorded=recorded,
            trace_id=received.trace_id,
            origin=received.origin,
            delay=received.delay,
        )
        return route.handler(request, self._state)
