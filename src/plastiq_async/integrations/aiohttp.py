"""aiohttp.web integration: session, trace IDs, end user, problem details.

```python
from aiohttp import web

from plastiq_async import PlastiqSession
from plastiq_async.integrations.aiohttp import (
    add_device_cookie,
    add_trace_ids,
    answer_problems,
    end_user_from,
    plastiq_context,
    plastiq_session,
)


async def card_form(request: web.Request) -> web.Response:
    secret = await plastiq_session(request).client_secrets.create(
        payer_id="8f51c396-6e29-49a6-ba5a-1a31d5420158",  # of the logged-in user
        end_user=end_user_from(request),
    )
    return web.json_response(
        {
            "client_secret": secret.client_secret,
            "expires_at": secret.expires_at.isoformat(),
        },
        headers={"Cache-Control": "no-store"},  # a secret is for one browser
    )


def make_app(make_session=PlastiqSession) -> web.Application:
    app = web.Application(middlewares=[answer_problems])
    app.cleanup_ctx.append(plastiq_context(make_session))
    add_device_cookie(app)
    add_trace_ids(app)
    app.router.add_post("/card-form", card_form)
    return app
```

All of these also work in sub-applications. A test calls `make_app` with a function that
returns a session with a `FakePlastiq`, as `docs/testing.md` shows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from plastiq_async._missing import explain_missing
from plastiq_async._session import PlastiqSession
from plastiq_async.errors import ConfigurationError, PlastiqError
from plastiq_async.integrations._device import (
    DEFAULT_NAME,
    DEVICE_KEY,
    Device,
    DeviceCookie,
)
from plastiq_async.integrations._end_user import ForwardedHeader, make_end_user
from plastiq_async.integrations._problems import report_problem
from plastiq_async.integrations._trace_ids import (
    RequestTraceId,
    TraceIdFilter,
    check_name,
    choose_trace_id,
)
from plastiq_async.models import EndUser
from plastiq_async.tracing import _trace_id

try:
    from aiohttp import web
except ModuleNotFoundError as _error:
    raise explain_missing(_error, "aiohttp", "aiohttp", __name__) from None

__all__ = [
    "PLASTIQ",
    "ForwardedHeader",
    "TraceIdFilter",
    "add_device_cookie",
    "add_trace_ids",
    "answer_problems",
    "end_user_from",
    "plastiq_context",
    "plastiq_session",
]

PLASTIQ = web.AppKey("PLASTIQ", PlastiqSession)
"""Key of the session in the application; `plastiq_session` reads it."""

# Those in aiohttp's own alias are names that exist for type checkers only.
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_DEVICE_COOKIE = web.AppKey("_DEVICE_COOKIE", DeviceCookie)


def _make_request_key(name: str, kind: type) -> Any:
    # Older versions of aiohttp have no RequestKey; newer ones warn about strings.
    make_key = getattr(web, "RequestKey", None)
    return make_key(name, kind) if make_key else name


_TRACE_ID = _make_request_key("plastiq_async.integrations.trace_id", RequestTraceId)
_DEVICE = _make_request_key(DEVICE_KEY, Device)


def plastiq_context(
    make_session: Callable[[], PlastiqSession] = PlastiqSession,
) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return a cleanup context that opens and closes the session of an application.

    Append it to ``app.cleanup_ctx``.

    Args:
        make_session: A callable that returns a new session, such as a
            `functools.partial` of `PlastiqSession`.

    Returns:
        The cleanup context: an async generator function that takes the application.
    """

    async def context(app: web.Application) -> AsyncIterator[None]:
        async with make_session() as session:
            app[PLASTIQ] = session
            yield

    return context


def plastiq_session(request: web.Request) -> PlastiqSession:
    """Return the session of the application or of its parent application.

    Args:
        request: The request.

    Returns:
        The session that `plastiq_context` has opened.

    Raises:
        ConfigurationError: The application has no session.
    """
    session = request.config_dict.get(PLASTIQ)
    if session is None:
        msg = "no session: call app.cleanup_ctx.append(plastiq_context())"
        raise ConfigurationError(msg)
    return session


def add_trace_ids(app: web.Application, *, header: str = "Trace-Id") -> None:
    """Give each request one trace ID, and return it in the response.

    The request's own trace ID is used if it is a UUID of version 4 in any usual
    spelling, otherwise a new one. It applies to all calls of the request, as with
    `trace_context`, and to aiohttp's access and error log. Calls and logs have the
    canonical spelling. Every response, including error responses and streams, has a
    header with that of the request. A WebSocket has one trace ID for all its messages.

    Args:
        app: The application, before it starts.
        header: The name of the header in requests and responses.

    Raises:
        ConfigurationError: `header` is not a valid name of a header.
    """
    check_name("header", header)

    def ensure_trace_id(request: web.Request) -> RequestTraceId:
        # A sub-application may have its own middleware for the same request.
        if _TRACE_ID not in request:
            request[_TRACE_ID] = choose_trace_id(request.headers.getall(header, ()))
        trace_id: RequestTraceId = request[_TRACE_ID]
        return trace_id

    @web.middleware
    async def use_trace_id(
        request: web.Request, handler: _Handler
    ) -> web.StreamResponse:
        # Not reset, because aiohttp logs the request and its errors after the
        # middleware has returned. Each request is a task with a context of its own.
        _trace_id.set(ensure_trace_id(request).id)
        return await handler(request)

    async def add_trace_id_header(
        request: web.Request, response: web.StreamResponse
    ) -> None:
        response.headers[header] = ensure_trace_id(request).text

    app.middlewares.insert(0, use_trace_id)
    app.on_response_prepare.append(add_trace_id_header)


def add_device_cookie(
    app: web.Application, *, name: str = DEFAULT_NAME, secure: bool = True
) -> None:
    """Recognise a returning browser by a random ID in a cookie.

    With it, `end_user_from` fills in `EndUser.device_id`. If the request has no cookie,
    `end_user_from` makes a new ID, and the response sets the cookie. The cookie lasts
    400 days, is sent to this host only, and is hidden from scripts.

    Args:
        app: The application, before it starts.
        name: The cookie's name. The prefix ``__Host-`` prevents other hosts of the
            domain from setting the cookie, and requires `secure`.
        secure: Whether browsers send the cookie over https only. Chromium and Firefox
            also accept it from ``http://localhost``. Safari does not, so pass False to
            develop with Safari without https.

    Raises:
        ConfigurationError: `name` is not a valid name of a cookie.
    """
    cookie = app[_DEVICE_COOKIE] = DeviceCookie(name, secure=secure)

    async def set_cookie(request: web.Request, response: web.StreamResponse) -> None:
        device: Device | None = request.get(_DEVICE)
        if device and device.new_id:
            value = cookie.format(device.new_id)
            response.headers.add("Set-Cookie", value)

    app.on_response_prepare.append(set_cookie)


def end_user_from(
    request: web.Request,
    *,
    trusted_proxies: int = 0,
    forwarded_header: ForwardedHeader = "X-Forwarded-For",
) -> EndUser:
    """Return the end user who sent a request.

    Missing and invalid values are None. `EndUser.device_id` needs `add_device_cookie`.

    Args:
        request: The request.
        trusted_proxies: Number of trusted proxies, load balancers included, in front of
            the app. Each appends the address of its peer to `forwarded_header`, so the
            client is the n-th entry from the right. Entries further left are untrusted.
            With 0, the client is the peer of the connection, and the header is ignored.
        forwarded_header: The header to which all these proxies append,
            ``X-Forwarded-For`` or ``Forwarded``. The other header is ignored, because a
            proxy may pass it on as the client sent it.

    Returns:
        The end user, for `client_secrets.create`.

    Raises:
        ConfigurationError: `trusted_proxies` or `forwarded_header` is not valid.
    """
    cookie = request.config_dict.get(_DEVICE_COOKIE)
    if cookie and _DEVICE not in request:
        request[_DEVICE] = cookie.parse(request.headers.getall("Cookie", []))
    return make_end_user(
        user_agents=request.headers.getall("User-Agent", []),
        peer=request.remote,
        forwarded=request.headers.getall(forwarded_header, []),
        forwarded_header=forwarded_header,
        trusted_proxies=trusted_proxies,
        device_id=request[_DEVICE].ensure_id() if cookie else None,
    )


@web.middleware
async def answer_problems(
    request: web.Request, handler: _Handler
) -> web.StreamResponse:
    """Log a `PlastiqError`, and return problem details (RFC 9457) as the response.

    This is a middleware. The response contains ``type``, ``title``, ``status`` and
    ``trace_id``; only the logger ``plastiq_async.integrations`` gets the details.

    ======  =====================================================================
    status  error
    ======  =====================================================================
    422     `InvalidArgumentError`, because the browser has usually sent the value
    500     `ConfigurationError`, `SessionStateError`, `AuthenticationError`,
            `PermissionDeniedError`
    502     `APIConnectionError`, `APIResponseError`, and every other
            `APIStatusError`; catch these yourself to tell the browser more
    503     `RateLimitError`, `ServiceUnavailableError`, with their ``Retry-After``
    504     `APITimeoutError`
    ======  =====================================================================

    Args:
        request: The request.
        handler: The handler of the request.

    Returns:
        The response of `handler`, or the problem details.

    Raises:
        PlastiqError: The response has already begun. aiohttp closes the connection.
    """
    try:
        return await handler(request)
    except PlastiqError as error:
        # aiohttp itself uses this test for a response that has begun.
        if request.writer.output_size > 0:
            raise
        problem = report_problem(error)
    return web.Response(
        status=problem.status, headers=problem.headers, body=problem.body
    )
