"""Faults 9 and 10: truncated bodies, and bodies that do not match the API contract."""

from __future__ import annotations

import gzip
import traceback
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from plastiq_async import APIConnectionError, APIResponseError, APITimeoutError
from tests.support.sessions import PAYER
from tests.support.socket_server import Connection, Request, Server, Step
from tests.support.steps import answer, response
from tests.support.wirings import Connect

SECRET = "XYZCLIENTSECRET123"
WHOLE = b'{"clientSecret": "%s"}' % SECRET.encode()
CHUNKED = [("Transfer-Encoding", "chunked")]
# Plain httpx takes these for a success.
succeeds_on_httpx = pytest.mark.fails_on_httpx(raises=pytest.fail.Exception)

# The headers and the bytes of the body for each way to mark its end.
FRAMINGS: dict[str, tuple[list[tuple[str, str]], bytes]] = {
    "length": ([("Content-Length", str(len(WHOLE)))], WHOLE),
    "chunked": (
        CHUNKED,
        b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (WHOLE[:5], len(WHOLE) - 5, WHOLE[5:]),
    ),
    "nothing": ([], WHOLE),
    "gzip": ([("Content-Encoding", "gzip")], gzip.compress(WHOLE, mtime=0)),
    "deflate": ([("Content-Encoding", "deflate")], zlib.compress(WHOLE)),
}


def framed(request: Request, framing: str) -> bytes:
    """Return a whole response; without a length, the end of the connection ends it."""
    headers, body = FRAMINGS[framing]
    whole = response(request, 200, body, headers)
    if framing in {"length", "chunked"}:
        return whole
    return whole.replace(b"Content-Length: %d\r\n" % len(body), b"")


def cut(framing: str, missing: int, end: Callable[[Connection], None]) -> Step:
    """Return the step that sends a response without its last bytes, then ends it."""

    def step(connection: Connection, request: Request) -> None:
        whole = framed(request, framing)
        connection.send(whole[: len(whole) - missing])
        end(connection)

    return step


async def check_refused(connect: Connect, *steps: Step) -> None:
    """Make a call per step; check that it fails early and does not show the body."""
    with Server(*steps) as server:
        async with connect(server, max_retries=0) as session:
            for _ in steps:
                with pytest.raises((APIConnectionError, APIResponseError)) as info:
                    await session.client_secrets.create(PAYER)
                assert not isinstance(info.value, APITimeoutError)
                assert SECRET[:3] not in all_told(info.value)


def all_told(error: BaseException) -> str:
    """Return all texts of an error and of its causes and contexts."""
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    return "".join([*lines, *(f"{one!r} {vars(one)}" for one in chain(error))])


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and all its causes and contexts."""
    if error is not None:
        yield error
        yield from chain(error.__cause__)
        yield from chain(error.__context__)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("framing", "end"),
    [
        ("length", Connection.close),
        ("length", Connection.reset),
        ("chunked", Connection.close),
        ("chunked", Connection.reset),
        ("nothing", Connection.close),
        ("nothing", Connection.reset),
        pytest.param("gzip", Connection.close, marks=succeeds_on_httpx),
        ("gzip", Connection.reset),
        pytest.param("deflate", Connection.close, marks=succeeds_on_httpx),
        ("deflate", Connection.reset),
    ],
)
async def test_cut_body(
    connect: Connect, framing: str, end: Callable[[Connection], None]
) -> None:
    """Fault 9: a body is refused if one or more bytes of its end are missing."""
    lengths = range(1, len(FRAMINGS[framing][1]) + 1)
    await check_refused(connect, *(cut(framing, missing, end) for missing in lengths))


@pytest.mark.slow
@pytest.mark.parametrize("end", [Connection.close, Connection.reset])
async def test_cut_head(connect: Connect, end: Callable[[Connection], None]) -> None:
    """Fault 9: a response with truncated headers is refused."""
    lengths = range(len(WHOLE) + 1, len(WHOLE) + 100)
    await check_refused(connect, *(cut("length", missing, end) for missing in lengths))


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@succeeds_on_httpx
async def test_cut_before_the_framing(connect: Connect, encoding: str) -> None:
    """Fault 9: a compressed body is refused if a gateway truncated it."""
    headers, body = FRAMINGS[encoding]
    lengths = range(len(body) - 1, -1, -1)
    await check_refused(
        connect, *(answer(200, body[:length], headers) for length in lengths)
    )


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_whole_body(connect: Connect, framing: str) -> None:
    """Fault 9: a complete body is accepted with every kind of framing."""
    with Server(cut(framing, 0, Connection.close)) as server:
        async with connect(server) as session:
            secret = await session.client_secrets.create(PAYER)
    assert secret.client_secret == SECRET


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("end", [Connection.close, Connection.reset])
async def test_retry_after_a_cut(
    connect: Connect, framing: str, end: Callable[[Connection], None]
) -> None:
    """Fault 9: a call is retried if the connection is lost during the response."""
    with Server(cut(framing, 8, end), answer()) as server:
        async with connect(server) as session:
            secret = await session.client_secrets.create(PAYER)
    assert secret.client_secret == f"secret-of-{secret.trace_id}"
    assert secret.response.attempts == 2
    first, second = (request.header("Trace-Id") for request in server.requests)
    assert first == second


@pytest.mark.slow
@pytest.mark.usefixtures("quick_retries")
async def test_length_that_is_too_short(connect: Connect) -> None:
    """Fault 9: bytes beyond the Content-Length do not reach the next call."""
    for length in range(len(WHOLE)):
        short = answer(200, WHOLE, [("Content-Length", str(length))])
        with Server(short, answer()) as server:
            async with connect(server) as session:
                with suppress(APIResponseError):
                    secret = await session.client_secrets.create(PAYER)
                    assert secret.client_secret == f"secret-of-{secret.trace_id}"
                secret = await session.client_secrets.create(PAYER)
                assert secret.client_secret == f"secret-of-{secret.trace_id}"


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("pause", [0, 0.05])
@pytest.mark.parametrize(
    "body",
    [
        b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (WHOLE[:5], len(WHOLE) - 3, WHOLE[5:]),
        b"5\r\n%b\r\n0\r\n\r\n" % WHOLE,
        b"5\r\n%b\r\n%b\r\n0\r\n\r\n" % (WHOLE[:5], WHOLE[5:]),
    ],
    ids=["too long", "too short", "no length"],
)
async def test_chunks_out_of_step(connect: Connect, body: bytes, pause: float) -> None:
    """Fault 9: a body with wrong chunk sizes is refused and the call is retried."""

    def step(connection: Connection, request: Request) -> None:
        head, blank, rest = response(request, 200, body, CHUNKED).partition(b"\r\n\r\n")
        connection.send(head + blank)
        connection.pause(pause)
        connection.send(rest)

    with Server(step, answer()) as server:
        async with connect(server, timeout=10) as session:
            secret = await session.client_secrets.create(PAYER)
    assert secret.client_secret == f"secret-of-{secret.trace_id}"
    assert secret.response.attempts == 2


def beside(value: str) -> bytes:
    """Return a body with a valid secret and another member with `value`."""
    return WHOLE[:-1] + f', "n": {value}}}'.encode()


def holding(value: str) -> bytes:
    """Return a body with `value` in place of the secret."""
    return f'{{"clientSecret": {value}, "n": "{SECRET}"}}'.encode()


NOT_JSON = {
    "empty": b"",
    "blank": b" \r\n",
    "half": WHOLE[:-1],
    "twice": WHOLE * 2,
    "HTML": b"<html>%b</html>" % WHOLE,
    "single quotes": WHOLE.replace(b'"', b"'"),
    "deep arrays": beside("[" * 200_000),
    "deep objects": beside('{"a":' * 200_000),
    "endless number": beside("9" * 100_000),
    "endless exponent": beside("1e" + "9" * 100),
    "no UTF-8": WHOLE.replace(b"3", b"\xff"),
    "Latin-1": beside('"\u00e9"').decode().encode("latin-1"),
}
# Python's JSON decoder accepts these.
EXTENSIONS = {
    "NaN": beside("NaN"),
    "Infinity": beside("Infinity"),
    "-Infinity": beside("-Infinity"),
    "BOM": b"\xef\xbb\xbf" + WHOLE,
    "UTF-16": WHOLE.decode().encode("utf-16"),
}
WRONG = {
    "missing": (b'{"n": "%b"}' % SECRET.encode(), "missing @ $.clientSecret"),
    "misspelt": (WHOLE.replace(b"S", b"_s"), "missing @ $.clientSecret"),
    "array": (b"[%b]" % WHOLE, "unexpected value @ $"),
    "string": (f'"{SECRET}"'.encode(), "unexpected value @ $"),
    "number": (b"123123123", "unexpected value @ $"),
    "null alone": (b"null", "unexpected value @ $"),
}
# Plain httpx returns these as the secret.
WRONG_SECRETS = {
    "null": ("null", "unexpected value @ $.clientSecret"),
    "true": ("true", "unexpected value @ $.clientSecret"),
    "number within": ("123123123", "unexpected value @ $.clientSecret"),
    "fraction": ("123123.123", "unexpected value @ $.clientSecret"),
    "array within": (f'["{SECRET}"]', "unexpected value @ $.clientSecret"),
    "object": (f'{{"{SECRET}": 1}}', "unexpected value @ $.clientSecret"),
    "empty text": ('""', "empty text @ $.clientSecret"),
}


@pytest.mark.slow
@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("status", [200, 201])
@pytest.mark.parametrize(
    ("body", "problem"),
    [
        *(
            pytest.param(body, "the body is not JSON", id=name)
            for name, body in NOT_JSON.items()
        ),
        *(
            pytest.param(body, "the body is not JSON", id=name, marks=succeeds_on_httpx)
            for name, body in EXTENSIONS.items()
        ),
        *(pytest.param(*case, id=name) for name, case in WRONG.items()),
        *(
            pytest.param(holding(value), problem, id=name, marks=succeeds_on_httpx)
            for name, (value, problem) in WRONG_SECRETS.items()
        ),
    ],
)
async def test_wrong_body(
    connect: Connect, status: int, body: bytes, problem: str
) -> None:
    """Fault 10: the error names the path of the wrong value, but not its data."""
    with Server(answer(status, body)) as server:
        async with connect(server) as session:
            with pytest.raises(APIResponseError) as info:
                await session.client_secrets.create(PAYER)
    assert f"with status {status}: {problem} [" in str(info.value)
    assert info.value.status_code == status
    assert info.value.attempts == len(server.requests) == 1
    told = all_told(info.value)
    assert SECRET[:3] not in told
    assert "123123" not in told


async def test_created(connect: Connect) -> None:
    """Fault 10: a valid body with status code 201 is a success."""
    with Server(answer(201, beside("1.5"))) as server:
        async with connect(server) as session:
            secret = await session.client_secrets.create(PAYER)
    assert secret.client_secret == SECRET
