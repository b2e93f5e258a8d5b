"""What httpcore tells of an exchange as it goes on, by its extension ``trace``."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import httpx

from plastiq_async._call import call_of

Trace = Callable[[str, Mapping[str, Any]], Awaitable[None]]

# How h11 quotes: the representation of bytes or of a bytearray.
_QUOTED = re.compile(r"""\bb['"]""")


class Closable(Protocol):
    """What has a socket to close."""

    async def aclose(self) -> None:
        """Close it."""
        ...


class Watch:
    """Follows one request into a slot.

    - Its call is in flight from the moment at which it begins to leave, and not while
      there is only a connection in the making.
    - The socket is kept hold of: httpcore loses it when it is cancelled during a TLS
      handshake.
    - An error that quotes what came over the wire is replaced. It may be another
      answer's secret, and others see the error before we do: httpcore's own log, and
      whatever instruments httpx.

    Args:
        request: The request, about to be sent; a ``trace`` of its own is served, too.

    Attributes:
        opened: The sockets opened so far.
    """

    __slots__ = ("_also", "_call", "opened")

    def __init__(self, request: httpx.Request) -> None:
        self.opened: list[Closable] = []
        self._call = call_of(request)
        self._call.in_flight = False
        self._also: Trace | None = request.extensions.get("trace")

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        """Take note of one event."""
        if event == "http11.send_request_headers.started":
            self._call.in_flight = True
        elif event.endswith("connect_tcp.complete"):
            self.opened.append(info["return_value"])
        elif "exception" in info and _QUOTED.search(str(info["exception"])):
            raise httpx.RemoteProtocolError("no valid HTTP") from None
        if self._also is not None:
            await self._also(event, info)
