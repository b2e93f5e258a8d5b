"""What a `Server` does with a request."""

from __future__ import annotations

from collections.abc import Sequence

from tests.servers import Connection, Request, Step


def response(
    request: Request,
    status: int = 200,
    body: bytes | None = None,
    headers: Sequence[tuple[str, str]] = (),
    *,
    trace_id: str | None = "",
) -> bytes:
    """Return an HTTP answer, by default a client secret that names its trace ID.

    Its Trace-Id is the request's, unless another is given, or None for no header.
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
    """Return the step that sends a `response`, after a delay."""

    def step(connection: Connection, request: Request) -> None:
        connection.pause(delay)
        connection.send(response(request, status, body, headers, trace_id=trace_id))

    return step


def drop(connection: Connection, _: Request) -> None:
    """Take the request, and close the connection."""
    connection.close()


def reset(connection: Connection, _: Request) -> None:
    """Take the request, and reset the connection."""
    connection.reset()


def ignore(_: Connection, __: Request) -> None:
    """Take the request, and say nothing."""
