"""aiohttp.web: a session, trace IDs, the end user, and errors as problems.

```python
from aiohttp import web

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
        payer_id="8f51c396-6e29-49a6-ba5a-1a31d5420158",  # whoever is logged in
        end_user=end_user_from(request),
    )
    return web.json_response(
        {
            "client_secret": secret.client_secret,
            "expires_at": secret.expires_at.isoformat(),
        },
        headers={"Cache-Control": "no-store"},  # for this browser, and only once
    )


app = web.Application(middlewares=[answer_problems])
app.cleanup_ctx.append(plastiq_context())
add_device_cookie(app)
add_trace_ids(app)
app.router.add_post("/card-form", card_form)
```

All of it holds for sub-applications, too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from plastiq_async._session import PlastiqSession
from plastiq_async.errors import ConfigurationError, PlastiqError
from plastiq_async.integrations._device import (
    DEFAULT_NAME,
    DEVICE,
    Device,
    DeviceCookie,
    is_secure,
)
from plastiq_async.integrations._end_user import make_end_user
from plastiq_async.integrations._missing import explain_missing
from plastiq_async.integrations._problems import report_problem
from plastiq_async.integrations._trace_ids import (
    TraceIdFilter,
    check_name,
    inbound_trace_id,
)
from plastiq_async.tracing import _trace_id

try:
    from aiohttp import web
except ModuleNotFoundError as _error:
    raise explain_missing(_error, "aiohttp", "aiohttp", __name__) from None

if TYPE_CHECKING:
    from uuid import UUID

    from aiohttp.typedefs import Handler

    from plastiq_async.integrations._end_user import ForwardedHeader
    from plastiq_async.models import EndUser

__all__ = [
    "PLASTIQ",
    "TraceIdFilter",
    "add_device_cookie",
    "add_trace_ids",
    "answer_problems",
    "end_user_from",
    "plastiq_context",
    "plastiq_session",
]

PLASTIQ = web.AppKey("PLASTIQ", PlastiqSession)
"""Where the application keeps its session; `plastiq_session` finds it."""

_COOKIE = web.AppKey("_COOKIE", DeviceCookie)


def _request_key(name: str, kind: type) -> Any:
    # aiohttp had no such keys at first, and warns of strings since it has them.
    make_key = getattr(web, "RequestKey", None)
    return make_key(name, kind) if make_key else name


_TRACE_ID = _request_key("plastiq_async.integrations.trace_id", object)
_DEVICE = _request_key(DEVICE, Device)


def plastiq_context(
    make_session: Callable[[], PlastiqSession] = PlastiqSession,
) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return what keeps a session for an application, for its ``cleanup_ctx``.

    Args:
        make_session: Makes the session, such as a `functools.partial` of
            `PlastiqSession`; closed at the end.

    Returns:
        The context: an async generator function that takes the application.
    """

    async def context(app: web.Application) -> AsyncIterator[None]:
        async with make_session() as session:
            app[PLASTIQ] = session
            yield

    return context


def plastiq_session(request: web.Request) -> PlastiqSession:
    """Return the session of the application, or of the one that it is a part of.

    Args:
        request: The request.

    Returns:
        The session that `plastiq_context` made.

    Raises:
        ConfigurationError: There is none.
    """
    session = request.config_dict.get(PLASTIQ)
    if session is None:
        msg = "no session: app.cleanup_ctx.append(plastiq_context()) makes one"
        raise ConfigurationError(msg)
    return session


def add_trace_ids(app: web.Application, *, header: str = "Trace-Id") -> None:
    """Give each request one trace ID, and answer with it.

    A valid one that comes along is taken, anything else is replaced by a new one. It is
    in force as by `trace_context` to the end of the request, for aiohttp's own log of
    accesses and errors, too; every answer carries it, whatever made it and however it
    is sent. A WebSocket has one for all its messages.

    Args:
        app: The application, before it starts.
        header: The name of the header, of the request and of the answer.

    Raises:
        ConfigurationError: `header` cannot be the name of a header.
    """
    check_name("header", header)

    def trace_id_of(request: web.Request) -> UUID:
        # A sub-application may do this, too: one request, one trace ID.
        if _TRACE_ID not in request:
            request[_TRACE_ID] = inbound_trace_id(request.headers.getall(header, ()))
        trace_id: UUID = request[_TRACE_ID]
        return trace_id

    @web.middleware
    async def use_trace_id(
        request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        # Not reset: aiohttp makes a task for each request, with a context of its own,
        # and in it logs and answers errors after the middlewares are done.
        _trace_id.set(trace_id_of(request))
        return await handler(request)

    async def answer_trace_id(
        request: web.Request, response: web.StreamResponse
    ) -> None:
        response.headers[header] = str(trace_id_of(request))

    app.middlewares.insert(0, use_trace_id)
    app.on_response_prepare.append(answer_trace_id)


def add_device_cookie(app: web.Application, *, name: str = DEFAULT_NAME) -> None:
    """Know a browser again, by a random ID in a cookie.

    With it, `end_user_from` fills in `EndUser.device_id`, already at the request that
    comes without the cookie. Only an answer to a request for which that happened sets
    the cookie, for 400 days; it is for this host alone, hidden from scripts, and sent
    over https only, except where the whole request was plain http to a loopback host.

    Args:
        app: The application, before it starts.
        name: The cookie's name. One that begins with ``__Host-`` keeps out what other
            hosts of the domain set, but works over https only.

    Raises:
        ConfigurationError: `name` cannot be the name of a cookie.
    """
    cookie = app[_COOKIE] = DeviceCookie(name)

    async def answer_cookie(request: web.Request, response: web.StreamResponse) -> None:
        device: Device | None = request.get(_DEVICE)
        if device and device.issued:
            secure = is_secure(
                request.scheme,
                request.headers.getall("Host", []),
                (header.lower() for header in request.headers),
            )
            value = cookie.write(device.issued, secure=secure)
            response.headers.add("Set-Cookie", value)

    app.on_response_prepare.append(answer_cookie)


def end_user_from(
    request: web.Request,
    *,
    trusted_proxies: int = 0,
    forwarded_header: ForwardedHeader = "X-Forwarded-For",
) -> EndUser:
    """Return the person at the browser that sent a request.

    What is missing, or not valid, is None. `EndUser.device_id` needs
    `add_device_cookie`.

    Args:
        request: The request.
        trusted_proxies: How many proxies of yours, load balancers included, a request
            passes, each adding to `forwarded_header` from whom it has it: so many
            entries from the right stands the browser's address. What a stranger wrote
            is further to the left. 0 takes the address of the connection's other end.
        forwarded_header: The header that all these proxies add to, ``X-Forwarded-For``
            or ``Forwarded``; the other one is never read, since it may pass unchanged.

    Returns:
        The end user, for `client_secrets.create`.

    Raises:
        ConfigurationError: `trusted_proxies` or `forwarded_header` is not usable.
    """
    cookie = request.config_dict.get(_COOKIE)
    if cookie and _DEVICE not in request:
        request[_DEVICE] = cookie.read(request.headers.getall("Cookie", []))
    return make_end_user(
        user_agents=request.headers.getall("User-Agent", []),
        peer=request.remote,
        forwarded=request.headers.getall(forwarded_header, []),
        forwarded_header=forwarded_header,
        trusted_proxies=trusted_proxies,
        device_id=request[_DEVICE].id if cookie else None,
    )


@web.middleware
async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a `PlastiqError` as problem details (RFC 9457), and log it.

    A middleware. The browser gets ``type``, ``title``, ``status`` and ``trace_id``, and
    nothing of what the error says; the logger ``plastiq_async.integrations`` gets that.

    ======  =====================================================================
    status  error
    ======  =====================================================================
    422     `InvalidArgumentError`: an argument that came from the browser, mostly
    500     `ConfigurationError`, `SessionStateError`, `AuthenticationError`,
            `PermissionDeniedError`
    502     `APIConnectionError`, `APIResponseError`, and every other answer of
            the API: what it refuses is for your handler to tell the browser
    503     `RateLimitError`, `ServiceUnavailableError`; with their Retry-After
    504     `APITimeoutError`
    ======  =====================================================================

    Args:
        request: The request.
        handler: What is further in.

    Returns:
        What `handler` returned, or the problem.

    Raises:
        PlastiqError: An answer is under way; aiohttp closes the connection.
    """
    try:
        return await handler(request)
    except PlastiqError as error:
        # As aiohttp itself asks.
        if request.writer.output_size > 0:
            raise
        problem = report_problem(error)
    return web.Response(
        status=problem.status, headers=problem.headers, body=problem.body
    )
