"""`BoundedTransport`: complete responses of bounded size, and this library's errors.

It sits below httpx, because httpx's auth flow reads the whole body of a 401, its
decoders have no limit, and it parses ``Location`` even if it does not follow it.
"""

import re
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx

from plastiq_async._call import Call, call_of, current_call
from plastiq_async._protocol import header_values, is_success, printable
from plastiq_async._transport.trace_check import (
    ForeignResponseError,
    Verdict,
    check_trace_id,
)
from plastiq_async.errors import APIConnectionError, APIResponseError, SessionStateError

MAX_BODY = 1024 * 1024
"""The largest body that is read, in bytes; the API's own have less than 1 KiB."""

# Everything that a transport can raise. A test compares it with httpx's exceptions.
_TRANSPORT_ERRORS = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    httpx.CookieConflict,
    OSError,
)
# After these, nothing of the request can have arrived.
_UNSENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
# Headers that httpx acts upon: it must not decode again, redirect, or keep cookies.
_HIDDEN = frozenset({b"content-encoding", b"location", b"set-cookie"})


class UserTransport(httpx.AsyncBaseTransport):
    """A transport of the user's, which does not say when a request begins to leave."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`; until an error says otherwise, it counts as sent."""
        call = call_of(request)
        call.sending()
        try:
            return await self._inner.handle_async_request(request)
        except _UNSENT:
            call.not_sent()
            raise

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()


class BoundedTransport(httpx.AsyncBaseTransport):
    """Reads responses whole, up to `MAX_BODY`, and raises this library's errors."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`, and return its complete response."""
        if self._closed:
            # The call is cancelled, but what it waited for came at the same moment.
            msg = "the session was closed during the call"
            raise SessionStateError(msg)
        call = call_of(request)
        reset_token = current_call.set(call)
        try:
            response = await self._inner.handle_async_request(request)
            stream = response.stream
            if not isinstance(stream, httpx.AsyncByteStream):
                msg = "the transport returned a response whose stream is not async"
                raise TypeError(msg)
            try:
                return await _read_response(call, response, stream)
            finally:
                # A response that was not read to its end loses its connection here.
                await response.aclose()
        except _TRANSPORT_ERRORS as error:
            failure, cause = _connection_error(error)
        finally:
            current_call.reset(reset_token)
        # Outside of the except block, so that only the chosen cause is attached.
        raise failure from cause

    async def aclose(self) -> None:
        """Close the inner transport. No request reaches it from then on."""
        self._closed = True
        await self._inner.aclose()


async def _read_response(
    call: Call, response: httpx.Response, stream: httpx.AsyncByteStream
) -> httpx.Response:
    """Return a copy of `response` with its body read, and without unsafe headers."""
    status = response.status_code
    headers = response.headers.raw
    if check_trace_id(call, status, headers) is Verdict.REFUSE:
        raise ForeignResponseError
    try:
        content = await _read_body(response, stream)
    except APIResponseError:
        call.answered(status, readable=False)
        raise
    call.answered(status)
    copy = httpx.Response(
        status,
        headers=_strip_unsafe_headers(headers, call),
        stream=httpx.ByteStream(content),
        # httpx logs the reason phrase, which is the server's text.
        extensions={"reason_phrase": b""},
    )
    # Any header is valid in it; httpx would try several encodings.
    copy.headers.encoding = "iso-8859-1"
    # Read here, since httpx would read it through four async generators.
    copy.read()
    return copy


def _strip_unsafe_headers(
    headers: list[tuple[bytes, bytes]], call: Call
) -> list[tuple[bytes, bytes]]:
    """Return `headers` without those that httpx acts upon or that repeat a secret."""
    secrets = [text.encode() for text in (call.token, *call.body_secrets) if text]
    return [
        (name, value)
        for name, value in headers
        if name.lower() not in _HIDDEN and not any(text in value for text in secrets)
    ]


def _connection_error(error: Exception) -> tuple[APIConnectionError, Exception | None]:
    """Return our error for one of `_TRANSPORT_ERRORS`, and the cause to attach."""
    name = type(error).__name__
    if isinstance(error, ForeignResponseError):
        return APIConnectionError(str(error)), None
    if isinstance(error, httpx.ProtocolError):
        # Its text quotes the wire, perhaps the secret of another call's response.
        return APIConnectionError(f"no valid HTTP ({name})"), None
    if isinstance(error, httpx.ProxyError):
        # After the status code comes a text of the proxy's.
        reason = printable(re.sub(r"(?<=^\d{3}) .*", "", str(error)))
        return APIConnectionError(f"{name}: {reason}"), None
    return APIConnectionError(f"{name}: {_reason(error)}"), error


def _reason(error: BaseException | None) -> str:
    """Return the first text in the chain of causes, since trio's errors have none."""
    # A cancellation ends the search; its text names a scope of the caller's.
    while isinstance(error, Exception):
        if text := printable(str(error)):
            return text
        error = error.__cause__ or error.__context__
    return "no reason given"


async def _read_body(response: httpx.Response, stream: httpx.AsyncByteStream) -> bytes:
    """Return the decoded body, holding at most `MAX_BODY` bytes of it at any time."""
    encodings = header_values(response.headers.raw, b"content-encoding")
    encoding = ", ".join(encodings).strip().lower()
    # Some gateways compress although identity was requested.
    compressed = encoding in {"gzip", "x-gzip", "deflate"}
    if not compressed and encoding not in {"", "identity"}:
        return _unreadable(response, "an encoding that was not requested")
    # 32: either format.
    inflater = zlib.decompressobj(32 + zlib.MAX_WBITS) if compressed else None
    received, content, problem = 0, bytearray(), None
    chunks = aiter(stream)
    async for chunk in chunks:
        received += len(chunk)
        try:
            if inflater is None:
                content += chunk
            else:
                content += inflater.decompress(chunk, MAX_BODY + 1 - len(content))
        except zlib.error:
            problem = "a corrupt encoding"
        if problem or max(received, len(content)) > MAX_BODY:
            await _abandon(response, chunks)
            break
    if max(received, len(content)) > MAX_BODY:
        raise _response_error(response, f"more than {MAX_BODY} bytes")
    if problem or (inflater and not inflater.eof):
        return _unreadable(response, problem or "a body that was cut short")
    return bytes(content)


def _unreadable(response: httpx.Response, problem: str) -> bytes:
    """Raise for a 2xx response; return no body for others, whose status says enough."""
    if is_success(response.status_code):
        raise _response_error(response, problem)
    return b""


async def _abandon(response: httpx.Response, chunks: AsyncIterator[bytes]) -> None:
    """Close `response`, and finish the generators behind its `chunks`.

    Suspended generators would wait for the garbage collector, which trio warns of.
    """
    await response.aclose()
    with suppress(StopAsyncIteration):
        try:
            await anext(chunks)
        except _TRANSPORT_ERRORS as error:
            # httpx-aiohttp, if the user chose it, chains the same object each time, and
            # its traceback would collect the frames of all these calls.
            (error.__cause__ or error).__traceback__ = None


def _response_error(response: httpx.Response, what: str) -> APIResponseError:
    status = response.status_code
    error = APIResponseError(f"unexpected response with status {status}: {what}")
    error.status_code = status
    return error
