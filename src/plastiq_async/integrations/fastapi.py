"""FastAPI: one session for the application, the end user, and errors as problems.

```python
from datetime import datetime

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict

from plastiq_async import PlastiqError
from plastiq_async.integrations.asgi import DeviceCookieMiddleware, TraceIdMiddleware
from plastiq_async.integrations.fastapi import (
    Plastiq,
    answer_problem,
    end_user_from,
    plastiq_lifespan,
)

app = FastAPI(lifespan=plastiq_lifespan())
app.add_middleware(DeviceCookieMiddleware)
app.add_middleware(TraceIdMiddleware)
app.add_exception_handler(PlastiqError, answer_problem)


class CardForm(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    client_secret: str
    expires_at: datetime


@app.post("/card-form")
async def card_form(plastiq: Plastiq, request: Request, response: Response) -> CardForm:
    secret = await plastiq.client_secrets.create(
        payer_id="8f51c396-6e29-49a6-ba5a-1a31d5420158",  # whoever is logged in
        end_user=end_user_from(request),
    )
    response.headers["Cache-Control"] = "no-store"  # for this browser, and only once
    return CardForm.model_validate(secret)
```

FastAPI serialises no attrs classes, hence the model, which also says what of a secret
goes to the browser. In tests, give the application a session with a `FakePlastiq`::

    app.dependency_overrides[plastiq_session] = lambda: session
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Annotated, overload

from plastiq_async._session import PlastiqSession
from plastiq_async.errors import ConfigurationError
from plastiq_async.integrations._device import DEVICE
from plastiq_async.integrations._end_user import make_end_user
from plastiq_async.integrations._missing import explain_missing
from plastiq_async.integrations._problems import report_problem

try:
    from fastapi import Depends, Request, Response, WebSocket
    from fastapi.requests import HTTPConnection
    from fastapi.websockets import WebSocketDisconnect, WebSocketState
except ModuleNotFoundError as _error:
    raise explain_missing(_error, "fastapi", "fastapi", __name__) from None

if TYPE_CHECKING:
    from plastiq_async.integrations._device import Device
    from plastiq_async.integrations._end_user import ForwardedHeader
    from plastiq_async.models import EndUser

__all__ = [
    "Plastiq",
    "answer_problem",
    "end_user_from",
    "plastiq_lifespan",
    "plastiq_session",
]

_SESSION = "plastiq_session"


def plastiq_lifespan(
    make_session: Callable[[], PlastiqSession] = PlastiqSession,
) -> Callable[[object], AbstractAsyncContextManager[dict[str, PlastiqSession]]]:
    """Return a lifespan with a session in it, for ``FastAPI(lifespan=...)``.

    Each worker process makes a session of its own. What the lifespan yields is the
    state that the server hands to every request and WebSocket, those of mounted
    sub-applications included. So a lifespan of your own hands it on::

        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, object]]:
            async with plastiq_lifespan()(app) as state, open_database() as database:
                yield {**state, "database": database}

    Args:
        make_session: Makes the session, such as a `functools.partial` of
            `PlastiqSession`; closed at the end.

    Returns:
        The lifespan: takes the application, returns an async context manager.
    """

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[dict[str, PlastiqSession]]:
        async with make_session() as session:
            yield {_SESSION: session}

    return lifespan


async def plastiq_session(connection: HTTPConnection) -> PlastiqSession:
    """Return the application's session: a dependency, best used as `Plastiq`.

    Args:
        connection: The request or WebSocket.

    Returns:
        The session that `plastiq_lifespan` made.

    Raises:
        ConfigurationError: There is none.
    """
    session: PlastiqSession | None = connection.scope.get("state", {}).get(_SESSION)
    if session is None:
        msg = (
            "no session: make the application with lifespan=plastiq_lifespan(), or "
            "yield what that yields from the application's own lifespan"
        )
        raise ConfigurationError(msg)
    return session


Plastiq = Annotated[PlastiqSession, Depends(plastiq_session)]
"""The application's session, as the annotation of a parameter."""


def end_user_from(
    connection: HTTPConnection,
    *,
    trusted_proxies: int = 0,
    forwarded_header: ForwardedHeader = "X-Forwarded-For",
) -> EndUser:
    """Return the person at the browser that sent a request.

    What is missing, or not valid, is None. `EndUser.device_id` needs
    `plastiq_async.integrations.asgi.DeviceCookieMiddleware`.

    Args:
        connection: The request or WebSocket.
        trusted_proxies: How many proxies of yours, load balancers included, a request
            passes, each adding to `forwarded_header` from whom it has it: so many
            entries from the right stands the browser's address. What a stranger wrote
            is further to the left. 0 takes the address of the connection's other end;
            right, too, where the server itself has dealt with proxies, as uvicorn does
            by default for those on loopback (``--forwarded-allow-ips``).
        forwarded_header: The header that all these proxies add to, ``X-Forwarded-For``
            or ``Forwarded``; the other one is never read, since it may pass unchanged.

    Returns:
        The end user, for `client_secrets.create`.

    Raises:
        ConfigurationError: `trusted_proxies` or `forwarded_header` is not usable.
    """
    device: Device | None = connection.scope.get(DEVICE)
    return make_end_user(
        user_agents=connection.headers.getlist("User-Agent"),
        peer=connection.client.host if connection.client else None,
        forwarded=connection.headers.getlist(forwarded_header),
        forwarded_header=forwarded_header,
        trusted_proxies=trusted_proxies,
        device_id=device.id if device else None,
    )


@overload
async def answer_problem(connection: Request, error: Exception) -> Response: ...
@overload
async def answer_problem(connection: WebSocket, error: Exception) -> None: ...
async def answer_problem(
    connection: Request | WebSocket, error: Exception
) -> Response | None:
    """Answer an error as problem details (RFC 9457), and log it.

    An exception handler for `PlastiqError`. The browser gets ``type``, ``title``,
    ``status`` and ``trace_id``, and nothing of what the error says; the logger
    ``plastiq_async.integrations`` gets that.

    ======  =====================================================================
    status  error
    ======  =====================================================================
    422     `InvalidArgumentError`: an argument that came from the browser, mostly
    500     `ConfigurationError`, `SessionStateError`, `AuthenticationError`,
            `PermissionDeniedError`, and whatever is no `PlastiqError`
    502     `APIConnectionError`, `APIResponseError`, and every other answer of
            the API: what it refuses is for your handler to tell the browser
    503     `RateLimitError`, `ServiceUnavailableError`; with their Retry-After
    504     `APITimeoutError`
    ======  =====================================================================

    A WebSocket is closed with the code 1011.

    Args:
        connection: The request or WebSocket.
        error: What was raised.

    Returns:
        The answer to a request.
    """
    problem = report_problem(error)
    if isinstance(connection, WebSocket):
        gone = WebSocketState.DISCONNECTED
        if gone not in {connection.client_state, connection.application_state}:
            with suppress(WebSocketDisconnect):  # just now
                await connection.close(1011, problem.title)
        return None
    return Response(problem.body, problem.status, problem.headers)
