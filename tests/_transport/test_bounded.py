"""`BoundedTransport`: size limit, decoding, trace ID check and error mapping."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator, Iterable
from uuid import UUID, uuid4

import httpx
import pytest

from plastiq_async import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    HookError,
    PlastiqError,
    PlastiqSession,
    ServiceUnavailableError,
    SessionStateError,
)
from plastiq_async._transport.bounded import MAX_BODY, BoundedTransport, UserTransport
from tests.support.payment_methods import CARD_NUMBER, CVV, make_card
from tests.support.sessions import PAYER, TOKEN, session_for
from tests.support.socket_server import Connection, Request, Server
from tests.support.steps import answer, response
from tests.support.timing import eventually
from tests.support.transports import Transport, httpx_errors, make_error
from tests.support.wirings import WIRINGS

over_all = pytest.mark.parametrize(("anyio_backend", "transport"), WIRINGS)

SECRET = b'{"clientSecret": "XYZCLIENTSECRET123"}'
OTHER = "11111111-1111-4111-8111-111111111111"


class Stream(httpx.AsyncByteStream):
    """A body in chunks that counts the bytes read."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.chunks = iter(chunks)
        self.read = 0
        self.closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return the stream itself; a generator would need closing as well."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next chunk."""
        for chunk in self.chunks:
            self.read += len(chunk)
            return chunk
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Record that the stream was closed."""
        self.closed = True


async def test_closed() -> None:
    """A closed transport sends no request."""
    inner = Transport(lambda _: httpx.Response(200))
    bounded = BoundedTransport(UserTransport(inner))
    await bounded.aclose()
    with pytest.raises(SessionStateError, match="closed during the call"):
        await bounded.handle_async_request(httpx.Request("POST", "http://127.0.0.1"))
    assert (inner.calls, inner.closed) == (0, 1)


UNSENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"}
UNSENT |= {"UnsupportedProtocol"}


async def create(session: PlastiqSession, expected: type[PlastiqError]) -> PlastiqError:
    """Return the error of a call, which must be of the expected type."""
    async with session:
        with pytest.raises(expected) as info:
            await session.client_secrets.create(PAYER)
    assert type(info.value) is expected
    return info.value


@pytest.mark.parametrize(
    "kind", [*httpx_errors(), OSError, ConnectionResetError], ids=lambda k: k.__name__
)
async def test_transport_error(kind: type[Exception]) -> None:
    """An httpx exception becomes an error that says whether the outcome is unknown."""
    raised = make_error(kind, "XYZCLIENTSECRET123")

    def fail(_: httpx.Request) -> httpx.Response:
        raise raised

    session = PlastiqSession(TOKEN, transport=Transport(fail), max_retries=0)
    error = await create(session, APIConnectionError)
    assert kind.__name__ in str(error)
    assert error.outcome_unknown == (kind.__name__ not in UNSENT)
    assert error.attempts == 1
    assert error.__suppress_context__
    if issubclass(kind, httpx.ProtocolError):
        # Its text may quote the response to another request.
        assert "XYZ" not in str(error)
        assert error.__cause__ is None
    elif kind is httpx.ProxyError:
        # Its text may come from the proxy, so only the status code is shown.
        assert error.__cause__ is None
    else:
        assert error.__cause__ is raised
    assert error.__context__ is None or error.__context__ is error.__cause__


@pytest.mark.parametrize(
    ("cause", "reason"), [(None, "no reason given"), (OSError("cut"), "cut")]
)
async def test_error_without_a_text(cause: Exception | None, reason: str) -> None:
    """If an error has no text, the text of its cause is used."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("") from cause

    session = PlastiqSession(TOKEN, transport=Transport(fail), max_retries=0)
    error = await create(session, APIConnectionError)
    assert f"ConnectError: {reason} (connect.sandbox.plastiq.com:443) [" in str(error)


@pytest.mark.usefixtures("quick_retries")
async def test_protocol_error_on_the_wire() -> None:
    """A response that is not HTTP is retried, and the error does not quote it."""

    def babble(connection: Connection, _: Request) -> None:
        connection.send(b"XYZCLIENTSECRET123\r\n\r\n")

    with Server(babble) as server:
        error = await create(session_for(server), APIConnectionError)
    assert error.attempts == len(server.connections) == 3
    assert "XYZ" not in str(error)
    assert error.outcome_unknown


async def test_other_errors_of_a_transport() -> None:
    """An exception other than a transport error is raised unchanged."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise ZeroDivisionError

    async with PlastiqSession(TOKEN, transport=Transport(fail)) as session:
        with pytest.raises(ZeroDivisionError):
            await session.client_secrets.create(PAYER)


async def test_sync_stream() -> None:
    """A transport with a sync response stream breaks its contract."""
    transport = Transport(lambda _: httpx.Response(200, stream=httpx.SyncByteStream()))
    async with PlastiqSession(TOKEN, transport=transport) as session:
        with pytest.raises(HookError, match=r"transport .* not async"):
            await session.client_secrets.create(PAYER)


async def test_close() -> None:
    """Closing the session closes the transport once."""
    transport = Transport(lambda _: httpx.Response(200, content=SECRET))
    async with PlastiqSession(TOKEN, transport=transport) as session:
        await session.client_secrets.create(PAYER)
        assert transport.closed == 0
    await session.aclose()
    assert transport.closed == 1


def endless(chunk: bytes) -> Iterable[bytes]:
    """Yield a chunk many times, but not without end."""
    for _ in range(10_000):
        yield chunk


@pytest.mark.parametrize("encoding", [None, "gzip"])
@pytest.mark.parametrize("status", [200, 302, 400, 401, 503])
async def test_endless_body(status: int, encoding: str | None) -> None:
    """A body over the size limit is read no further, and the call is not retried."""
    chunk = bytes(1 << 16)
    compressor = zlib.compressobj(wbits=31)
    chunks = (
        compressor.compress(one) + compressor.flush(zlib.Z_SYNC_FLUSH)
        if encoding
        else one
        for one in endless(chunk)
    )
    stream = Stream(chunks)
    headers = {"Content-Encoding": encoding} if encoding else {}
    transport = Transport(
        lambda _: httpx.Response(status, headers=headers, stream=stream)
    )

    async def provide() -> str:
        return TOKEN

    error = await create(PlastiqSession(provide, transport=transport), APIResponseError)
    assert isinstance(error, APIResponseError)
    assert str(MAX_BODY) in str(error)
    assert (error.status_code, error.attempts) == (status, 1)
    assert not error.outcome_unknown
    assert transport.calls == 1
    # A stream that goes on although it is closed is read a little further.
    assert stream.read <= (0 if encoding else MAX_BODY) + 2 * len(chunk)
    assert stream.closed


async def test_bomb_in_one_chunk() -> None:
    """A small body that decompresses to more than the limit is refused."""
    bomb = gzip.compress(bytes(32 << 20), 1)
    assert len(bomb) < MAX_BODY
    with Server(answer(200, bomb, [("Content-Encoding", "gzip")])) as server:
        error = await create(session_for(server), APIResponseError)
    assert str(MAX_BODY) in str(error)


async def test_bomb_in_the_last_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk is inflated no further than one byte beyond what still fits."""
    inflated = 0

    class Inflater:
        def __init__(self, wbits: int) -> None:
            self._inflater = decompressobj(wbits)

        def decompress(self, data: bytes, max_length: int) -> bytes:
            nonlocal inflated
            content = self._inflater.decompress(data, max_length)
            inflated += len(content)
            return content

        def __getattr__(self, name: str) -> object:
            return getattr(self._inflater, name)

    decompressobj = zlib.decompressobj
    monkeypatch.setattr(zlib, "decompressobj", Inflater)
    compressor = zlib.compressobj(wbits=31)
    chunks = [
        compressor.compress(bytes(MAX_BODY - 1)) + compressor.flush(zlib.Z_SYNC_FLUSH),
        compressor.compress(bytes(8 << 20)) + compressor.flush(),
        b"never inflated",
    ]
    transport = Transport(
        lambda _: httpx.Response(
            200, headers={"Content-Encoding": "gzip"}, stream=Stream(chunks)
        )
    )
    await create(PlastiqSession(TOKEN, transport=transport), APIResponseError)
    assert inflated == MAX_BODY + 1


def test_cap() -> None:
    """The README promises a cap of 1 MiB."""
    assert MAX_BODY == 1 << 20


@pytest.mark.parametrize("status", [200, 401])
async def test_largest_body(status: int) -> None:
    """A body of exactly the size limit is accepted."""
    body = SECRET.ljust(MAX_BODY)
    with Server(answer(status, body)) as server:
        session = session_for(server)
        if status == 401:
            await create(session, AuthenticationError)
        else:
            async with session:
                secret = await session.client_secrets.create(PAYER)
            assert secret.client_secret == "XYZCLIENTSECRET123"


async def test_quotes_in_headers() -> None:
    """Headers that repeat a secret of the request are dropped, and no others."""
    headers = [
        ("X-Whole", f"card {CARD_NUMBER}"),
        ("X-Groups", "card 4242 4242-4242 4242"),
        ("X-Cvv", CVV),
        ("X-Token", f"Bearer{TOKEN}x"),
        ("X-Part", f"{CVV}4"),
        ("X-Id", f"{CVV}51c39-6e29-49a6-ba5a-1a31d5420158"),
    ]
    with Server(answer(200, b'{"id": "%s"}' % PAYER.encode(), headers)) as server:
        async with session_for(server) as session:
            method = await session.payment_methods.create(PAYER, data=make_card())
    names = {name.lower() for name in method.response.headers}
    assert names == {"content-length", "trace-id", "x-part", "x-id"}


def encoded(encoding: str, body: bytes) -> bytes:
    """Return the body in a content encoding."""
    if "gzip" in encoding.lower():
        return gzip.compress(body)
    return zlib.compress(body) if encoding == "deflate" else body


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZip", "deflate", "identity"])
async def test_compressed_body(encoding: str) -> None:
    """A compressed response is decoded, although none was requested."""
    body = encoded(encoding, SECRET)
    with Server(answer(200, body, [("Content-Encoding", encoding)])) as server:
        async with session_for(server) as session:
            secret = await session.client_secrets.create(PAYER)
    assert secret.client_secret == "XYZCLIENTSECRET123"
    assert "Content-Encoding" not in secret.response.headers


@pytest.mark.parametrize(
    ("encoding", "body", "problem"),
    [
        ("gzip", gzip.compress(SECRET, mtime=0)[:-4], "cut short"),
        ("deflate", zlib.compress(SECRET)[:-1], "cut short"),
        ("gzip", b"", "not JSON"),
        ("gzip", SECRET, "corrupt"),
        ("gzip", gzip.compress(SECRET, mtime=0)[:-8] + bytes(8), "corrupt"),
        ("br", SECRET, "not requested"),
        ("gzip, br", gzip.compress(SECRET, mtime=0), "encoding br"),
    ],
)
async def test_broken_encoding(encoding: str, body: bytes, problem: str) -> None:
    """A truncated, corrupt or unsupported encoding is an error and not retried."""
    with Server(answer(200, body, [("Content-Encoding", encoding)])) as server:
        error = await create(session_for(server), APIResponseError)
    assert problem in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    assert len(server.requests) == 1


@over_all
@pytest.mark.parametrize("status", [200, 400])
async def test_members(anyio_backend: str, transport: str, status: int) -> None:
    """A body in several members and layers is read whole, and so is an error's."""
    body = SECRET if status == 200 else b'{"code": "A_CODE", "message": "why"}'
    encoded = zlib.compress(gzip.compress(body[:9]) + gzip.compress(body[9:]))
    headers = [("Content-Encoding", "GZIP"), ("Content-Encoding", "identity,deflate")]
    with Server(answer(status, encoded, headers)) as server:
        session = session_for(server, transport=transport)
        if status == 200:
            async with session:
                secret = await session.client_secrets.create(PAYER)
            assert secret.client_secret == "XYZCLIENTSECRET123"
        else:
            error = await create(session, BadRequestError)
            assert isinstance(error, BadRequestError)
            assert (error.code, error.message) == ("A_CODE", "why")


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("encoding", ["gzip", "br"])
async def test_broken_encoding_of_an_error(encoding: str) -> None:
    """A 503 response with a broken encoding is retried like any other 503."""
    with Server(answer(503, SECRET, [("Content-Encoding", encoding)])) as server:
        error = await create(session_for(server), ServiceUnavailableError)
    assert error.attempts == 3


async def test_broken_encoding_in_chunks() -> None:
    """The rest of a corrupt chunked body is dropped without a warning."""
    headers = [("Content-Encoding", "gzip"), ("Transfer-Encoding", "chunked")]
    body = b"26\r\n" + SECRET + b"\r\n"
    with Server(answer(200, body * 3 + b"0\r\n\r\n", headers)) as server:
        async with session_for(server) as session:
            with pytest.raises(APIResponseError, match="corrupt"):
                await session.client_secrets.create(PAYER)
            await eventually(lambda: server.open_connections == 0)


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize(
    "headers", [[("Content-Length", "1000")], [("Transfer-Encoding", "chunked")]]
)
async def test_truncated_body(headers: list[tuple[str, str]]) -> None:
    """A call whose response body is truncated is retried."""

    def truncate(connection: Connection, request: Request) -> None:
        chunk = b"200\r\n" if headers[0][1] == "chunked" else b""
        connection.send(response(request, body=chunk + SECRET, headers=headers))
        connection.close()

    with Server(truncate, answer(body=SECRET)) as server:
        async with session_for(server) as session:
            secret = await session.client_secrets.create(PAYER)
    assert secret.response.attempts == 2


@pytest.mark.parametrize(
    "location", ["http://127.0.0.2:9/", "javascript:alert(1)", "http://xn--/", "/x y"]
)
@pytest.mark.parametrize("status", [301, 307])
async def test_location(location: str, status: int) -> None:
    """A redirect is not followed."""
    with Server(answer(status, b"", [("Location", location)])) as server:
        error = await create(session_for(server), APIStatusError)
    assert isinstance(error, APIStatusError)
    assert error.status_code == status
    assert len(server.requests) == 1


async def test_hidden_headers() -> None:
    """The caller sees the response headers except Location and Set-Cookie."""
    headers = [("Location", "/x"), ("Set-Cookie", "a=b"), ("X-Seen", "1")]
    with Server(answer(headers=headers)) as server:
        async with session_for(server) as session:
            secret = await session.client_secrets.create(PAYER)
    seen = secret.response.headers
    assert seen["x-seen"] == "1"
    assert not {"location", "set-cookie"} & set(seen)


FOREIGN = [
    [("Trace-Id", OTHER)],
    [("Trace-Id", "garbage")],
    [("trace-id", OTHER), ("Trace-Id", OTHER)],
]


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("headers", FOREIGN)
async def test_foreign_answer(headers: list[tuple[str, str]]) -> None:
    """A response with a wrong trace ID is refused, and the call is retried."""
    foreign = answer(200, SECRET, headers, trace_id=None)
    with Server(foreign, answer()) as server:
        async with session_for(server) as session:
            secret = await session.client_secrets.create(PAYER)
    assert secret.response.attempts == 2
    assert secret.client_secret == f"secret-of-{secret.trace_id}"
    assert len(server.connections) == 2


async def test_foreign_answer_is_no_answer() -> None:
    """Without retries, a wrong trace ID counts as a lost connection."""
    with Server(answer(trace_id=OTHER)) as server:
        error = await create(session_for(server, max_retries=0), APIConnectionError)
    assert "trace ID" in str(error)
    assert str(error.trace_id) == server.requests[0].header("Trace-Id")
    assert error.outcome_unknown


async def test_foreign_error() -> None:
    """An error response with another trace ID is accepted, and that ID reported."""
    with Server(answer(403, b"", trace_id=OTHER)) as server:
        async with session_for(server) as session:
            with pytest.raises(APIStatusError) as info:
                await session.client_secrets.create(PAYER)
    assert info.value.trace_id == UUID(OTHER)


async def test_gateway_that_rewrites_the_trace_id() -> None:
    """Without the check, the trace ID of the response is reported."""
    with Server(answer(trace_id=OTHER)) as server:
        async with session_for(server, verify_trace_id=False) as session:
            secret = await session.client_secrets.create(PAYER)
    assert secret.trace_id == secret.response.trace_id == UUID(OTHER)
    assert server.requests[0].header("Trace-Id") != OTHER


@pytest.mark.parametrize("verify", [True, False])
async def test_trace_id_in_upper_case(verify: bool) -> None:
    """Trace IDs are compared case-insensitively."""
    trace_id = uuid4()
    with Server(answer(trace_id=str(trace_id).upper())) as server:
        async with session_for(server, verify_trace_id=verify) as session:
            secret = await session.client_secrets.create(PAYER, trace_id=trace_id)
    assert secret.trace_id == trace_id


async def test_answer_without_a_trace_id() -> None:
    """A response without a trace ID is reported under the ID that was sent."""
    with Server(answer(trace_id=None)) as server:
        async with session_for(server) as session:
            secret = await session.client_secrets.create(PAYER)
    assert str(secret.trace_id) == server.requests[0].header("Trace-Id")


async def test_connection_after_an_answer_without_a_trace_id() -> None:
    """A connection is not reused after a response without a trace ID."""
    with Server(answer(trace_id=None)) as server:
        async with session_for(server) as session:
            for _ in range(2):
                await session.client_secrets.create(PAYER)
    assert len(server.connections) == 2
