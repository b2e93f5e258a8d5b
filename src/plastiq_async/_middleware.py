"""The contract of middleware: what it may pass on, and what it must return."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs
import httpx

from plastiq_async._call import CALL_EXTENSION
from plastiq_async._hooks import name_hook, wrong_result
from plastiq_async._retry import describe
from plastiq_async.errors import ConfigurationError, HookError
from plastiq_async.middleware import Middleware

if TYPE_CHECKING:
    from plastiq_async._call import Call

# The identity of the call, and what decides who receives how much of the request.
_FIXED_HEADERS = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"trace-id", b"idempotency-key"}
)


@attrs.frozen
class RequestSeal:
    """What middleware must not change in a request.

    With another URL, the access token would be sent elsewhere. With another method,
    body or key, the retry rule and the errors of the call would be wrong.
    """

    _method: str
    _url: httpx.URL
    # Not in the repr, because crash reporters collect local variables.
    _body: bytes = attrs.field(repr=False)
    _headers: list[tuple[bytes, bytes]] = attrs.field(repr=False)

    @classmethod
    def of(cls, request: httpx.Request) -> RequestSeal:
        """Return the seal of `request`, as the session built it."""
        headers = _fixed_headers(request)
        return cls(request.method, request.url, request.content, headers)

    def find_change(self, request: httpx.Request) -> str | None:
        """Return what was changed in `request`, or None."""
        # Comparing identities first is faster.
        same_url = request.url is self._url or request.url == self._url
        if not same_url or "target" in request.extensions:
            return "URL"
        if request.method != self._method:
            return "method"
        if _read_body(request) != self._body:
            return "body"
        if _fixed_headers(request) != self._headers:
            return "Trace-Id, Idempotency-Key, Host or Content-Length"
        return None


def check_middleware(middleware: object) -> tuple[Middleware, ...]:
    """Return the middleware of a session, if it is usable."""
    layers = tuple(middleware) if isinstance(middleware, Iterable) else (None,)
    if not all(callable(layer) for layer in layers):
        msg = "middleware must be an iterable of async callables"
        raise ConfigurationError(msg)
    return layers


def check_passed_on(
    middleware: object,
    request: object,
    call: Call,
    seal: RequestSeal | None,
    *,
    again: bool,
) -> None:
    """Raise unless `middleware` may pass `request` on."""
    if again:
        # An attempt of an operation that is not safe to repeat may be in flight.
        problem = "called call_next again"
    elif not isinstance(request, httpx.Request):
        problem = "did not pass an httpx.Request on"
    elif request.extensions.get(CALL_EXTENSION) is not call:
        problem = "passed a request on without the extensions of the one it was given"
    elif seal and (change := seal.find_change(request)):
        problem = f"passed a request on with another {change}"
    else:
        return
    error = HookError(f"{name_hook('middleware', middleware)} {problem}")
    raise describe(error, call)


def check_response(middleware: object, response: object, call: Call) -> httpx.Response:
    """Return the `response` of `middleware`, if it is one that was read."""
    if not isinstance(response, httpx.Response):
        error = wrong_result("middleware", middleware, response, "an httpx.Response")
        raise describe(error, call)
    try:
        response.content  # noqa: B018 -- raises unless it was read
    except httpx.ResponseNotRead:
        name = name_hook("middleware", middleware)
        error = HookError(f"{name} returned a response that was not read")
    else:
        return response
    raise describe(error, call)


def _fixed_headers(request: httpx.Request) -> list[tuple[bytes, bytes]]:
    headers = [(name.lower(), value) for name, value in request.headers.raw]
    return sorted(header for header in headers if header[0] in _FIXED_HEADERS)


def _read_body(request: httpx.Request) -> bytes | None:
    """Return the body of `request`, or None if it is not one in memory."""
    # One transport sends the stream, the other one the content.
    stream = request.stream
    if not isinstance(stream, httpx.ByteStream):
        return None
    body = b"".join(stream)
    try:
        return body if request.content == body else None
    except httpx.RequestNotRead:
        return None
