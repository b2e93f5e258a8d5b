"""Trace ID and device cookie middleware with plain ASGI applications."""

from __future__ import annotations

import logging
from itertools import chain
from typing import Any
from uuid import UUID

import anyio
import pytest

from plastiq_async import ConfigurationError, current_trace_id, trace_context
from plastiq_async.integrations.asgi import (
    DeviceCookieMiddleware,
    TraceIdFilter,
    TraceIdMiddleware,
)
from tests.support.web_clients import client_of, over_websocket

logger = logging.getLogger("tests.integrations")

VALID = "0b4e3c1a-5f0e-4c1d-9d56-0d4d1e6f7a80"
OTHER = "fe278caa-e01d-4910-b975-5c19c21a6d8e"
SPELLINGS = [
    VALID,
    VALID.upper(),
    "0b4e3c1a5f0e4c1d9d560d4d1e6f7a80",  # asgi-correlation-id
    "{0B4E3C1A-5F0E-4C1D-9D56-0D4D1E6F7A80}",  # .NET's Guid.ToString("B")
    "urn:uuid:0b4e3c1a-5f0e-4c1d-9d56-0d4d1e6f7a80",
]
REFUSED = [
    [],
    [b""],
    [b"no-uuid"],
    [b"{0b4e3c1a-5f0e-4c1d-9d56-0d4d1e6f7a80"],
    [b"0b4e3c1a_5f0e_4c1d_9d56_0d4d1e6f7a80"],
    [b"a1b2c3d4e5f60718293a4b5c6d7e8f90"],  # nginx's $request_id
    [b"5b0c7a3e-93d4-11ee-b9d1-0242ac120002"],  # version 1
    [VALID.encode() + b"; DROP TABLE users"],
    [VALID.encode() + b", " + OTHER.encode()],
    [b"\xff\xfe\xe2\x80\xae"],
    [b"<script>alert(1)</script>" * 100],
    [VALID.encode(), OTHER.encode()],
    [VALID.encode(), VALID.encode()],
]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Show the current trace ID in a log record and in the body, or on a WebSocket."""
    if scope["type"] == "lifespan":
        for moment in ("startup", "shutdown"):
            assert await receive() == {"type": f"lifespan.{moment}"}
            await send({"type": f"lifespan.{moment}.complete"})
        return
    logger.info("in the application")
    text = str(current_trace_id())
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept", "headers": [(b"trace-id", b"old")]})
        await send({"type": "websocket.send", "text": text})
        await send({"type": "websocket.close"})
        return
    headers = [(b"content-type", b"text/plain"), (b"Trace-Id", b"of the application")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
    await anyio.sleep(0.01)
    text = str(current_trace_id())
    await send({"type": "http.response.body", "body": text.encode()})


@pytest.mark.slow
@pytest.mark.parametrize("sent", SPELLINGS)
async def test_valid_one_is_taken(
    server: str, sent: str, records: list[logging.LogRecord]
) -> None:
    """A valid trace ID is used in application and log, and returned as it came in."""
    async with client_of(TraceIdMiddleware(app), server) as client:
        answer = await client.get("/", headers={"Trace-Id": sent})
    assert answer.text == VALID * 2
    assert answer.headers.get_list("trace-id") == [sent]
    assert ids_of(records) == [VALID]


@pytest.mark.slow
async def test_others_are_replaced(
    server: str, records: list[logging.LogRecord]
) -> None:
    """An invalid or duplicated trace ID is replaced, and neither echoed nor logged."""
    logging.getLogger().setLevel(logging.DEBUG)
    answers = []
    async with client_of(TraceIdMiddleware(app), server) as client:
        for sent in REFUSED:
            headers = [(b"Trace-Id", value) for value in sent]
            answers.append(await client.get("/", headers=headers))
    chosen = [answer.headers["trace-id"] for answer in answers]
    assert all(UUID(trace_id).version == 4 for trace_id in chosen)
    assert len({*chosen, VALID, OTHER}) == len(REFUSED) + 2
    assert [answer.text for answer in answers] == [trace_id * 2 for trace_id in chosen]
    assert ids_of(records) == chosen
    logged = [record.getMessage() for record in records]
    shown = repr([logged, [answer.headers.raw for answer in answers]])
    for value in filter(None, chain.from_iterable(REFUSED)):
        assert repr(value)[2:-1] not in shown
        assert repr(value.decode("latin-1"))[1:-1] not in shown


async def test_other_header(server: str) -> None:
    """With another header name configured, the default header is ignored."""
    traced = TraceIdMiddleware(app, header="X-Request-ID")
    async with client_of(traced, server) as client:
        headers = {"x-request-id": VALID, "trace-id": OTHER}
        answer = await client.get("/", headers=headers)
    assert answer.headers.get_list("X-Request-ID") == [VALID]
    assert answer.headers.get_list("Trace-Id") == ["of the application"]
    assert answer.text == VALID * 2


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "ä", None, b"a"])
@pytest.mark.parametrize(
    ("middleware", "setting"),
    [(TraceIdMiddleware, "header"), (DeviceCookieMiddleware, "name")],
)
def test_impossible_names(middleware: Any, setting: str, name: object) -> None:
    """An invalid header or cookie name is rejected at startup."""
    with pytest.raises(ConfigurationError, match=rf"^{setting} must be a name of"):
        middleware(app, **{setting: name})


async def test_keep_alive(server: str) -> None:
    """Each request on a kept-alive connection has its own trace ID."""
    async with client_of(TraceIdMiddleware(app), server) as client:
        answers = [await client.get("/") for _ in range(3)]
    assert len({answer.headers["trace-id"] for answer in answers}) == 3
    assert all(answer.text == answer.headers["trace-id"] * 2 for answer in answers)


async def test_websocket(server: str) -> None:
    """The handshake response of a WebSocket has the trace ID."""
    async with client_of(TraceIdMiddleware(app), server) as client:
        url = str(client.base_url)
        answered, texts, _ = await over_websocket(url, {"Trace-Id": VALID})
        assert (answered["trace-id"], texts) == (VALID, [VALID])
        answered, texts, _ = await over_websocket(url, {"Trace-Id": "no-uuid"})
        assert [answered["trace-id"]] == texts != ["no-uuid"]


@pytest.mark.parametrize("middleware", [TraceIdMiddleware, DeviceCookieMiddleware])
async def test_lifespan_passes(middleware: Any) -> None:
    """Any scope other than a request or WebSocket is passed on unchanged."""
    seen = []

    async def application(*arguments: object) -> None:
        seen.extend([*arguments, current_trace_id()])

    scope, receive, send = {"type": "lifespan"}, object(), object()
    await middleware(application)(scope, receive, send)
    assert seen == [{"type": "lifespan"}, receive, send, None]
    assert seen[0] is scope


async def test_reset_after_an_error() -> None:
    """The trace context of the server is restored if the application raises."""
    error = KeyError("x")

    async def application(scope: Any, receive: Any, send: Any) -> None:
        assert current_trace_id() not in {None, outside}
        raise error

    async def unused(*_: object) -> Any:
        raise AssertionError

    scope = {"type": "http", "headers": []}
    with trace_context() as outside:
        with pytest.raises(KeyError) as info:
            await TraceIdMiddleware(application)(scope, unused, unused)
        assert info.value is error
        assert current_trace_id() == outside


async def test_nested(server: str) -> None:
    """An inner middleware uses the trace ID of the outer one."""
    inner = TraceIdMiddleware(TraceIdMiddleware(app), header="X-Request-ID")
    async with client_of(TraceIdMiddleware(inner), server) as client:
        answer = await client.get("/", headers={"X-Request-ID": VALID})
    (chosen,) = answer.headers.get_list("trace-id")
    assert chosen != VALID
    assert answer.headers.get_list("x-request-id") == [chosen]
    assert answer.text == chosen * 2


async def test_access_log_of_uvicorn(
    records: list[logging.LogRecord], caplog: pytest.LogCaptureFixture
) -> None:
    """Uvicorn's access log has the request's trace ID."""
    # A sandbox that another test ran in this process has silenced it.
    caplog.set_level(logging.INFO, "uvicorn.access")
    async with client_of(TraceIdMiddleware(app), "uvicorn") as client:
        await client.get("/", headers={"Trace-Id": VALID})
    assert ids_of(records, "uvicorn.access") == [VALID]


def test_filter_outside() -> None:
    """Outside of requests, a log record has a hyphen and is not filtered out."""
    record = logging.makeLogRecord({"msg": "x"})
    assert TraceIdFilter().filter(record) is True
    assert vars(record)["trace_id"] == "-"
    with trace_context(VALID):
        assert TraceIdFilter().filter(record) is True
    assert logging.Formatter("%(trace_id)s %(message)s").format(record) == f"{VALID} x"


def ids_of(
    records: list[logging.LogRecord], name: str = "tests.integrations"
) -> list[str]:
    """Return the trace IDs of a logger's records."""
    return [vars(record)["trace_id"] for record in records if record.name == name]
