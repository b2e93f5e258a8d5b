"""ASGI middleware: a trace ID for each request, and a device cookie.

`TraceIdMiddleware` gives each request one trace ID, which its calls, its log records
and its response carry. `DeviceCookieMiddleware` recognises a returning browser. In
Starlette and FastAPI, add each with ``app.add_middleware(TraceIdMiddleware)``. Any ASGI
application can be wrapped::

    application = TraceIdMiddleware(application)

Starlette makes the response to an unhandled exception outside of all middleware that
was added. That response carries the trace ID only if the application is wrapped.
"""

from __future__ import annotations

from plastiq_async._protocol import header_values
from plastiq_async.integrations._asgi_types import (
    ASGIApp,
    Message,
    Receive,
    Scope,
    Send,
)
from plastiq_async.integrations._device import DEFAULT_NAME, DEVICE_KEY, DeviceCookie
from plastiq_async.integrations._trace_ids import (
    RequestTraceId,
    TraceIdFilter,
    check_name,
    choose_trace_id,
)
from plastiq_async.tracing import trace_context

__all__ = [
    "ASGIApp",
    "DeviceCookieMiddleware",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "TraceIdFilter",
    "TraceIdMiddleware",
]

# Key of the trace ID in the scope of a request.
_TRACE_ID = "plastiq_async.integrations.trace_id"
# The types of messages that contain response headers.
_RESPONSE_STARTS = {
    "http.response.start",
    "websocket.accept",
    "websocket.http.response.start",
}


class TraceIdMiddleware:
    """Middleware that gives each request one trace ID, and returns it in the response.

    The request's own trace ID is used if it is a UUID of version 4 in any usual
    spelling, otherwise a new one. It applies to all calls of the request, as with
    `trace_context`, including those of background tasks. Calls and logs have the
    canonical spelling, and the response header has that of the request. A WebSocket has
    one trace ID for all its messages.

    Args:
        app: The application.
        header: The name of the header in requests and responses.

    Raises:
        ConfigurationError: `header` is not a valid name of a header.
    """

    def __init__(self, app: ASGIApp, *, header: str = "Trace-Id") -> None:
        self._app = app
        self._header = check_name("header", header).lower().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; other scopes are passed on unchanged.

        Args:
            scope: The ASGI scope.
            receive: The ASGI receive channel.
            send: The ASGI send channel.
        """
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        # A sub-application may have its own middleware for the same request.
        if _TRACE_ID not in scope:
            values = header_values(scope["headers"], self._header)
            scope[_TRACE_ID] = choose_trace_id(values)
        trace_id: RequestTraceId = scope[_TRACE_ID]

        async def send_with_trace_id(message: Message) -> None:
            if message["type"] in _RESPONSE_STARTS:
                headers = [
                    pair
                    for pair in message.get("headers", ())
                    if pair[0].lower() != self._header
                ]
                headers.append((self._header, trace_id.text.encode()))
                message = {**message, "headers": headers}
            await send(message)

        with trace_context(trace_id.id):
            await self._app(scope, receive, send_with_trace_id)


class DeviceCookieMiddleware:
    """Middleware that recognises a returning browser by a random ID in a cookie.

    With it, `plastiq_async.integrations.fastapi.end_user_from` fills in
    `EndUser.device_id`. If the request has no cookie, `end_user_from` makes a new ID,
    and the response sets the cookie. The cookie lasts 400 days, is sent to this host
    only, and is hidden from scripts.

    Args:
        app: The application.
        name: The cookie's name. The prefix ``__Host-`` prevents other hosts of the
            domain from setting the cookie, and requires `secure`.
        secure: Whether browsers send the cookie over https only. Chromium and Firefox
            also accept it from ``http://localhost``. Safari does not, so pass False to
            develop with Safari without https.

    Raises:
        ConfigurationError: `name` is not a valid name of a cookie.
    """

    def __init__(
        self, app: ASGIApp, *, name: str = DEFAULT_NAME, secure: bool = True
    ) -> None:
        self._app = app
        self._cookie = DeviceCookie(name, secure=secure)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; other scopes are passed on unchanged.

        Args:
            scope: The ASGI scope.
            receive: The ASGI receive channel.
            send: The ASGI send channel.
        """
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        device = self._cookie.parse(header_values(scope["headers"], b"cookie"))
        scope[DEVICE_KEY] = device

        async def send_with_cookie(message: Message) -> None:
            if message["type"] in _RESPONSE_STARTS and device.new_id:
                cookie = self._cookie.format(device.new_id)
                headers = [*message.get("headers", ())]
                headers.append((b"set-cookie", cookie.encode()))
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, send_with_cookie)
