"""An httpx transport in front of the fake: no sockets, yet their failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import httpx

from ._faults import Refuse
from ._wire import ConnectionLostError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["FakeTransport"]


class FakeTransport(httpx.AsyncBaseTransport):
    """Hands requests to an ASGI application, on asyncio and on trio.

    The read timeout of a request holds, so that a delayed answer ends in
    `httpx.ReadTimeout` as it does over a socket. Closing it does nothing: one
    fake may serve several clients, one after the other.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Make a transport.

        Args:
            app: The fake's application.
        """
        self._inner = httpx.ASGITransport(app=app)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request.

        Args:
            request: What to send; to whichever host, it reaches the fake.

        Returns:
            The fake's answer.

        Raises:
            httpx.ConnectError: For `refuse_next()`.
            httpx.RemoteProtocolError: For `drop_next()`.
            httpx.ReadError: For `drop_next(after_processing=True)`.
            httpx.ReadTimeout: The answer took longer than the read timeout.
        """
        read_timeout = request.extensions.get("timeout", {}).get("read")
        try:
            with anyio.move_on_after(read_timeout):
                return await self._inner.handle_async_request(request)
        except ConnectionLostError as error:
            fault = error.fault
        else:
            message = "The answer took longer than the read timeout."
            raise httpx.ReadTimeout(message, request=request)
        # Outside the except block: over a socket there is no cause to be seen.
        if isinstance(fault, Refuse):
            message = "Connection refused."
            raise httpx.ConnectError(message, request=request)
        if fault.after_processing:
            message = "Connection reset by peer."
            raise httpx.ReadError(message, request=request)
        message = "Server disconnected without sending a response."
        raise httpx.RemoteProtocolError(message, request=request)
