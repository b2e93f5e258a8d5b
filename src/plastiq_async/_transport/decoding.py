"""`BodyDecoder`: the content encodings of a response body, with bounded output.

httpx's decoders have no limit and stop at the end of the first gzip member.
"""

import zlib
from collections.abc import Callable, Iterable
from typing import Protocol

from plastiq_async._protocol import header_values

# Encodings of the IANA registry and their aliases, which can be named without quoting
# the server.
_UNSUPPORTED = frozenset({"aes128gcm", "br", "compress", "dcb", "dcz", "exi", "zstd"})
_UNSUPPORTED |= {"pack200-gzip", "x-compress"}
# As curl has it. Each encoding may hold as much memory as the body.
_MOST_ENCODINGS = 5
# zlib copies what follows the end of a member, so members are read in small pieces.
_PIECE = 4096


class DecodingError(Exception):
    """The body cannot be decoded. The text says why, and quotes nothing."""


class BodyTooLargeError(DecodingError):
    """The body, or one of its encoded forms, is longer than the limit."""


class _Decoder(Protocol):
    """A decoder of one content encoding."""

    @property
    def complete(self) -> bool:
        """Whether the encoded data may end here."""
        ...

    def decode(self, data: bytes, most: int) -> bytes:
        """Return the decoded `data`; decode no further than `most` bytes."""
        ...


class _Gzip:
    """gzip (RFC 1952), as Python's module reads it: members, each padded with zeros."""

    def __init__(self) -> None:
        self._member: zlib._Decompress | None = _gzip_member()

    @property
    def complete(self) -> bool:
        return self._member is None

    def decode(self, data: bytes, most: int) -> bytes:
        content = bytearray()
        for start in range(0, len(data), _PIECE):
            rest = data[start : start + _PIECE]
            while rest and len(content) < most:
                if self._member is None:
                    rest = rest.lstrip(b"\0")
                    self._member = _gzip_member() if rest else None
                    continue
                content += self._member.decompress(rest, most - len(content))
                rest = self._member.unused_data
                if self._member.eof:
                    self._member = None
        return bytes(content)


class _Deflate:
    """deflate, in zlib's format (RFC 1950) or, as some servers have it, without."""

    def __init__(self) -> None:
        self._head = b""
        self._inflater: zlib._Decompress | None = None

    @property
    def complete(self) -> bool:
        return self._inflater is not None and self._inflater.eof

    def decode(self, data: bytes, most: int) -> bytes:
        if self._inflater is None:
            data = self._head = self._head + data
            if len(data) < 2:  # noqa: PLR2004 -- the header of zlib's format
                return b""
            self._inflater = zlib.decompressobj(_window_bits(*data[:2]))
        content = self._inflater.decompress(data, most)
        if self._inflater.unused_data:
            raise zlib.error("data after the end")
        return content


def _window_bits(first: int, second: int) -> int:
    """Return zlib's parameter for data that begins with these two bytes."""
    # No compressor begins a deflate stream with the low bits of zlib's header.
    has_header = first & 15 == 8 and (first << 8 | second) % 31 == 0  # noqa: PLR2004 -- RFC 1950
    return zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS


def _gzip_member() -> "zlib._Decompress":
    return zlib.decompressobj(16 + zlib.MAX_WBITS)


_DECODERS: dict[str, Callable[[], _Decoder]] = {
    "gzip": _Gzip,
    "x-gzip": _Gzip,
    "deflate": _Deflate,
}


class BodyDecoder:
    """Decodes a response body in chunks, as its ``Content-Encoding`` headers say.

    Args:
        headers: The headers of the response.
        limit: The largest body, and the largest of its encoded forms, in bytes.

    Raises:
        DecodingError: An encoding is not supported.
    """

    def __init__(self, headers: Iterable[tuple[bytes, bytes]], limit: int) -> None:
        values = header_values(headers, b"content-encoding")
        encodings = _parse_encodings(values) if values else ()
        # The last encoding was applied last.
        self._decoders = [_DECODERS[name]() for name in reversed(encodings)]
        self._limit = limit
        # How many bytes may still be received, and come out of each decoder.
        self._left = limit
        self._left_of = [limit] * len(encodings)
        self._content = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Decode the next `chunk` of the body.

        Raises:
            BodyTooLargeError: A form of the body is longer than the limit.
            DecodingError: The body is corrupt.
        """
        self._left -= len(chunk)
        if self._left < 0:
            raise self._too_large()
        for index, decoder in enumerate(self._decoders):
            try:
                chunk = decoder.decode(chunk, self._left_of[index] + 1)
            except zlib.error:
                raise DecodingError("a corrupt encoding") from None
            self._left_of[index] -= len(chunk)
            if self._left_of[index] < 0:
                raise self._too_large()
        self._content += chunk

    def finish(self) -> bytes:
        """Return the decoded body, after its last chunk.

        Raises:
            DecodingError: The body was cut short.
        """
        received = self._left < self._limit
        for decoder in self._decoders if received else ():
            if not decoder.complete:
                raise DecodingError("a body that was cut short")
        return bytes(self._content)

    def _too_large(self) -> BodyTooLargeError:
        return BodyTooLargeError(f"more than {self._limit} bytes")


def _parse_encodings(values: list[str]) -> list[str]:
    """Return the names of the encodings, in the order in which they were applied."""
    names = [name.strip(" \t").lower() for name in ",".join(values).split(",")]
    names = [name for name in names if name not in {"", "identity"}]
    for name in names:
        if name in _UNSUPPORTED:
            raise DecodingError(f"the encoding {name}, which was not requested")
        if name not in _DECODERS:
            raise DecodingError("an unknown encoding, which was not requested")
    if len(names) > _MOST_ENCODINGS:
        raise DecodingError(f"more than {_MOST_ENCODINGS} encodings")
    return names
