"""The room around every transport: what comes up from it is bounded, and ours.

It must sit below httpx, whose auth flow reads the body of a 401 whole, whose decoders
know no limit, and whose redirect code parses ``Location`` even when not following it.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import httpx

from plastiq_async._protocol import is_success
from plastiq_async.errors import APIConnectionError, APIResponseError
from plastiq_async.middleware import call_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

MAX_BODY = 1024 * 1024
"""The most bytes of a body that are read; the API's own have less than 1 KiB."""

# Everything that a transport can raise; a test holds this to the list of httpx.
_TRANSPORT_ERRORS = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    httpx.CookieConflict,
    OSError,
)
# Of these, the ones after which nothing of the request can have arrived.
_UNSENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
# Headers about the way the body came, which is over, and those that httpx acts upon.
_HIDDEN = frozenset(
    {
        b"content-encoding",
        b"content-length",
        b"location",
        b"set-cookie",
        b"transfer-encoding",
    }
)


class BoundedTransport(httpx.AsyncBaseTransport):
    """Reads answers whole, up to `MAX_BODY`, and speaks in this library's errors.

    Args:
        inner: The transport that does the work; closed along with this one.
        verify_trace_id: Whether to refuse a 2xx answer with another call's trace ID.
    """

    def __init__(
        self, inner: httpx.AsyncBaseTransport, *, verify_trace_id: bool
    ) -> None:
        self._inner = inner
        self._verify_trace_id = verify_trace_id

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Exchange one request for one whole answer.

        Raises:
            APIConnectionError: There was none, or it belongs to another call.
            APIResponseError: It is too large, cut short, or in an unknown encoding.
        """
        call = call_of(request)
        call.in_flight = True
        try:
            response = await self._inner.handle_async_request(request)
            try:
                if self._verify_trace_id and is_success(response.status_code):
                    _refuse_foreign(response, call.trace_id)
                content = await _read(response)
            finally:
                # Unread, this closes the connection.
                await response.aclose()
        except _TRANSPORT_ERRORS as error:
            failure, cause = _connection_error(error)
        except APIConnectionError as error:
            failure, cause = error, None
        except APIResponseError:
            call.in_flight = False
            raise
        else:
            call.in_flight = False
            return httpx.Response(
                response.status_code,
                headers=list(_kept_headers(response)),
                content=content,
                extensions={
                    key: response.extensions[key]
                    for key in ("http_version", "reason_phrase")
                    if key in response.extensions
                },
            )
        call.in_flight = False
        call.outcome_unknown |= failure.outcome_unknown
        # Out here, so that nothing but the chosen cause hangs on the error.
        raise failure from cause

    async def aclose(self) -> None:
        """Close the transport within."""
        await self._inner.aclose()


def _connection_error(error: Exception) -> tuple[APIConnectionError, Exception | None]:
    """Return our error for one of `_TRANSPORT_ERRORS`, and the cause to show."""
    name = type(error).__name__
    if isinstance(error, httpx.ProtocolError):
        # Its text quotes what came over the wire: perhaps another answer's secret.
        failure, cause = APIConnectionError(f"no valid HTTP ({name})"), None
    else:
        failure, cause = APIConnectionError(f"{name}: {error}"), error
    failure.outcome_unknown = not isinstance(error, _UNSENT)
    return failure, cause


def _refuse_foreign(response: httpx.Response, sent: UUID | None) -> None:
    """Raise if `response` carries another trace ID than the one `sent`.

    The contract says that the server returns a valid one. Another means that the
    connection is out of step, and that the body is somebody else's.
    """
    expected = str(sent).encode()
    for name, value in response.headers.raw:
        if name.lower() == b"trace-id" and value.strip().lower() != expected:
            msg = "the answer carries another call's trace ID"
            error = APIConnectionError(msg)
            error.outcome_unknown = True
            raise error


def _kept_headers(response: httpx.Response) -> Iterator[tuple[bytes, bytes]]:
    return (item for item in response.headers.raw if item[0].lower() not in _HIDDEN)


async def _read(response: httpx.Response) -> bytes:
    """Return the decoded body, holding at most `MAX_BODY` bytes of it at any time."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding == "identity":
        inflater = None
    elif encoding in {"gzip", "x-gzip", "deflate"}:
        # Asked for identity, some gateways compress all the same. 32: either format.
        inflater = zlib.decompressobj(32 + zlib.MAX_WBITS)
    else:
        raise _response_error(response, "an encoding that was not asked for")

    received, content = 0, bytearray()
    async for chunk in _stream_of(response):
        received += len(chunk)
        if inflater is None:
            content += chunk
        else:
            try:
                content += inflater.decompress(chunk, MAX_BODY + 1 - len(content))
            except zlib.error:
                raise _response_error(response, "a corrupt encoding") from None
        if max(received, len(content)) > MAX_BODY:
            raise _response_error(response, f"more than {MAX_BODY} bytes")
    if inflater is not None and not inflater.eof:
        raise _response_error(response, "a body that was cut short")
    return bytes(content)


def _stream_of(response: httpx.Response) -> httpx.AsyncByteStream:
    if not isinstance(response.stream, httpx.AsyncByteStream):
        msg = "the transport answered with a stream that is not async"
        raise TypeError(msg)
    return response.stream


def _response_error(response: httpx.Response, what: str) -> APIResponseError:
    status = response.status_code
    error = APIResponseError(f"unexpected answer with status {status}: {what}")
    error.status_code = status
    return error
