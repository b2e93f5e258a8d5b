"""For any ASGI application, on any event loop: a trace ID and a device cookie.

`TraceIdMiddleware` gives each request one trace ID, for its calls, its log records and
its answer; `DeviceCookieMiddleware` knows a browser again. Starlette and FastAPI take
both with ``app.add_middleware(TraceIdMiddleware)``; any application can be wrapped::

    application = TraceIdMiddleware(application)

The difference: what Starlette answers after an exception that nobody handles is made
outside of all that was added, and carries the header only if the whole is wrapped.
"""

from __future__ import annotations

from uuid import UUID

from plastiq_async._protocol import header_values
from plastiq_async.integrations._asgi_types import (
    ASGIApp,
    Message,
    Receive,
    Scope,
    Send,
)
from plastiq_async.integrations._device import (
    DEFAULT_NAME,
    DEVICE,
    DeviceCookie,
    is_secure,
)
from plastiq_async.integrations._trace_ids import (
    TraceIdFilter,
    check_name,
    inbound_trace_id,
)
from plastiq_async.tracing import trace_context

__all__ = ["DeviceCookieMiddleware", "TraceIdFilter", "TraceIdMiddleware"]

# Where in the scope of a request it is, for another middleware further in.
_TRACE_ID = "plastiq_async.integrations.trace_id"
# The messages that carry an answer's headers.
_STARTS = {
    "http.response.start",
    "websocket.accept",
    "websocket.http.response.start",
}


class TraceIdMiddleware:
    """Give each request one trace ID, and answer with it.

    A valid one that comes along is taken, anything else is replaced by a new one. It is
    in force as by `trace_context` until the application is done, background tasks
    included; a WebSocket has one for all its messages.

    Args:
        app: The application.
        header: The name of the header, of the request and of the answer.

    Raises:
        ConfigurationError: `header` cannot be the name of a header.
    """

    def __init__(self, app: ASGIApp, *, header: str = "Trace-Id") -> None:
        self._app = app
        self._header = check_name("header", header).lower().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or pass on what is none.

        Args:
            scope: The ASGI scope.
            receive: The ASGI receive channel.
            send: The ASGI send channel.
        """
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        # A sub-application may have this middleware, too: one request, one trace ID.
        if _TRACE_ID not in scope:
            values = header_values(scope["headers"], self._header)
            scope[_TRACE_ID] = inbound_trace_id(values)
        trace_id: UUID = scope[_TRACE_ID]

        async def send_traced(message: Message) -> None:
            if message["type"] in _STARTS:
                headers = [
                    pair
                    for pair in message.get("headers", ())
                    if pair[0].lower() != self._header
                ]
                headers.append((self._header, str(trace_id).encode()))
                message = {**message, "headers": headers}
            await send(message)

        with trace_context(trace_id):
            await self._app(scope, receive, send_traced)


class DeviceCookieMiddleware:
    """Know a browser again, by a random ID in a cookie.

    With it, `end_user_from` of `plastiq_async.integrations.fastapi` fills in
    `EndUser.device_id`, already at the request that comes without the cookie. Only
    an answer to a request for which that happened sets the cookie, for 400 days; it is
    for this host alone, hidden from scripts, and sent over https only, except where the
    whole request was plain http to a loopback host.

    Args:
        app: The application.
        name: The cookie's name. One that begins with ``__Host-`` keeps out what other
            hosts of the domain set, but works over https only.

    Raises:
        ConfigurationError: `name` cannot be the name of a cookie.
    """

    def __init__(self, app: ASGIApp, *, name: str = DEFAULT_NAME) -> None:
        self._app = app
        self._cookie = DeviceCookie(name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or pass on what is none.

        Args:
            scope: The ASGI scope.
            receive: The ASGI receive channel.
            send: The ASGI send channel.
        """
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        device = self._cookie.read(header_values(scope["headers"], b"cookie"))
        scope[DEVICE] = device

        async def send_with_cookie(message: Message) -> None:
            if message["type"] in _STARTS and device.issued:
                secure = is_secure(
                    scope.get("scheme", "http"),
                    header_values(scope["headers"], b"host"),
                    (name.decode("latin-1").lower() for name, _ in scope["headers"]),
                )
                cookie = self._cookie.write(device.issued, secure=secure)
                headers = [*message.get("headers", ())]
                headers.append((b"set-cookie", cookie.encode()))
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, send_with_cookie)
