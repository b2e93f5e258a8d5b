"""A transport that calls a function, and the errors that a transport may raise."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import httpx


class Transport(httpx.AsyncBaseTransport):
    """A transport that passes each request to a function."""

    def __init__(self, handle: Callable[[httpx.Request], httpx.Response]) -> None:
        self.handle = handle
        self.calls = 0
        self.closed = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Count the request and return the response of the function."""
        self.calls += 1
        return self.handle(request)

    async def aclose(self) -> None:
        """Count the calls of this method."""
        self.closed += 1


def httpx_errors() -> list[type[Exception]]:
    """Return all exception classes that httpx exports."""
    exported = [getattr(httpx, name) for name in httpx.__all__]
    return [
        one for one in exported if isinstance(one, type) and issubclass(one, Exception)
    ]


def make_error(kind: type[Exception], text: str) -> Exception:
    """Return an instance of `kind` with the arguments that it requires."""
    request = httpx.Request("POST", "http://127.0.0.1")
    values = {
        "message": text,
        "request": request,
        "response": httpx.Response(500, request=request),
    }
    if kind.__module__ == "builtins":
        return kind(text)
    wanted = inspect.signature(kind).parameters.values()
    return kind(
        **{one.name: values[one.name] for one in wanted if one.default is one.empty}
    )
