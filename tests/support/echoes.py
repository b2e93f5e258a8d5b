"""Steps whose response repeats the credentials of the request."""

from __future__ import annotations

import json

from tests.support.socket_server import Connection, Request, Step
from tests.support.steps import response


def raw(data: bytes) -> Step:
    """Return the step that sends `data` unchanged."""
    return lambda connection, _: connection.send(data)


def echo_in_body(connection: Connection, request: Request) -> None:
    """Send an error whose body repeats the credentials in every text field."""
    said = request.header("Authorization") or request.header("Proxy-Authorization")
    body = {
        "code": said,
        # Truncation at the limit of 500 characters leaves part of the token.
        "message": "x" * 480 + said,
        "errors": [{"details": said}, {"details": said * 2}],
        "traceId": said,
    }
    connection.send(response(request, 401, json.dumps(body).encode()))


def echo_in_headers(connection: Connection, request: Request) -> None:
    """Send an error whose headers repeat the credentials."""
    said = request.header("Authorization") or request.header("Proxy-Authorization")
    names = ["Content-Type", "Retry-After", "WWW-Authenticate", "Location", "X-Echo"]
    headers = [(name, said) for name in names]
    connection.send(response(request, 401, b"", headers))


def echo_in_reason(connection: Connection, request: Request) -> None:
    """Send an error whose reason phrase repeats the credentials."""
    said = request.header("Authorization") or request.header("Proxy-Authorization")
    whole = response(request, 401, b"")
    connection.send(whole.replace(b"Whatever", said.encode()))


def echo_everything(connection: Connection, request: Request) -> None:
    """Send an HTML page with all request headers, like a gateway in debug mode."""
    lines = "".join(f"<li>{name}: {text}" for name, text in request.headers)
    connection.send(response(request, 502, f"<ul>{lines}</ul>".encode()))
