"""Steps, the reactions of a `Server` to a request."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

from tests.support.socket_server import Connection, Request, Step


def response(
    request: Request,
    status: int = 200,
    body: bytes | None = None,
    headers: Sequence[tuple[str, str]] = (),
    *,
    trace_id: str | None = "",
) -> bytes:
    """Return an HTTP response; the default body has a secret with the trace ID.

    Its Trace-Id header repeats that of the request, unless `trace_id` is another value.
    With None it has no such header.
    """
    echoed = request.header("Trace-Id")
    if body is None:
        body = b'{"clientSecret": "secret-of-%s"}' % echoed.encode()
    lines = [f"HTTP/1.1 {status} Whatever"]
    if not {"Content-Length", "Transfer-Encoding"} & {name for name, _ in headers}:
        lines.append(f"Content-Length: {len(body)}")
    if trace_id is not None:
        lines.append(f"Trace-Id: {trace_id or echoed}")
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answer(
    status: int = 200,
    body: bytes | None = None,
    headers: Sequence[tuple[str, str]] = (),
    *,
    trace_id: str | None = "",
    delay: float = 0,
) -> Step:
    """Return the step that sends a `response` after a delay."""

    def step(connection: Connection, request: Request) -> None:
        connection.pause(delay)
        connection.send(response(request, status, body, headers, trace_id=trace_id))

    return step


def drop(connection: Connection, _: Request) -> None:
    """Close the connection without a response."""
    connection.close()


def reset(connection: Connection, _: Request) -> None:
    """Reset the connection without a response."""
    connection.reset()


def ignore(_: Connection, __: Request) -> None:
    """Send no response and keep the connection open."""


def cut(connection: Connection, request: Request) -> None:
    """Send a part of a response, and close the connection."""
    length = ("Content-Length", "100")
    connection.send(response(request, 200, b'{"id": "', [length]))
    connection.close()


LOSSES: dict[str, Step] = {
    "drop": drop,
    "reset": reset,
    "cut": cut,
    "500": answer(500, b"{}"),
    "503": answer(503, b'{"code": "SERVICE_UNAVAILABLE"}'),
    "502 of a gateway": answer(502, b"<html>", trace_id=None),
    "another call's": answer(200, b'{"id": "7"}', trace_id=str(uuid4())),
    "another call's error": answer(400, b"{}", trace_id=str(uuid4())),
}
"""Reactions after which nobody knows whether the server has acted."""
