"""Operations to httpx requests; what all of a session share is made once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import httpx

from plastiq_async._call import CALL_EXTENSION
from plastiq_async.errors import ConfigurationError

if TYPE_CHECKING:
    from plastiq_async._call import Call, Operation

# An attempt that takes longer to connect is given up, so that another is possible. The
# rest is the call's own deadline: httpx's other timeouts start anew with each byte.
TIMEOUTS = {"connect": 5.0, "read": None, "write": None, "pool": None}


class RequestBuilder:
    """Makes the requests of a session.

    Args:
        base_url: The server's address.

    Raises:
        ConfigurationError: httpx cannot read that.
    """

    def __init__(self, base_url: str) -> None:
        url = _parse_url(base_url)
        self._url = lru_cache(maxsize=64)(lambda path: httpx.URL(f"{url}{path}"))
        self._headers = (
            (b"Host", url.netloc),
            (b"Accept", b"application/json"),
            # The answers are tiny, and what is not inflated cannot explode.
            (b"Accept-Encoding", b"identity"),
            (b"Content-Type", b"application/json"),
        )

    def build(self, operation: Operation[Any], call: Call) -> httpx.Request:
        """Return the request for `operation`, with its body read, as part of `call`."""
        request = httpx.Request(
            operation.method,
            self._url(operation.path),
            headers=[
                *self._headers,
                (b"Content-Length", b"%d" % len(operation.body)),
                *operation.headers,
            ],
            stream=_Body(operation.body),
            extensions={"timeout": TIMEOUTS, CALL_EXTENSION: call},
        )
        # Checked before: httpx would find that out again, header by header.
        request.headers.encoding = "utf-8"
        request.read()
        return request


def _parse_url(base_url: str) -> httpx.URL:
    with suppress(httpx.InvalidURL, ValueError):
        url = httpx.URL(base_url)
        if url.host:  # decoded only here: a ValueError for broken Punycode
            return url
    msg = "base_url or PLASTIQ_BASE_URL must be a URL with a valid host"
    raise ConfigurationError(msg)


class _Body(httpx.ByteStream):
    """A request's body, without an async generator to be left behind by a cancellation.

    trio warns of each one that is.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._content = content

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Once(self._content)


class _Once(AsyncIterator[bytes]):
    """An async iterator over one chunk."""

    def __init__(self, chunk: bytes) -> None:
        self._chunks = [chunk]

    async def __anext__(self) -> bytes:
        if self._chunks:
            return self._chunks.pop()
        raise StopAsyncIteration
