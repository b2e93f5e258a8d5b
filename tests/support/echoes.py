"""Steps that repeat to the client what it had better not hear."""

from __future__ import annotations

import json

from tests.servers import Connection, Request, Step
from tests.steps import response


def raw(data: bytes) -> Step:
    """Return the step that answers with bytes as they are."""
    return lambda connection, _: connection.send(data)


def echo_in_body(connection: Connection, request: Request) -> None:
    """Tell in an error what was sent, wherever that has room for a text."""
    said = request.header("Authorization") or request.header("Proxy-Authorization")
    body = {
        "code": said,
        # Cut at the limit, the token would lose its end only.
        "message": "x" * 480 + said,
        "errors": [{"details": said}, {"details": said * 2}],
        "traceId": said,
    }
    connection.send(response(request, 401, json.dumps(body).encode()))


def echo_in_headers(connection: Connection, request: Request) -> None:
    """Tell in headers what was sent."""
    said = request.header("Authorization") or request.header("Proxy-Authorization")
    names = ["Content-Type", "Retry-After", "WWW-Authenticate", "Location", "X-Echo"]
    headers = [(name, said) for name in names]
    connection.send(response(request, 401, b"", headers))


def echo_in_reason(connection: Connection, request: Request) -> None:
    """Tell what was sent where others say OK."""
    said = request.header("Authorization") or request.header("Proxy-Authorization")
    whole = response(request, 401, b"")
    connection.send(whole.replace(b"Whatever", said.encode()))


def echo_everything(connection: Connection, request: Request) -> None:
    """Answer as a gateway in debug mode: with a page that shows the request."""
    lines = "".join(f"<li>{name}: {text}" for name, text in request.headers)
    connection.send(response(request, 502, f"<ul>{lines}</ul>".encode()))
