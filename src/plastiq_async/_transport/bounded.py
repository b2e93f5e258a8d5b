"""The room around every transport: what comes up from it is bounded, and ours.

It must sit below httpx, whose auth flow reads the body of a 401 whole, whose decoders
know no limit, and whose redirect code parses ``Location`` even when not following it.
"""

from __future__ import annotations

import re
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx

from plastiq_async._call import call_of, exchanging
from plastiq_async._protocol import header_values, is_success, printable
from plastiq_async.errors import APIConnectionError, APIResponseError, SessionStateError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
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
# Headers that httpx acts upon: it must not decode again, go elsewhere, or keep state.
_HIDDEN = frozenset({b"content-encoding", b"location", b"set-cookie"})

# httpx logs the reason: none, instead of whatever the server calls it.
_EXTENSIONS = {"reason_phrase": b""}


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
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Exchange one request for one whole answer.

        Raises:
            APIConnectionError: There was none, or it belongs to another call.
            APIResponseError: It is too large, cut short, or in an unknown encoding.
            SessionStateError: The transport is closed.
        """
        if self._closed:
            # The call is cancelled, but what it waited for came at the same moment.
            msg = "the session was closed during the call"
            raise SessionStateError(msg)
        call = call_of(request)
        call.in_flight = True
        ours = exchanging.set(call)
        try:
            response = await self._inner.handle_async_request(request)
            if not isinstance(response.stream, httpx.AsyncByteStream):
                msg = "the transport answered with a stream that is not async"
                raise TypeError(msg)
            try:
                headers = response.headers.raw
                if self._verify_trace_id and is_success(response.status_code):
                    _refuse_foreign(headers, call.trace_id)
                content = await _read(response, response.stream, headers)
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
            answer = httpx.Response(
                response.status_code,
                headers=_harmless(headers, call.token.encode()),
                stream=httpx.ByteStream(content),
                extensions=_EXTENSIONS,
            )
            # Any header is valid in this one; httpx would look for the best.
            answer.headers.encoding = "iso-8859-1"
            # Now, or httpx would read it through four async generators.
            answer.read()
            return answer
        finally:
            exchanging.reset(ours)
        call.in_flight = False
        call.outcome_unknown |= failure.outcome_unknown
        # Out here, so that nothing but the chosen cause hangs on the error.
        raise failure from cause

    async def aclose(self) -> None:
        """Close the transport within; no request gets there any more."""
        self._closed = True
        await self._inner.aclose()


def _harmless(
    headers: list[tuple[bytes, bytes]], token: bytes
) -> list[tuple[bytes, bytes]]:
    """Return `headers` without those to act upon, and those that repeat `token`."""
    return [
        pair
        for pair in headers
        if pair[0].lower() not in _HIDDEN and not (token and token in pair[1])
    ]


def _connection_error(error: Exception) -> tuple[APIConnectionError, Exception | None]:
    """Return our error for one of `_TRANSPORT_ERRORS`, and the cause to show."""
    name = type(error).__name__
    if isinstance(error, httpx.ProtocolError):
        # Its text quotes what came over the wire: perhaps another answer's secret.
        failure, cause = APIConnectionError(f"no valid HTTP ({name})"), None
    elif isinstance(error, httpx.ProxyError):
        # After the status comes whatever the proxy has to say.
        reason = printable(re.sub(r"(?<=^\d{3}) .*", "", str(error)))
        failure, cause = APIConnectionError(f"{name}: {reason}"), None
    else:
        failure, cause = APIConnectionError(f"{name}: {_reason(error)}"), error
    failure.outcome_unknown = not isinstance(error, _UNSENT)
    return failure, cause


def _reason(error: BaseException) -> str:
    """Return the first text down the chain of causes: trio's own errors have none."""
    cause: BaseException | None = error
    # Not beyond a cancellation, whose text is for those who know its scope.
    while isinstance(cause, Exception):
        if text := printable(str(cause)):
            return text
        cause = cause.__cause__ or cause.__context__
    return "no reason given"


def _refuse_foreign(headers: list[tuple[bytes, bytes]], sent: UUID | None) -> None:
    """Raise if an answer's `headers` carry another trace ID than the one `sent`.

    The contract says that the server returns a valid one. Another means that the
    connection is out of step, and that the body is somebody else's.
    """
    returned = {value.lower() for value in header_values(headers, b"trace-id")}
    if returned <= {str(sent)}:
        return
    msg = "the answer carries another call's trace ID"
    error = APIConnectionError(msg)
    error.outcome_unknown = True
    raise error


async def _read(
    response: httpx.Response,
    stream: httpx.AsyncByteStream,
    headers: list[tuple[bytes, bytes]],
) -> bytes:
    """Return the decoded body, holding at most `MAX_BODY` bytes of it at any time."""
    encodings = header_values(headers, b"content-encoding")
    encoding = ", ".join(encodings).strip().lower() or "identity"
    problem = None
    if encoding == "identity":
        inflater = None
    elif encoding in {"gzip", "x-gzip", "deflate"}:
        # Asked for identity, some gateways compress all the same. 32: either format.
        inflater = zlib.decompressobj(32 + zlib.MAX_WBITS)
    else:
        return _unreadable(response, "an encoding that was not asked for")

    received, content = 0, bytearray()
    chunks = aiter(stream)
    async for chunk in chunks:
        received += len(chunk)
        try:
            content += (
                inflater.decompress(chunk, MAX_BODY + 1 - len(content))
                if inflater
                else chunk
            )
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
    """Raise for a 2xx answer; for another, whose status says enough, return nothing."""
    if is_success(response.status_code):
        raise _response_error(response, problem)
    return b""


async def _abandon(response: httpx.Response, chunks: AsyncIterator[bytes]) -> None:
    """Close `response`, and let the generators below its `chunks` run out.

    Left suspended, they would wait for the garbage collector, which trio warns about.
    """
    await response.aclose()
    with suppress(StopAsyncIteration):
        try:
            await anext(chunks)
        except _TRANSPORT_ERRORS as error:
            # aiohttp raises one and the same object every time: its traceback would
            # gather the frames of all these calls, and what they hold.
            (error.__cause__ or error).__traceback__ = None


def _response_error(response: httpx.Response, what: str) -> APIResponseError:
    status = response.status_code
    error = APIResponseError(f"unexpected answer with status {status}: {what}")
    error.status_code = status
    return error
