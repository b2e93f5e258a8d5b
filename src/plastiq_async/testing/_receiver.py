"""`Receiver`, which receives requests: it records each, and applies the next fault."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import NoReturn, TypeAlias
from uuid import uuid4

import anyio
import attrs
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from plastiq_async.testing._checks import MAX_BODY_BYTES, parse_uuid4
from plastiq_async.testing._faults import (
    ConnectionLostError,
    Delay,
    Drop,
    Fail,
    FaultQueue,
    Garble,
    Refuse,
)
from plastiq_async.testing._records import RecordedRequest
from plastiq_async.testing._responses import fault_response
from plastiq_async.testing._state import FakeState

__all__ = ["Received", "Receiver", "Respond", "read_body"]


@attrs.frozen(kw_only=True)
class Received:
    """A request with its whole body.

    Attributes:
        recorded: The request as the fake keeps it.
        body: Bytes of the body, with one more than the limit if it is too large. Not
            in the repr.
        trace_id: Trace ID in the spelling that the response carries.
        origin: Scheme, host and path prefix by which the client reached the fake, such
            as `"http://127.0.0.1:8000"`.
        delay: Seconds by which `delay_next` delays the response.
    """

    recorded: RecordedRequest
    body: bytes = attrs.field(repr=False)
    trace_id: str
    origin: str
    delay: float


Respond: TypeAlias = Callable[[Received], Response]
"""Processes a request."""


@attrs.frozen
class Receiver:
    """Receives the requests of a fake.

    Attributes:
        state: State of the fake.
        faults: Faults of the fake.
    """

    state: FakeState
    faults: FaultQueue

    async def serve(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        operation: str | None,
        respond: Respond,
        max_body: int = MAX_BODY_BYTES,
    ) -> None:
        """Serve one request.

        Args:
            scope: ASGI scope.
            receive: ASGI receive channel.
            send: ASGI send channel.
            operation: Name of the operation, None for an unknown path.
            respond: Processes the request.
            max_body: Size of the largest body in bytes.

        Raises:
            ConnectionLostError: A fault closes the connection.
        """
        # Taken before the body is read, so that faults apply in order of arrival.
        fault = self.faults.take_fault(operation)
        if isinstance(fault, Refuse):
            await _hang_up(send, fault)
        request = Request(scope, receive)
        try:
            body = await read_body(request, max_body)
        except ClientDisconnect:
            return
        delay = fault.seconds if isinstance(fault, Delay) else 0.0
        received = _make_received(request, body, operation, delay)
        self.state.record(received.recorded)
        if isinstance(fault, Drop) and not fault.after_processing:
            await _hang_up(send, fault)
        if isinstance(fault, (Fail, Garble)):
            if isinstance(fault, Fail) and fault.after_processing:
                respond(received)
            http = fault_response(fault, trace_id=received.trace_id)
            await http(scope, receive, send)
            return
        http = respond(received)
        if isinstance(fault, Drop):
            await _hang_up(send, fault)
        if isinstance(fault, Delay):
            await anyio.sleep(delay)
        await http(scope, receive, send)


def _make_received(
    request: Request, body: bytes, operation: str | None, delay: float
) -> Received:
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
        body=body[: MAX_BODY_BYTES + 1],
        query=MappingProxyType(query),
        operation=operation,
    )
    return Received(
        recorded=recorded,
        body=body,
        trace_id=trace_text,
        origin=str(request.base_url).rstrip("/"),
        delay=delay,
    )


async def read_body(request: Request, limit: int = MAX_BODY_BYTES) -> bytes:
    """Read the whole body, but keep no more than shows that it is too large.

    Clients that are still sending would not see a response to an unread body.

    Args:
        request: The request.
        limit: Size of the largest body in bytes.

    Returns:
        The body, or its first `limit + 1` bytes.

    Raises:
        ClientDisconnect: The client closed the connection.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk[: limit + 1 - len(body)]
    return bytes(body)


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
