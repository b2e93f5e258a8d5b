"""Server responses, valid and faulty, of the soak test."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import partial
from uuid import uuid4

from tests.support.socket_server import Request
from tests.support.steps import response

_TOO_LONG = bytes(3 << 19)
_BOMB = gzip.compress(bytes(50 << 20))
_GZIP = ("Content-Encoding", "gzip")
_CHUNKED = ("Transfer-Encoding", "chunked")


def error(status: int, request: Request) -> bytes:
    """Return an error response of the API."""
    body = {"code": "SOME_ERROR", "message": "No.", "errors": [{"details": "Never."}]}
    return response(request, status, json.dumps(body).encode())


def _busy(status: int, request: Request) -> bytes:
    """Return the response of an overloaded server."""
    return response(request, status, b"", [("Retry-After", "0")])


def _html(status: int, request: Request) -> bytes:
    """Return an HTML error page of a gateway."""
    return response(request, status, b"<h1>Bad Gateway</h1>", trace_id=None)


def _body(body: bytes, request: Request) -> bytes:
    """Return a response whose body is not a client secret."""
    return response(request, 200, body)


def _bomb(status: int, request: Request) -> bytes:
    """Return a body of 50 KB that decompresses to 50 MB."""
    return response(request, status, _BOMB, [_GZIP])


def _somebody() -> Request:
    """Return a request of another caller, who does not exist."""
    return Request("", [("Trace-Id", str(uuid4()))], b"")


def _foreign(_: Request) -> bytes:
    """Return the response to another caller's request."""
    return response(_somebody())


def _surplus(request: Request) -> bytes:
    """Return the right response, directly followed by another caller's."""
    return response(request) + _foreign(request)


def _zipped(request: Request) -> bytes:
    """Return a valid response, in an encoding that was not requested."""
    _, _, body = response(request).partition(b"\r\n\r\n")
    return response(request, 200, gzip.compress(body), [_GZIP])


def _chunked(request: Request) -> bytes:
    """Return a valid response in chunks."""
    _, _, body = response(request).partition(b"\r\n\r\n")
    chunks = b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (body[:5], len(body) - 5, body[5:])
    return response(request, 200, chunks, [_CHUNKED])


def _short(request: Request) -> bytes:
    """Return a body that is longer than Content-Length."""
    return response(request, headers=[("Content-Length", "9")])


def _untraced(request: Request) -> bytes:
    """Return a response without a trace ID."""
    return response(request, trace_id=None)


def _sly_surplus(request: Request) -> bytes:
    """Return the right response, then another caller's without a trace ID."""
    return response(request) + _untraced(_somebody())


def _untraced_surplus(request: Request) -> bytes:
    """Return the right response, then another caller's, both without a trace ID."""
    return _untraced(request) + _untraced(_somebody())


def _redirect(request: Request) -> bytes:
    """Return a redirect, which the client must never follow."""
    return response(request, 307, b"", [("Location", "/elsewhere")])


def _garbage(_: Request) -> bytes:
    """Return bytes that are not HTTP."""
    return b"\x16\x03\x01 this is not HTTP\r\n\r\n"


def _endless(request: Request) -> bytes:
    """Return the start of a body that never ends as announced."""
    chunk = b"%x\r\n%b\r\n" % (len(_TOO_LONG), _TOO_LONG)
    return response(request, 200, chunk, [_CHUNKED])


ANSWERS: dict[str, Callable[[Request], bytes]] = {
    "good": response,
    **{f"{status}": partial(error, status) for status in (400, 401, 403, 404, 422)},
    **{f"{status}": partial(error, status) for status in (408, 409, 500)},
    **{f"busy {status}": partial(_busy, status) for status in (429, 503)},
    **{f"HTML {status}": partial(_html, status) for status in (502, 504)},
    **{f"bomb {status}": partial(_bomb, status) for status in (200, 401, 500)},
    "too long": partial(_body, _TOO_LONG),
    "endless": _endless,
    "null": partial(_body, b'{"clientSecret": null}'),
    "NaN": partial(_body, b'{"clientSecret": NaN}'),
    "nested": partial(_body, b"[" * 100_000),
    "empty": partial(_body, b""),
    "foreign": _foreign,
    "surplus": _surplus,
    "sly surplus": _sly_surplus,
    "zipped": _zipped,
    "chunked": _chunked,
    "short length": _short,
    "untraced": _untraced,
    "untraced surplus": _untraced_surplus,
    "redirect": _redirect,
    "garbage": _garbage,
}
"""Makes an answer to a request, by its kind."""
