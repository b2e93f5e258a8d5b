"""FastAPI integration: session as a dependency, end user, problem details.

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
        payer_id="8f51c396-6e29-49a6-ba5a-1a31d5420158",  # of the logged-in user
        end_user=end_user_from(request),
    )
    response.headers["Cache-Control"] = "no-store"  # a secret is for one browser
    return CardForm.model_validate(secret)
```

FastAPI does not serialise attrs classes. The model `CardForm` also selects the fields
that the browser gets.

A dependency that sets a context variable, as `trace_context` does, must be async.
FastAPI runs a sync dependency in a thread with a context of its own, so the endpoint
does not see the variable.

```python
from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header

from plastiq_async import trace_context


async def trace_job(x_job_id: Annotated[UUID, Header()]) -> AsyncIterator[None]:
    with trace_context(x_job_id):
        yield


@app.post("/job", dependencies=[Depends(trace_job)])
async def run_job(plastiq: Plastiq) -> CardForm:
    secret = await plastiq.client_secrets.create("8f51c396-6e29-49a6-ba5a-1a31d5420158")
    return CardForm.model_validate(secret)
```

In tests, override the dependency. Open a session for each request, because a session
belongs to one event loop, and `TestClient` runs each request in a new one.

```python
from fastapi.testclient import TestClient

from plastiq_async import PlastiqSession
from plastiq_async.integrations.fastapi import plastiq_session
from plastiq_async.testing import FakePlastiq

fake = FakePlastiq()


async def connect() -> AsyncIterator[PlastiqSession]:
    async with PlastiqSession(
        fake.access_token, base_url=fake.base_url, transport=fake.transport
    ) as session:
        yield session


app.dependency_overrides[plastiq_session] = connect
client = TestClient(app)
for _ in range(2):
    secret = client.post("/card-form").json()["client_secret"]
    assert fake.redeem(secret) == fake.payer_id
```
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Annotated, overload

from plastiq_async._missing import explain_missing
from plastiq_async._session import PlastiqSession
from plastiq_async.errors import ConfigurationError
from plastiq_async.integrations._device import DEVICE_KEY, Device
from plastiq_async.integrations._end_user import ForwardedHeader, make_end_user
from plastiq_async.integrations._problems import report_problem
from plastiq_async.models import EndUser

try:
    from fastapi import Depends, Request, Response, WebSocket
    from fastapi.requests import HTTPConnection
    from fastapi.websockets import WebSocketDisconnect, WebSocketState
except ModuleNotFoundError as _error:
    raise explain_missing(_error, "fastapi", "fastapi", __name__) from None

__all__ = [
    "ForwardedHeader",
    "Plastiq",
    "answer_problem",
    "end_user_from",
    "plastiq_lifespan",
    "plastiq_session",
]

_SESSION_KEY = "plastiq_session"


def plastiq_lifespan(
    make_session: Callable[[], PlastiqSession] = PlastiqSession,
) -> Callable[[object], AbstractAsyncContextManager[dict[str, PlastiqSession]]]:
    """Return a lifespan that opens and closes a session, for ``FastAPI(lifespan=...)``.

    Each worker process has its own session. The lifespan yields the session in the
    lifespan state, which every request and WebSocket receives, including those of
    mounted sub-applications. If you have your own lifespan, yield that state from it::

        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, object]]:
            async with plastiq_lifespan()(app) as state, open_database() as database:
                yield {**state, "database": database}

    Args:
        make_session: A callable that returns a new session, such as a
            `functools.partial` of `PlastiqSession`.

    Returns:
        The lifespan: a callable that takes the application and returns an async context
        manager.
    """

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[dict[str, PlastiqSession]]:
        async with make_session() as session:
            yield {_SESSION_KEY: session}

    return lifespan


async def plastiq_session(connection: HTTPConnection) -> PlastiqSession:
    """Return the session of the application.

    This is a dependency; `Plastiq` is its shorthand.

    Args:
        connection: The request or WebSocket.

    Returns:
        The session that `plastiq_lifespan` has opened.

    Raises:
        ConfigurationError: The application has no session.
    """
    session: PlastiqSession | None = connection.scope.get("state", {}).get(_SESSION_KEY)
    if session is None:
        msg = (
            "no session: use FastAPI(lifespan=plastiq_lifespan()), or yield the state "
            "of plastiq_lifespan() from your own lifespan"
        )
        raise ConfigurationError(msg)
    return session


Plastiq = Annotated[PlastiqSession, Depends(plastiq_session)]
"""Annotation of a parameter that receives the session of the application."""


def end_user_from(
    connection: HTTPConnection,
    *,
    trusted_proxies: int = 0,
    forwarded_header: ForwardedHeader = "X-Forwarded-For",
) -> EndUser:
    """Return the end user who sent a request.

    Missing and invalid values are None. `EndUser.device_id` needs
    `plastiq_async.integrations.asgi.DeviceCookieMiddleware`.

    Args:
        connection: The request or WebSocket.
        trusted_proxies: Number of trusted proxies, load balancers included, in front of
            the app. Each appends the address of its peer to `forwarded_header`, so the
            client is the n-th entry from the right. Entries further left are untrusted.
            With 0, the client is the peer of the connection, and the header is ignored.
            Use 0, too, if the server replaces the peer address with the client's, as
            uvicorn does by default for proxies on loopback (``--forwarded-allow-ips``).
        forwarded_header: The header to which all these proxies append,
            ``X-Forwarded-For`` or ``Forwarded``. The other header is ignored, because a
            proxy may pass it on as the client sent it.

    Returns:
        The end user, for `client_secrets.create`.

    Raises:
        ConfigurationError: `trusted_proxies` or `forwarded_header` is not valid.
    """
    device: Device | None = connection.scope.get(DEVICE_KEY)
    return make_end_user(
        user_agents=connection.headers.getlist("User-Agent"),
        peer=connection.client.host if connection.client else None,
        forwarded=connection.headers.getlist(forwarded_header),
        forwarded_header=forwarded_header,
        trusted_proxies=trusted_proxies,
        device_id=device.ensure_id() if device else None,
    )


@overload
async def answer_problem(connection: Request, error: Exception) -> Response: ...
@overload
async def answer_problem(connection: WebSocket, error: Exception) -> None: ...
async def answer_problem(
    connection: Request | WebSocket, error: Exception
) -> Response | None:
    """Log an error, and return problem details (RFC 9457) as the response.

    This is an exception handler for `PlastiqError`. The response contains ``type``,
    ``title``, ``status`` and ``trace_id``, and no details of the error. The logger
    ``plastiq_async.integrations`` logs the details.

    ======  =====================================================================
    status  error
    ======  =====================================================================
    422     `InvalidArgumentError`, because the browser has usually sent the value
    500     `ConfigurationError`, `SessionStateError`, `AuthenticationError`,
            `PermissionDeniedError`, and every error that is no `PlastiqError`
    502     `APIConnectionError`, `APIResponseError`, and every other
            `APIStatusError`; catch these yourself to tell the browser more
    503     `RateLimitError`, `ServiceUnavailableError`, with their ``Retry-After``
    504     `APITimeoutError`
    ======  =====================================================================

    A WebSocket is closed with code 1011.

    Args:
        connection: The request or WebSocket.
        error: The exception that was raised.

    Returns:
        The response to a request; None for a WebSocket.
    """
    problem = report_problem(error)
    if isinstance(connection, WebSocket):
        disconnected = WebSocketState.DISCONNECTED
        if disconnected not in {connection.client_state, connection.application_state}:
            with suppress(WebSocketDisconnect):  # the client may disconnect meanwhile
                await connection.close(1011, problem.title)
        return None
    return Response(problem.body, problem.status, problem.headers)
