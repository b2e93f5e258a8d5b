"""`BoundedTransport`: complete responses of bounded size, and this library's errors.

It sits below httpx, because httpx's auth flow reads the whole body of a 401, its
decoders have no limit, and it parses ``Location`` even if it does not follow it.
"""

import sys
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import chain
from typing import cast

import anyio
import httpx

from plastiq_async._call import Call, call_of, current_call
from plastiq_async._hooks import call_hook, name_hook, wrong_result
from plastiq_async._protocol import is_success
from plastiq_async._secrets import forget_frames, mask
from plastiq_async._transport.decoding import (
    BodyDecoder,
    BodyTooLargeError,
    DecodingError,
)
from plastiq_async._transport.failures import connection_error
from plastiq_async._transport.trace_check import (
    ForeignResponseError,
    Verdict,
    check_trace_id,
)
from plastiq_async.errors import (
    APIResponseError,
    HookError,
    PlastiqError,
    SessionStateError,
)

MAX_BODY = 1024 * 1024
"""The largest body that is read, in bytes; the API's own have less than 1 KiB."""

MAX_HEADER = 64 * 1024
"""The largest header of a response, its name and its value, in bytes."""

MAX_HEADERS = 128
"""The largest number of headers of a response."""

# The largest sum of all headers, at which h11 stops reading, too.
_MAX_HEAD = 100 * 1024
_HEAD_TOO_LARGE = "headers that are too large or too many"
# What a transport may still have of a body after it is closed: httpcore's largest read.
_MOST_BUFFERED = 64 * 1024

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


class HeadTooLargeError(httpx.RemoteProtocolError):
    """A response to the request, whose head the HTTP library refused to read on."""

    def __init__(self) -> None:
        super().__init__(_HEAD_TOO_LARGE)


class PoolTransport(httpx.AsyncBaseTransport):
    """A transport whose idle connections can be counted and closed."""

    @property
    def idle_connections(self) -> int | None:
        """The number of idle connections; None if it is not known."""
        return None

    async def close_idle(self, *, unused_since: float) -> None:
        """Close the idle connections without a response since then (monotonic time).

        A transport of the user's does as it likes with its connections.
        """


class UserTransport(PoolTransport):
    """A transport of the user's, which does not say when a request begins to leave."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`; until an error says otherwise, it counts as sent."""
        call = call_of(request)
        call.sending()
        send = self._inner.handle_async_request
        try:
            response = await call_hook("transport", send, request)
        except _UNSENT:
            call.not_sent()
            raise
        if not isinstance(response, httpx.Response):
            raise wrong_result("transport", send, response, "an httpx.Response")
        if not isinstance(response.stream, httpx.AsyncByteStream):
            name = name_hook("transport", send)
            raise HookError(f"{name} returned a response whose stream is not async")
        return response

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()


class BoundedTransport(httpx.AsyncBaseTransport):
    """Reads responses whole, up to `MAX_BODY`, and raises this library's errors.

    Args:
        inner: The transport that sends the requests.
        proxy: Host and port of the proxy that `inner` uses, to be named in errors.
    """

    def __init__(self, inner: PoolTransport, proxy: str | None = None) -> None:
        self._inner = inner
        self._proxy = proxy
        self._closed = False

    @property
    def idle_connections(self) -> int | None:
        """The number of idle connections; None if the transport is the user's."""
        return self._inner.idle_connections

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`, and return its complete response."""
        if self._closed:
            # The call is cancelled, but what it waited for came at the same moment.
            msg = "the session was closed during the call"
            raise SessionStateError(msg)
        call = call_of(request)
        failure: PlastiqError
        cause = None
        reset_token = current_call.set(call)
        began = time.monotonic()
        try:
            with anyio.CancelScope() as call.send_scope:
                response = await self._inner.handle_async_request(request)
                stream = cast("httpx.AsyncByteStream", response.stream)
                try:
                    copy = await _read_response(call, response, stream)
                finally:
                    # A response not read to its end loses its connection here.
                    await response.aclose()
                # httpx would set it on closing, but closes no response that is read.
                copy.elapsed = timedelta(seconds=time.monotonic() - began)
                return copy
            # Only the time limit of the attempt leads here. What was idle when it began
            # may be as dead; if its connection was new, there was none.
            await self._inner.close_idle(unused_since=began)
            limit = call.defaults.attempt_timeout
            raise httpx.ReadTimeout(f"the attempt had no response in {limit:g} s")
        except HeadTooLargeError:
            # Nobody knows the status. In the worst case it is a 2xx.
            call.answered(httpx.codes.OK, readable=False)
            failure = _response_error(None, _HEAD_TOO_LARGE)
        except _TRANSPORT_ERRORS as error:
            failure, cause = connection_error(error, request.url, self._proxy)
        finally:
            current_call.reset(reset_token)
        forget_frames(cause, sys.exception())
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
    # Again, because recorded responses do not come through the HTTP libraries.
    if check_trace_id(call, status, headers) is Verdict.REFUSE:
        raise ForeignResponseError
    try:
        # Checked here, too, since each HTTP library draws the line elsewhere.
        if _is_too_large(headers):
            raise _response_error(status, _HEAD_TOO_LARGE)
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
    # As `read` would set it, which takes a tenth of a call's time in httpx's decoders.
    copy._content = content  # noqa: SLF001 -- see above
    copy.is_stream_consumed = copy.is_closed = True
    return copy


def _is_too_large(headers: list[tuple[bytes, bytes]]) -> bool:
    """Tell whether one of the headers is too large, or all of them are."""
    total = sum(map(len, chain.from_iterable(headers)))
    # If the sum is below the limit of one, so is each of them.
    too_large = total > MAX_HEADER and (
        total > _MAX_HEAD
        or any(len(name) + len(value) > MAX_HEADER for name, value in headers)
    )
    return too_large or len(headers) > MAX_HEADERS


def _strip_unsafe_headers(
    headers: list[tuple[bytes, bytes]], call: Call
) -> list[tuple[bytes, bytes]]:
    """Return `headers` without those that httpx acts upon or that repeat a secret."""
    token, secrets = call.token.encode(), call.secrets
    safe = [header for header in headers if header[0].lower() not in _HIDDEN]
    if token and token in b"\n".join(chain.from_iterable(safe)):
        safe = [header for header in safe if token not in header[1]]
    if secrets:
        safe = [header for header in safe if not _quotes(header[1], secrets)]
    return safe


def _quotes(value: bytes, secrets: frozenset[str]) -> bool:
    """Tell whether the value of a header repeats one of `secrets`, in groups or not."""
    text = value.decode(errors="replace")
    return mask(text, secrets) != text


async def _read_body(response: httpx.Response, stream: httpx.AsyncByteStream) -> bytes:
    """Return the decoded body, of at most `MAX_BODY` bytes.

    Some gateways compress although identity was requested.
    """
    status, chunks = response.status_code, aiter(stream)
    try:
        return await _decode(chunks, response.headers.raw)
    except DecodingError as error:
        problem, too_large = str(error), isinstance(error, BodyTooLargeError)
    # Outside of the handler, so that no error refers to frames with parts of the body.
    await _abandon(response, chunks)
    if not is_success(status) and not too_large:
        return b""  # the status says enough
    raise _response_error(status, problem)


async def _decode(
    chunks: AsyncIterator[bytes], headers: list[tuple[bytes, bytes]]
) -> bytes:
    decoder = BodyDecoder(headers, MAX_BODY)
    async for chunk in chunks:
        decoder.feed(chunk)
    return decoder.finish()


async def _abandon(response: httpx.Response, chunks: AsyncIterator[bytes]) -> None:
    """Close `response`, and finish the generators behind its `chunks`.

    Suspended generators would wait for the garbage collector, which trio warns of.
    """
    await response.aclose()
    left = _MOST_BUFFERED
    try:
        async for chunk in chunks:
            left -= len(chunk)
            if left <= 0:
                break
    except _TRANSPORT_ERRORS as error:
        # httpx-aiohttp, if the user chose it, chains the same object each time, and
        # its traceback would collect the frames of all these calls.
        (error.__cause__ or error).__traceback__ = None


def _response_error(status: int | None, problem: str) -> APIResponseError:
    known = "" if status is None else f" with status {status}"
    error = APIResponseError(f"unexpected response{known}: {problem}")
    error.status_code = status
    return error
