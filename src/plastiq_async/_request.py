"""The request builder: operations to httpx requests, with every header checked."""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from itertools import chain
from urllib.parse import quote, urlencode

import attrs
import httpx

from plastiq_async._call import CALL_EXTENSION, Call
from plastiq_async._operation import Operation
from plastiq_async._validate import check_header
from plastiq_async._version import __version__
from plastiq_async.errors import ConfigurationError, InvalidArgumentError

# Connecting gives up earlier than the call, so that a retry can follow. Everything else
# ends at the call's deadline: httpx's other timeouts start again with each byte.
TIMEOUTS = {"connect": 5.0, "read": None, "write": None, "pool": None}

_PARAMETER = re.compile(r"\{(\w+)\}")
# All headers of a request that can be sent, as `check_header` has it: the name and the
# value end in a line feed each.
_HEADERS = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+\n[!-~](?:[ -~]*[!-~])?\n)*")
_BODYLESS = frozenset({"GET", "DELETE"})
# The User-Agent of calls that are made for no known end user.
USER_AGENT = f"plastiq-async/{__version__}".encode()


class OperationURL(httpx.URL):
    """The URL of an operation with its template, for logs, which holds no IDs."""

    def __init__(self, url: str, template: str) -> None:
        super().__init__(url)
        self.template = template


class RequestBuilder:
    """Builds the requests of a session."""

    def __init__(self, base_url: str) -> None:
        url = _parse_url(base_url)
        self._base_url = str(url)
        self._parse_cached = lru_cache(maxsize=64)(self._parse_path)
        self._headers = (
            (b"Host", url.netloc),
            (b"Accept", b"application/json"),
            # Responses are small, and what is not compressed cannot be a bomb.
            (b"Accept-Encoding", b"identity"),
        )

    def build(self, call: Call) -> httpx.Request:
        """Return the request of `call`, with its body read."""
        operation = call.operation
        url = self._url(operation)
        content = b"" if operation.body is None else operation.body.content
        request = httpx.Request(
            operation.method,
            url,
            headers=[*self._headers, *_own_headers(call, content)],
            stream=BodyStream(content),
            extensions={"timeout": TIMEOUTS, CALL_EXTENSION: call},
        )
        request.url = url  # httpx copied it, without its template
        # `check_headers` takes ASCII only; httpx would test each header for it.
        request.headers.encoding = "utf-8"
        request.read()
        return request

    def _url(self, operation: Operation[object]) -> httpx.URL:
        with suppress(httpx.InvalidURL, UnicodeEncodeError):
            if not operation.path_params and not operation.query:
                return self._parse_cached(operation.path)
            template = self._base_url + operation.path
            return OperationURL(self._base_url + _target(operation), template)
        msg = (
            "path_params and query must fit into a URL of 64 KiB and have no lone "
            "surrogate"
        )
        raise InvalidArgumentError(msg)

    def _parse_path(self, path: str) -> httpx.URL:
        return httpx.URL(self._base_url + fill_path(path, {}))


def check_headers(request: httpx.Request) -> None:
    """Make sure that all headers of `request` can be sent as they are."""
    headers = request.headers.raw
    lines = b"\n".join([*chain.from_iterable(headers), b""])
    # More line feeds than our own are in a name or a value, which would be split there.
    valid = lines.count(b"\n") == 2 * len(headers) and _HEADERS.fullmatch(lines)
    if not valid:
        del headers, lines  # crash reporters collect local variables
        raise _header_error(request)


def _header_error(request: httpx.Request) -> InvalidArgumentError:
    """Return the error about the first header that cannot be sent."""
    failures = []
    for name, value in request.headers.raw:
        try:
            check_header(name, value)
        except InvalidArgumentError as error:
            failures.append(error.with_traceback(None))
    return failures[0]


def _own_headers(call: Call, content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the headers that depend on the call."""
    operation = call.operation
    if operation.body is not None:
        yield b"Content-Type", operation.content_type.encode()
    if operation.body is not None or operation.method not in _BODYLESS:
        yield b"Content-Length", b"%d" % len(content)
    if operation.idempotency_key is not None:
        yield b"Idempotency-Key", str(operation.idempotency_key).encode()
    end_user = call.end_user
    # The API requires a user agent of every server-side caller.
    agent = end_user and end_user.user_agent
    yield b"User-Agent", agent.encode() if agent else USER_AGENT
    if end_user and end_user.ip:
        yield b"End-User-Ip", end_user.ip.encode()
    if end_user and end_user.device_id:
        yield b"End-User-Device-Id", end_user.device_id.encode()
    yield from call.extra_headers


def _target(operation: Operation[object]) -> str:
    """Return the path and the query of `operation`."""
    path = fill_path(operation.path, operation.path_params)
    if not operation.query:
        return path
    return f"{path}?{urlencode(operation.query, quote_via=quote)}"


def fill_path(template: str, params: Mapping[str, str]) -> str:
    """Return the path `template` with its `params`, each quoted whole."""
    if set(_PARAMETER.findall(template)) != params.keys():
        msg = f"path_params must have exactly the parameters of {template}"
        raise InvalidArgumentError(msg)
    for name, value in params.items():
        if value in {"", ".", ".."}:
            msg = f'path parameter {name} must not be empty, "." or ".."'
            raise InvalidArgumentError(msg)
    return _PARAMETER.sub(lambda match: quote(params[match[1]], safe=""), template)


def _parse_url(base_url: str) -> httpx.URL:
    with suppress(httpx.InvalidURL, ValueError):
        url = httpx.URL(base_url)
        if url.host:  # decoded only here: a ValueError for broken Punycode
            return url
    msg = "base_url or PLASTIQ_BASE_URL must be a URL with a valid host"
    raise ConfigurationError(msg)


class BodyStream(httpx.ByteStream):
    """A request body whose iterator is no async generator.

    A cancellation would leave the generator suspended, and trio warns of those.
    """

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Chunks(iter(self))


@attrs.define
class _Chunks(AsyncIterator[bytes]):
    """An async iterator over an iterator."""

    chunks: Iterator[bytes]

    async def __anext__(self) -> bytes:
        for chunk in self.chunks:
            return chunk
        raise StopAsyncIteration
