"""`BodyDecoder`: content encodings, compared with Python's modules, and its limits."""

from __future__ import annotations

import gzip
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterable
from functools import reduce
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plastiq_async._transport.decoding import (
    BodyDecoder,
    BodyTooLargeError,
    DecodingError,
)

LIMIT = 1 << 20
BODY = b'{"clientSecret": "XYZCLIENTSECRET123"}'


def zip_once(data: bytes) -> bytes:
    """Return the data as gzip, the same each time."""
    return gzip.compress(data, mtime=0)


def zip_members(data: bytes) -> bytes:
    """Return the data as gzip in two members, with zeros between and after them."""
    middle = len(data) // 2
    parts = (data[:middle], data[middle:])
    return b"".join(zip_once(part) + bytes(3) for part in parts)


def deflate_raw(data: bytes) -> bytes:
    """Return the data in deflate's format without zlib's header."""
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def identity(data: bytes) -> bytes:
    """Return the data itself."""
    return data


# An encoder, and how its encoding is called.
Step = tuple[Callable[[bytes], bytes], str]
STEPS: list[Step] = [
    (zip_once, "gzip"),
    (zip_members, "GZip"),
    (zip_members, "x-gzip"),
    (zlib.compress, "deflate"),
    (deflate_raw, "Deflate"),
    (identity, "identity"),
    (identity, ""),
]


def decode(
    body: bytes, *values: str, limit: int = LIMIT, cuts: Iterable[int] = ()
) -> bytes:
    """Return the decoded body, fed in chunks that end at `cuts`."""
    headers = [(b"Content-Encoding", value.encode("latin-1")) for value in values]
    decoder = BodyDecoder(headers, limit)
    places = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    for start, end in pairwise(places):
        decoder.feed(body[start:end])
    return decoder.finish()


@given(
    body=st.binary(max_size=2000) | st.integers(0, 20_000).map(bytes),
    steps=st.lists(st.sampled_from(STEPS), max_size=5),
    cuts=st.lists(st.integers(1, 3000)),
    blank=st.sampled_from(["", " ", "\t "]),
    repeated=st.booleans(),
)
@example(body=b"", steps=[STEPS[0]], cuts=[], blank=" ", repeated=False)
@example(body=BODY, steps=STEPS[:5], cuts=range(3000), blank=" ", repeated=True)
def test_round_trip(
    body: bytes, steps: list[Step], cuts: Iterable[int], blank: str, repeated: bool
) -> None:
    """What Python's modules encode, in whatever order and chunks, is decoded."""
    encoded = reduce(lambda data, step: step[0](data), steps, body)
    names = [blank + name + blank for _, name in steps]
    values = names if repeated else [",".join(names)]
    assert decode(encoded, *values, cuts=cuts) == body


@given(
    parts=st.lists(
        st.sampled_from([b"", b"\0", bytes(5000), b"\x1f", b"\x1f\x8b", b"garbage"])
        | st.binary(max_size=20).map(zip_once),
        max_size=5,
    ),
    left_off=st.integers(0, 30),
    cuts=st.lists(st.integers(1, 200)),
)
def test_gzip_as_python_reads_it(
    parts: list[bytes], left_off: int, cuts: list[int]
) -> None:
    """Members, padding, garbage and cuts are judged as by Python's module."""
    data = b"".join(parts)
    data = data[: max(0, len(data) - left_off)]
    try:
        expected = gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        with pytest.raises(DecodingError, match=r"corrupt|cut short"):
            decode(data, "gzip", cuts=cuts)
    else:
        assert decode(data, "gzip", cuts=cuts) == expected


ZIPPED = zip_once(BODY)


@pytest.mark.parametrize("cuts", [(), range(1, 200)])
@pytest.mark.parametrize(
    ("body", "values", "problem"),
    [
        (ZIPPED[:-1], ["gzip"], "a body that was cut short"),
        (ZIPPED[:1], ["gzip"], "a body that was cut short"),
        (ZIPPED + ZIPPED[:-1], ["gzip"], "a body that was cut short"),
        (ZIPPED + b"garbage", ["gzip"], "a corrupt encoding"),
        (ZIPPED + bytes(9) + b"garbage", ["gzip"], "a corrupt encoding"),
        (bytes(9) + ZIPPED, ["gzip"], "a corrupt encoding"),
        (ZIPPED[:-8] + bytes(8), ["gzip"], "a corrupt encoding"),
        (zlib.compress(BODY), ["gzip"], "a corrupt encoding"),
        (zlib.compress(BODY)[:1], ["deflate"], "a body that was cut short"),
        (zlib.compress(BODY)[:-1], ["deflate"], "a body that was cut short"),
        (zlib.compress(BODY) + b"\0", ["deflate"], "a corrupt encoding"),
        (deflate_raw(BODY) + BODY, ["deflate"], "a corrupt encoding"),
        (deflate_raw(BODY)[:-1], ["deflate"], "a body that was cut short"),
        (zip_once(ZIPPED[:-1]), ["gzip, gzip"], "a body that was cut short"),
        (zip_once(ZIPPED)[:-1], ["gzip, gzip"], "a body that was cut short"),
        (zip_once(BODY), ["gzip", "gzip"], "a corrupt encoding"),
    ],
)
def test_broken_body(
    body: bytes, values: list[str], problem: str, cuts: Iterable[int]
) -> None:
    """A corrupt body and one that was cut short are told apart."""
    with pytest.raises(DecodingError) as info:
        decode(body, *values, cuts=cuts)
    assert str(info.value) == problem


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (["br"], "the encoding br, which was not requested"),
        (["gzip, ZSTD"], "the encoding zstd, which was not requested"),
        (["identity", " compress "], "the encoding compress, which was not requested"),
        (["s3cr3t"], "an unknown encoding, which was not requested"),
        (["gzip;q=1"], "an unknown encoding, which was not requested"),
        (["\xe9"], "an unknown encoding, which was not requested"),
        (["gzip, " * 6], "more than 5 encodings"),
    ],
)
def test_refused_encoding(values: list[str], problem: str) -> None:
    """A known encoding is refused by its name, and nothing else is quoted."""
    with pytest.raises(DecodingError) as info:
        decode(BODY, *values)
    assert str(info.value) == problem


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "gzip, deflate", "br"])
def test_no_body(encoding: str) -> None:
    """A response without a body needs none of its encoding's frames."""
    if encoding == "br":
        with pytest.raises(DecodingError):
            decode(b"", encoding)
    else:
        assert decode(b"", encoding) == b""


@pytest.mark.parametrize("step", STEPS[:6], ids=lambda step: step[1])
def test_limit(step: Step) -> None:
    """A body of the largest size is decoded, and one byte more is too much."""
    encoder, name = step
    assert decode(encoder(bytes(1000)), name, limit=1000) == bytes(1000)
    with pytest.raises(BodyTooLargeError, match=r"^more than 1000 bytes$"):
        decode(encoder(bytes(1001)), name, limit=1000)


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("encoder", [zip_once, zlib.compress])
def test_bomb(count: int, encoder: Callable[[bytes], bytes]) -> None:
    """A bomb in any layer is decoded no further than the limit."""
    name = "gzip" if encoder is zip_once else "deflate"
    body = bytes(8 << 20)
    for _ in range(count):
        body = encoder(body)
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLargeError):
            decode(body, *[name] * count)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * LIMIT


def test_inner_bomb() -> None:
    """A form that is too large is refused, though it decodes to a small body."""
    inner = zip_once(b"") * 100_000
    with pytest.raises(BodyTooLargeError):
        decode(zip_once(inner), "gzip, gzip")


@pytest.mark.parametrize("padding", [b"", b"\0"])
def test_many_members(padding: bytes) -> None:
    """The time for many members grows with their number, not with its square."""
    member = zip_once(b"") + padding

    def cost(count: int) -> float:
        started = time.process_time()
        assert decode(member * count, "gzip") == b""
        return time.process_time() - started

    count = LIMIT // len(member) // 16
    small = min(cost(count) for _ in range(3))
    # Sixteen times the members; a quadratic decoder would take 256 times as long.
    assert cost(16 * count) < 100 * small
