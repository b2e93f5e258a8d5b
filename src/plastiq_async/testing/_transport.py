"""`FakeTransport`, an httpx transport that calls the fake without a socket."""

from __future__ import annotations

import anyio
import httpx
from starlette.types import ASGIApp

from plastiq_async.testing._faults import ConnectionLostError, Refuse

__all__ = ["FakeTransport"]


class FakeTransport(httpx.AsyncBaseTransport):
    """Pass requests to an ASGI application, on asyncio and on trio.

    The read timeout of a request applies, so that a delayed response raises
    `httpx.ReadTimeout` as it does over a socket. Closing the transport does
    nothing, so that several clients can use one fake after the other.

    Args:
        app: Application of the fake.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._inner = httpx.ASGITransport(app=app)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request.

        Args:
            request: Request to send. It reaches the fake whatever its host is.

        Returns:
            The response of the fake.

        Raises:
            httpx.ConnectError: `refuse_next()` applied.
            httpx.RemoteProtocolError: `drop_next()` applied.
            httpx.ReadError: `drop_next(after_processing=True)` applied.
            httpx.ReadTimeout: The response took longer than the read timeout.
        """
        read_timeout = request.extensions.get("timeout", {}).get("read")
        try:
            with anyio.move_on_after(read_timeout):
                return await self._inner.handle_async_request(request)
        except ConnectionLostError as error:
            fault = error.fault
        else:
            msg = "The response took longer than the read timeout."
            raise httpx.ReadTimeout(msg, request=request)
        # Outside the except block, because over a socket the error has no context.
        if isinstance(fault, Refuse):
            msg = "Connection refused."
            raise httpx.ConnectError(msg, request=request)
        if fault.after_processing:
            msg = "Connection reset by peer."
            raise httpx.ReadError(msg, request=request)
        msg = "Server disconnected without sending a response."
        raise httpx.RemoteProtocolError(msg, request=request)
