"""Property tests of responses and failures, from a transport or a server."""

from __future__ import annotations

import gzip
import itertools
import json
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

import anyio
import attrs
import httpx
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import example, given
from hypothesis import strategies as st

from plastiq_async import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    ClientSecret,
    PlastiqError,
    PlastiqSession,
)
from tests.support.checks import SECRET, call, call_once, check_error, check_secret
from tests.support.sessions import TOKEN, session_for
from tests.support.socket_server import Connection, Request, Server
from tests.support.steps import answer, response
from tests.support.strategies import few, many, mostly
from tests.support.timing import eventually
from tests.support.transports import Transport, httpx_errors, make_error
from tests.support.wirings import WIRINGS

SENT = b"<the trace ID that was sent>"
OTHER = b"11111111-1111-4111-8111-111111111111"
BODY = json.dumps({"clientSecret": SECRET}).encode()


@attrs.define(eq=False)
class Answer(httpx.AsyncByteStream):
    """A response whose body chunks may include exceptions to raise."""

    status: int
    headers: list[tuple[bytes, bytes]]
    chunks: list[bytes | Exception]
    content: bytes | None  # the uncompressed body, if it is complete
    closed: bool = False

    def to(self, request: httpx.Request) -> httpx.Response:
        """Return it as the response to `request`."""
        self.closed = False
        sent = request.headers["Trace-Id"].encode()
        headers = [(name, value.replace(SENT, sent)) for name, value in self.headers]
        return httpx.Response(self.status, headers=headers, stream=self)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            await checkpoint()
            if self.closed:
                return
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    async def aclose(self) -> None:
        """Remember that the stream was closed."""
        self.closed = True


texts = st.text() | st.sampled_from(["a\nb\x1b[0m\u2028\ud800", "long" * 4_000])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=5,
)
hidden = st.sampled_from([SECRET, [SECRET], {SECRET: SECRET}, None, "", 5])
details = values | st.lists(st.fixed_dictionaries({"details": texts}), max_size=30)
objects = st.fixed_dictionaries(
    {},
    optional={
        "clientSecret": hidden | values,
        "payer": hidden,
        "code": values,
        "message": values,
        "errors": details,
        "details": details,
        "traceId": values | st.just(OTHER.decode()),
    },
).map(lambda body: json.dumps(body).encode())
bodies = mostly(
    st.just(BODY),
    objects
    | st.builds(lambda body, size: body[:size], objects, st.integers(0, 30))
    | st.binary().map(lambda data: data + BODY)
    | st.sampled_from([b"", b"[" * 20_000, b"9" * 5_000, b'{"clientSecret": ""}']),
)
# The declared content encodings, and the actual ones.
encodings: list[tuple[bytes, Callable[[bytes], bytes]]] = [
    *((b"", bytes), (b"gzip", gzip.compress), (b"deflate", zlib.compress)),
    *((b"gzip", bytes), (b"br", bytes), (b"gzip, gzip", gzip.compress)),
]
statuses = mostly(
    st.sampled_from([200, 201]),
    st.integers(100, 999) | st.sampled_from([204, 302, 307, 401, 403, 429, 503]),
)
trace_ids = st.sampled_from([[], [SENT], [SENT, SENT], [OTHER], [SENT, OTHER]])
names = st.binary(max_size=10) | st.sampled_from(
    [
        b"Retry-After",
        b"Content-Length",
        b"transfer-encoding",
        b"location",
        b"Set-Cookie",
    ]
)
header_values = st.binary(max_size=30) | st.sampled_from(
    [
        *(b"", b"0", b"1e35", b"nan", b"9" * 400, b"Thu, 01 Jan 99999 00:00:30 GMT"),
        *(b"chunked", b"text/html; charset=utf-7", b"http://xn--/", SECRET.encode()),
    ]
)
errors = st.builds(
    # A text of the transport is shown, unless it quotes bytes from the connection.
    lambda kind, text: make_error(
        kind, SECRET if issubclass(kind, httpx.ProtocolError) else text
    ),
    st.sampled_from([*httpx_errors(), OSError, ConnectionResetError]),
    texts,
)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """Draw a response, which may be complete and have the right status code."""
    headers = [(b"Trace-Id", value) for value in draw(trace_ids)]
    headers += draw(st.lists(st.tuples(names, header_values), max_size=3))
    encoding, encode = draw(st.sampled_from(encodings))
    content = draw(bodies)
    body = whole = encode(content)
    if encoding:
        headers.append((b"content-Encoding", encoding))
    if not draw(st.integers(0, 3)):
        body = whole[: -draw(st.integers(1, 10) | st.integers(1, 100))]
        content = body if encode is bytes else None
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=3)))
    chunks: list[bytes | Exception] = [
        body[start:end] for start, end in itertools.pairwise([0, *cuts, len(body)])
    ]
    if not draw(st.integers(0, 3)):
        chunks.insert(draw(st.integers(0, len(chunks))), draw(errors))
        content = None
    return Answer(draw(statuses), headers, chunks, content)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@many
@given(
    script=st.lists(mostly(answers(), errors), min_size=1, max_size=3),
    renewed=st.booleans(),
    verified=st.booleans(),
)
def test_any_answer(
    backend: str, *, script: list[Answer | Exception], renewed: bool, verified: bool
) -> None:
    """Any responses and transport failures give a result or one of our errors."""
    steps = itertools.chain(script, itertools.repeat(script[-1]))
    tokens = itertools.count()
    given_answers: list[Answer] = []

    def handle(request: httpx.Request) -> httpx.Response:
        step = next(steps)
        if isinstance(step, Exception):
            raise step
        given_answers.append(step)
        return step.to(request)

    async def provide() -> str:
        return f"{TOKEN}-{next(tokens)}"

    session = PlastiqSession(
        provide if renewed else TOKEN,
        transport=Transport(handle),
        verify_trace_id=verified,
    )
    outcome = anyio.run(call_once, session, backend=backend)
    assert all(one.closed for one in given_answers)
    if isinstance(outcome, ClientSecret):
        content = given_answers[-1].content
        assert content is not None, "a secret out of half an answer"
        check_secret(outcome, content)
        assert not (verified and (b"Trace-Id", OTHER) in given_answers[-1].headers)
        return
    check_error(outcome)
    if isinstance(outcome, APIStatusError):
        assert outcome.status_code == given_answers[-1].status
    else:
        assert type(outcome) in {APIConnectionError, APIResponseError}


@attrs.frozen
class Reply:
    """Bytes for a client: a response, valid or not, then changed and cut short."""

    valid: dict[str, Any] | None
    changes: list[tuple[int, int, bytes]] = attrs.Factory(list)
    cut: int | None = None
    then: Literal["keep open", "close", "reset"] = "close"

    def __call__(self, connection: Connection, request: Request) -> None:
        """Send the bytes, then keep the connection open or end it."""
        data = b"" if self.valid is None else response(request, **self.valid)
        for start, removed, inserted in self.changes:
            at = start % (len(data) + 1)
            data = data[:at] + inserted + data[at + removed :]
        connection.send(data[: self.cut])
        if self.then != "keep open":
            getattr(connection, self.then)()


chunked = [("Transfer-Encoding", "chunked")]
zipped = gzip.compress(BODY, mtime=0)
valid_answers: list[dict[str, Any]] = [
    {"body": BODY},
    {"body": BODY, "trace_id": None},
    {"body": b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY), "headers": chunked},
    {"body": zipped, "headers": [("Content-Encoding", "gzip")]},
    {"body": BODY, "headers": [("Connection", "close"), ("Set-Cookie", "a=b; c")]},
    {"status": 503, "body": BODY, "headers": [("Retry-After", "1")]},
    {"status": 307, "body": BODY, "headers": [("Location", "http://127.0.0.2/")]},
]
pieces = st.binary() | st.sampled_from(
    [
        *(b"\r\n", b"\r\n\r\n", b"\n", b"\0", b"\xff", b": ", b" ", b"-1", b"9" * 30),
        *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Go on\r\n\r\n", b"HTTP/1.0 204 \xff"),
        *(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    ]
)
places = st.integers(0, 30) | st.integers(0, 300)  # in the status line, or anywhere
replies = st.builds(
    Reply,
    valid=st.none() | st.sampled_from(valid_answers),
    changes=st.lists(st.tuples(places, st.integers(0, 50), pieces), max_size=2),
    cut=st.none() | st.integers(0, 300),
    then=st.sampled_from(["keep open", "close", "reset"]),
)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize(("backend", "transport"), WIRINGS)
@few
@given(reply=replies)
@example(Reply({"body": BODY}, changes=[(13, 8, b"\xff")], cut=100, then="keep open"))
def test_any_bytes(backend: str, transport: str, reply: Reply) -> None:
    """After any bytes from a server, the session's only connection works again."""
    patience = 0.2 if reply.then == "keep open" else 10

    async def exchange(server: Server) -> list[ClientSecret | PlastiqError]:
        options = {"transport": transport, "max_connections": 1, "timeout": 10}
        async with session_for(server, **options) as session:
            once = session.with_options(max_retries=0, timeout=patience)
            outcomes = [await call(one) for one in (once, session, session)]
        await eventually(lambda: server.open_connections == 0)
        return outcomes

    with Server(reply, answer(body=BODY)) as server:
        first, *_, last = anyio.run(exchange, server, backend=backend)
    # Surplus bytes of the first response can spoil only the second response.
    assert isinstance(last, ClientSecret)
    assert last.client_secret == SECRET
    if isinstance(first, PlastiqError):
        check_error(first)
        assert reply.then == "keep open" or not isinstance(first, APITimeoutError)
        # The request had arrived before anything went wrong, unless a busy machine
        # used up the short timeout while connecting.
        if not isinstance(first, APITimeoutError):
            assert first.outcome_unknown == isinstance(first, APIConnectionError)
    elif not reply.changes:
        # Even if the body was cut short, no partial result is returned.
        assert first.client_secret == SECRET
