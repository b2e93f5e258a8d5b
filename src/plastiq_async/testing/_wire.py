"""The fake's server side: one ASGI application.

`Wire` is what happens to every request: it is recorded, given a trace ID, and
struck by the next fault. Behind it are the routes, which only answer.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NoReturn
from uuid import uuid4

import anyio
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ._answers import error_answer, fault_answer
from ._checks import (
    MAX_BODY_BYTES,
    InvalidRequestError,
    bearer_token,
    check_headers,
    parse_trace_id,
    requested_payer,
)
from ._faults import Delay, Drop, Fail, Garble, Refuse
from ._records import RecordedRequest

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ._fake import FakePlastiq

__all__ = ["ConnectionLostError", "make_app"]

RECORDED = "plastiq_async.recorded_request"
TRACE_ID = "plastiq_async.trace_id"


class ConnectionLostError(Exception):
    """Raised out of the application when a fault cuts the connection."""

    def __init__(self, fault: Drop | Refuse) -> None:
        """Keep the fault.

        Args:
            fault: Why the connection is lost.
        """
        super().__init__(f"FakePlastiq was told to lose the connection: {fault}")
        self.fault = fault


def make_app(fake: FakePlastiq) -> Starlette:
    """Make the ASGI application in front of a fake.

    Args:
        fake: Holds the state and the faults.

    Returns:
        The application.
    """

    async def create_client_secret(request: Request) -> Response:
        return _create_client_secret(fake, request)

    app = Starlette(
        routes=[Route("/api/client-secrets", create_client_secret, methods=["POST"])],
        middleware=[Middleware(Wire, fake=fake)],
        exception_handlers={HTTPException: _answer_http_exception},
    )
    # The API has no redirects.
    app.router.redirect_slashes = False
    return app


class Wire:
    """ASGI middleware: record, trace, and go wrong as ordered."""

    def __init__(self, app: ASGIApp, fake: FakePlastiq) -> None:
        """Wrap an application.

        Args:
            app: Answers the requests.
            fake: Where requests are recorded and faults come from.
        """
        self._app = app
        self._fake = fake

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or pass on what is none.

        Args:
            scope: The ASGI scope.
            receive: The ASGI receive channel.
            send: The ASGI send channel.

        Raises:
            ConnectionLostError: A fault cuts the connection.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Taken before the body is read: faults strike in order of arrival.
        fault = self._fake.take_fault()
        if isinstance(fault, Refuse):
            await _hang_up(send, fault)
        request = Request(scope, receive)
        try:
            body = await _read_body(request)
        except ClientDisconnect:
            return
        recorded, trace_text = _record(request, body)
        self._fake.requests.append(recorded)
        if isinstance(fault, Drop) and not fault.after_processing:
            await _hang_up(send, fault)
        if isinstance(fault, (Fail, Garble)):
            answer = fault_answer(fault, trace_id=trace_text)
            await answer(scope, receive, send)
            return

        async def send_traced(message: Message) -> None:
            if message["type"] == "http.response.start":
                if isinstance(fault, Drop):
                    await _hang_up(send, fault)
                if isinstance(fault, Delay):
                    await anyio.sleep(fault.seconds)
                MutableHeaders(scope=message)["Trace-Id"] = trace_text
            await send(message)

        scope[RECORDED] = recorded
        scope[TRACE_ID] = trace_text
        await self._app(scope, receive, send_traced)


def _create_client_secret(fake: FakePlastiq, request: Request) -> Response:
    recorded: RecordedRequest = request.scope[RECORDED]
    trace_text: str = request.scope[TRACE_ID]
    if not fake.accepts_token(bearer_token(recorded.headers)):
        return error_answer(
            401, trace_id=trace_text, headers={"WWW-Authenticate": "Bearer"}
        )
    try:
        check_headers(recorded.headers)
        payer_id = requested_payer(recorded.body, fake.payer_ids)
    except InvalidRequestError as error:
        return error_answer(400, trace_id=trace_text, details=[str(error)])
    client_secret = fake.secrets.issue(payer_id=payer_id, trace_id=recorded.trace_id)
    return JSONResponse({"clientSecret": client_secret})


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for it alone
    return error_answer(
        error.status_code, trace_id=request.scope[TRACE_ID], headers=error.headers
    )


def _record(request: Request, body: bytes) -> tuple[RecordedRequest, str]:
    headers = {
        name: ", ".join(request.headers.getlist(name)) for name in request.headers
    }
    # A valid one goes back as it came, the case of its letters included.
    trace_text = headers.get("trace-id", "")
    trace_id = parse_trace_id(trace_text)
    if trace_id is None:
        trace_id = uuid4()
        trace_text = str(trace_id)
    recorded = RecordedRequest(
        method=request.method,
        path=request.url.path,
        trace_id=trace_id,
        headers=MappingProxyType(headers),
        body=body,
    )
    return recorded, trace_text


async def _read_body(request: Request) -> bytes:
    """Read the body to its end, but keep no more than shows that it is too large.

    An answer before the end would be lost on clients that are still sending.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk[: MAX_BODY_BYTES + 1 - len(body)]
    return body


async def _hang_up(send: Send, fault: Drop | Refuse) -> NoReturn:
    # A server closes the connection when an application fails in the middle of
    # an answer; before it, the server would answer an orderly 500 by itself.
    await send(
        {
            "type": "http.response.start",
            "status": 500,
            "headers": [(b"content-length", b"1")],
        }
    )
    raise ConnectionLostError(fault)
