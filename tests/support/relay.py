"""A step that passes requests on to another server, whose responses it may lose."""

from __future__ import annotations

from http.client import HTTPConnection
from urllib.parse import urlsplit

from tests.support.socket_server import Connection, Request, Step

_OWN = {"host", "connection", "content-length", "transfer-encoding"}


def relay(url: str, then: Step | None = None) -> Step:
    """Return the step that passes a request to the server at `url`.

    Its response goes back to the client. With `then` it is lost: the server has
    processed the request, and the client gets that reaction.
    """
    host = urlsplit(url).netloc

    def step(connection: Connection, request: Request) -> None:
        response = _forward(host, request)
        if then is None:
            connection.send(response)
        else:
            then(connection, request)

    return step


def _forward(host: str, request: Request) -> bytes:
    """Send `request` to a server, and return its whole response."""
    method, target, _ = request.line.split(" ")
    headers = {name: text for name, text in request.headers if name.lower() not in _OWN}
    server = HTTPConnection(host, timeout=30)
    try:
        server.request(method, target, request.body or None, headers)
        response = server.getresponse()
        body = response.read()
    finally:
        server.close()
    lines = [f"HTTP/1.1 {response.status} {response.reason}"]
    lines += [
        f"{name}: {text}"
        for name, text in response.getheaders()
        if name.lower() not in _OWN
    ]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body
