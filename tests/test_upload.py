"""Uploads over sockets: the form, TLS, proxies, and servers that fail."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import ssl
import traceback
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest

from plastiq_async import (
    APITimeoutError,
    ConfigurationError,
    DocumentUpload,
    DocumentUploadError,
    InvalidArgumentError,
    PlastiqSession,
    SessionStateError,
)
from plastiq_async.testing import FakePlastiq
from tests.support.cancellers import cancellers
from tests.support.documents import (
    CONTENT,
    FIELDS,
    PRIVATE_FIELDS,
    form_of,
    make_place,
    refusal,
    stored,
)
from tests.support.echoes import raw
from tests.support.errors import error_of, frames_of
from tests.support.internals import add_intent
from tests.support.private_texts import CREDENTIALS, assert_untold, logged, texts_of
from tests.support.sessions import ANY_CONTEXT, TOKEN, fake_session, session_for
from tests.support.socket_server import Server
from tests.support.steps import answer, cut, drop, ignore, reset
from tests.support.timing import eventually
from tests.support.transports import Transport
from tests.support.tunnel import TunnelProxy
from tests.support.uvicorn_server import in_uvicorn
from tests.support.wirings import WIRINGS

Connect = Callable[..., PlastiqSession]

pytestmark = pytest.mark.slow
quickly = pytest.mark.usefixtures("quick_retries")


@pytest.fixture(params=WIRINGS, ids="-".join)
def wiring(request: pytest.FixtureRequest) -> tuple[str, Any]:
    """Run each test on each event loop and transport."""
    backend, transport = request.param
    return backend, transport


@pytest.fixture
def anyio_backend(wiring: tuple[str, Any]) -> str:
    """Return the event loop for the test."""
    return wiring[0]


@pytest.fixture
def connect(wiring: tuple[str, Any]) -> Connect:
    """Return a function that makes sessions for the API of a server."""
    return partial(session_for, transport=wiring[1])


@pytest.fixture
def elsewhere(wiring: tuple[str, Any]) -> Connect:
    """Return a function that makes sessions for an API that nobody calls."""
    base_url = "https://api.example"
    return partial(PlastiqSession, TOKEN, base_url=base_url, transport=wiring[1])


# --- success ---


async def test_form(connect: Connect) -> None:
    """The form has all fields unchanged, then the file, and no private header."""
    with Server(stored) as server:
        place = make_place(f"{server.url}/a%20b?c=d")
        async with connect(server) as session:
            await session.documents.upload(place, CONTENT)
    (request,) = server.requests
    assert request.line == "POST /a%20b?c=d HTTP/1.1"
    names = [name.lower() for name, _ in request.headers]
    optional = {"accept", "connection"}
    assert set(names) - optional == {
        *("host", "accept-encoding", "user-agent", "content-length", "content-type")
    }
    assert request.header("Host") == server.url.partition("//")[2]
    *fields, file = form_of(request)
    assert {name.replace("%22", '"'): value for name, _, value in fields} == {
        name: text.encode() for name, text in FIELDS.items()
    }
    assert [name for name, _, _ in fields[:5]] == [*FIELDS][:5]
    assert file == ("file", "invoice.pdf", CONTENT)


async def test_fake(wiring: tuple[str, Any], fake_plastiq: FakePlastiq) -> None:
    """The fake stores what is uploaded to the URL that it hands out, up to 20 MiB."""
    content = os.urandom(20 * 1024 * 1024)
    with in_uvicorn(fake_plastiq.app) as url:
        options = {"base_url": f"{url}/api", "transport": wiring[1]}
        async with fake_session(fake_plastiq, **options, verify=ANY_CONTEXT) as session:
            place = await session.documents.create(
                fake_plastiq.payer_id,
                filename="ä.pdf",
                payment_intent_id=add_intent(fake_plastiq),
            )
            assert place.upload_url.startswith(f"{url}/")
            await session.documents.upload(place, content)
    (document,) = fake_plastiq.documents
    assert document.content == content
    assert document.filename == "ä.pdf"


@quickly
async def test_one_connection(connect: Connect) -> None:
    """The attempts of an upload share a connection, which is closed after it."""
    with Server(answer(503, b""), stored) as server:
        place = make_place(server.url)
        async with connect(server) as session:
            await session.documents.upload(place, CONTENT)
            assert len(server.connections) == 1
            await eventually(server.connections[0].closed.is_set)
            await session.documents.upload(place, CONTENT)
            assert len(server.connections) == 2
    assert len({request.body.partition(b"\r\n")[0] for request in server.requests}) == 2


async def test_pipe(connect: Connect, tmp_path: Path) -> None:
    """A pipe, which nobody may write to, is refused before it is opened."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with Server(stored) as server:
        async with connect(server) as session:
            with pytest.raises(InvalidArgumentError, match="regular file"):
                await session.documents.upload(make_place(server.url), pipe)
    assert server.requests == []


async def test_memory(connect: Connect) -> None:
    """An upload holds the file once more than its caller, and nothing afterwards."""
    size = 8 * 1024 * 1024
    content = bytes(size)
    tracemalloc.start()
    try:
        # Nobody listens there.
        with Server(ignore) as server:
            pass
        async with connect(server, max_retries=0) as session:
            await error_of(session.documents.upload(make_place(server.url), content))
            gc.collect()
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            await error_of(session.documents.upload(make_place(server.url), content))
            gc.collect()
            after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 1.5 * size
    assert after - before < size / 8


# --- TLS and proxies ---


async def test_https(
    elsewhere: Connect, server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    """The session's `verify` applies to the host of the upload."""
    with Server(stored, tls=server_tls) as server:
        place = make_place(server.url)
        async with elsewhere(verify=ca_file) as session:
            await session.documents.upload(place, CONTENT)
        async with elsewhere(max_retries=0) as session:
            error = await error_of(session.documents.upload(place, CONTENT))
    assert type(error) is DocumentUploadError
    assert "CERTIFICATE_VERIFY_FAILED" in str(error)
    assert len(server.requests) == 1


@pytest.mark.parametrize("setting", ["argument", "environment", "ignored", "exempt"])
async def test_proxy(
    setting: str,
    elsewhere: Connect,
    server_tls: ssl.SSLContext,
    ca_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The proxy is the session's, or that of the environment for this host."""
    with Server(stored, tls=server_tls) as server, TunnelProxy() as proxy:
        options: dict[str, Any] = {"verify": ca_file}
        if setting == "argument":
            options["proxy"] = proxy.url
        else:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        if setting == "ignored":
            options["trust_env"] = False
        if setting == "exempt":
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        async with elsewhere(**options) as session:
            await session.documents.upload(make_place(server.url), CONTENT)
    host = server.url.partition("//")[2]
    through_proxy = setting in {"argument", "environment"}
    assert [head.split()[1] for head in proxy.heads] == [host] * through_proxy
    assert len(server.requests) == 1


async def test_no_proxy_for_the_api(
    elsewhere: Connect,
    server_tls: ssl.SSLContext,
    ca_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An exemption of the API does not exempt the host of the upload."""
    monkeypatch.setenv("NO_PROXY", "api.example")
    with Server(stored, tls=server_tls) as server, TunnelProxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with elsewhere(verify=ca_file) as session:
            await session.documents.upload(make_place(server.url), CONTENT)
    assert len(proxy.heads) == 1


async def test_unusable_proxy(
    elsewhere: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that is not usable is refused before anything is sent."""
    async with elsewhere() as session:
        monkeypatch.setenv("HTTPS_PROXY", f"ftp://{CREDENTIALS}@127.0.0.1")
        place = make_place("https://bucket.example")
        error = await error_of(session.documents.upload(place, CONTENT))
    assert isinstance(error, ConfigurationError)
    assert str(error).startswith("HTTPS_PROXY is not usable: ")
    assert_untold([*texts_of(error), *frames_of(error)], ["passw0rd"])
    async with elsewhere(proxy=f"http://{CREDENTIALS}@10.0.0.1:9") as session:
        place = make_place("http://127.0.0.1:9")
        error = await error_of(session.documents.upload(place, CONTENT))
    assert isinstance(error, ConfigurationError)
    assert str(error).startswith("proxy is not usable: it would read the secrets ")


async def test_refusing_proxy(elsewhere: Connect) -> None:
    """A proxy that refuses for good is asked once."""
    with Server(answer(407, b"")) as proxy:
        async with elsewhere(proxy=proxy.url) as session:
            place = make_place("https://bucket.example")
            error = await error_of(session.documents.upload(place, CONTENT))
    assert isinstance(error, DocumentUploadError)
    assert (error.status_code, error.transient, error.next_step) == (None, False, "fix")
    assert "407 Proxy Authentication Required (bucket.example:443, " in str(error)
    assert len(proxy.requests) == 1


async def test_allowed_host(
    elsewhere: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hosts that may be used over http are those of the session."""
    with Server(stored) as server:
        place = make_place(server.url.replace("127.0.0.1", "bucket.example"))
        async with elsewhere() as session:
            with pytest.raises(InvalidArgumentError, match="must be a URL of https"):
                await session.documents.upload(place, CONTENT)
        async with elsewhere(allow_http_hosts=["bucket.example"], timeout=5) as session:
            call = session.with_options(max_retries=0).documents.upload(place, CONTENT)
            assert isinstance(await error_of(call), DocumentUploadError)


# --- failures ---


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirection(status: int, connect: Connect) -> None:
    """A redirection is refused, and the form goes nowhere else."""
    with Server(stored) as other, Server(stored) as server:
        server.play(answer(status, b"", [("Location", other.url)]))
        async with connect(server) as session:
            call = session.documents.upload(make_place(server.url), CONTENT)
            error = await error_of(call)
    assert isinstance(error, DocumentUploadError)
    assert (error.status_code, error.next_step) == (status, "fix")
    assert len(server.requests) == 1
    assert other.connections == []


LOSSES = {
    "drop": (drop, None),
    "reset": (reset, None),
    "cut": (cut, None),
    "no HTTP": (raw(b"s1gnature0f4f0rm\r\n\r\n"), None),
    "500": (answer(500, refusal("InternalError")), 500),
    "503": (answer(503, refusal("SlowDown")), 503),
}


@quickly
@pytest.mark.parametrize("name", LOSSES)
async def test_transient_error(
    name: str, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """A transient error is repeated, and shows nothing of the form."""
    caplog.set_level(logging.DEBUG)
    step, status = LOSSES[name]
    with Server(step, step, step, step, step, stored) as server:
        place = make_place(server.url)
        async with connect(server) as session:
            error = await error_of(session.documents.upload(place, CONTENT))
            await session.documents.upload(place, CONTENT)
    assert len(server.requests) == 6
    assert isinstance(error, DocumentUploadError)
    assert (error.status_code, error.attempts) == (status, 3)
    assert (error.transient, error.next_step) == (True, "again")
    assert_untold([*texts_of(error), *frames_of(error)], PRIVATE_FIELDS)
    assert_untold(logged(caplog), [*PRIVATE_FIELDS, TOKEN, "the c0ntent"])


async def test_error_code(connect: Connect) -> None:
    """Of an XML error, only the status and the code are shown."""
    with Server(answer(403, refusal("AccessDenied"))) as server:
        async with connect(server) as session:
            call = session.documents.upload(make_place(server.url), CONTENT)
            error = await error_of(call)
    assert "403 AccessDenied: Forbidden [POST (upload URL), 1 attempt, " in str(error)
    assert_untold([*texts_of(error), *frames_of(error)], PRIVATE_FIELDS)
    assert len(server.requests) == 1


async def test_large_response(connect: Connect) -> None:
    """A response that is too large is not read to its end."""
    with Server(answer(201, bytes(3_000_000))) as server:
        async with connect(server) as session:
            call = session.documents.upload(make_place(server.url), CONTENT)
            error = await error_of(call)
    assert isinstance(error, DocumentUploadError)
    assert error.status_code == 201
    assert "more than 1048576 bytes" in str(error)


async def test_retry_after(connect: Connect, no_jitter: None) -> None:
    """A wait that the host asks for is waited for, unless it is too long."""
    with Server(answer(503, b"", [("Retry-After", "61")])) as server:
        async with connect(server, timeout=300) as session:
            call = session.documents.upload(make_place(server.url), CONTENT)
            error = await error_of(call)
    assert (error.attempts, error.next_step) == (1, "again")


async def test_deadline(connect: Connect) -> None:
    """A host that does not respond is waited for until the deadline of the call."""
    with Server(ignore) as server:
        place = make_place(server.url)
        # The time limit of an attempt does not apply.
        async with connect(server, attempt_timeout=0.01) as session:
            call = session.documents.upload(place, CONTENT, timeout=2)
            error = await error_of(call)
            assert isinstance(error, APITimeoutError)
            assert (error.attempts, error.outcome_unknown) == (1, True)
            assert error.next_step == "again"
            await eventually(server.connections[0].closed.is_set)
    assert len(server.requests) == 1


async def test_slow_reader(connect: Connect) -> None:
    """Nor is a host that does not read the form waited for any longer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = make_place("http://{}:{}".format(*listener.getsockname()))
        content = bytes(20 * 1024 * 1024)
        with Server(ignore) as server:
            async with connect(server) as session:
                call = session.documents.upload(place, content, timeout=0.5)
                assert isinstance(await error_of(call), APITimeoutError)


async def test_reset_while_sending(connect: Connect) -> None:
    """A host that hangs up in the middle of the form is an error that may pass."""
    content = bytes(20 * 1024 * 1024)
    errors = []

    async def upload(place: DocumentUpload, session: PlastiqSession) -> None:
        errors.append(await error_of(session.documents.upload(place, content)))

    with socket.create_server(("127.0.0.1", 0)) as listener, Server(ignore) as server:
        place = make_place("http://{}:{}".format(*listener.getsockname()))
        session = connect(server, max_retries=0)
        async with session, anyio.create_task_group() as group:
            group.start_soon(upload, place, session)
            peer, _ = await anyio.to_thread.run_sync(listener.accept)
            await anyio.sleep(0.2)  # so that the buffers are full
            peer.close()
    (error,) = errors
    assert isinstance(error, DocumentUploadError)
    assert (error.status_code, error.next_step) == (None, "again")


async def test_closed_session(connect: Connect) -> None:
    """Closing the session ends an upload, and allows no other."""
    errors = []

    async def upload(session: PlastiqSession) -> None:
        errors.append(
            await error_of(session.documents.upload(make_place(server.url), CONTENT))
        )

    with Server(ignore) as server:
        session = connect(server)
        async with anyio.create_task_group() as group:
            group.start_soon(upload, session)
            await eventually(lambda: server.requests)
            await session.aclose()
        await eventually(server.connections[0].closed.is_set)
        await upload(session)
    assert all(isinstance(error, SessionStateError) for error in errors)
    assert [error.attempts for error in errors] == [1, 0]
    assert len(server.requests) == 1


async def test_permits(connect: Connect) -> None:
    """Uploads count as calls in flight."""
    with Server(ignore) as server:
        place = make_place(server.url)
        session = connect(server, max_connections=1)
        async with session, anyio.create_task_group() as group:
            group.start_soon(session.documents.upload, place, CONTENT)
            await eventually(lambda: server.requests)
            call = session.documents.upload(place, CONTENT, timeout=0.1)
            error = await error_of(call)
            group.cancel_scope.cancel()
    assert "waiting for a permit" in str(error)
    assert len(server.requests) == 1


async def test_cancelled(anyio_backend: str, connect: Connect) -> None:
    """A cancelled upload closes its connection, and leaves nothing behind."""
    with Server(ignore) as server:
        place = make_place(server.url)
        async with connect(server, max_connections=1) as session:
            for cancel in cancellers(anyio_backend):
                await cancel(lambda: session.documents.upload(place, CONTENT), 20)
            await eventually(lambda: server.open_connections == 0)
            server.play(stored)
            await session.documents.upload(place, CONTENT)


def test_another_event_loop(wiring: tuple[str, Any]) -> None:
    """A session of another event loop uploads nothing."""
    backend, transport = wiring
    with Server(stored) as server:
        session = session_for(server, transport=transport)
        place = make_place(server.url)

        async def upload() -> None:
            await session.documents.upload(place, CONTENT)

        anyio.run(upload, backend=backend)
        with pytest.raises(SessionStateError, match="another event loop"):
            anyio.run(upload, backend=backend)
    assert len(server.requests) == 1


async def test_debug_logs(
    anyio_backend: str, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """No logger shows the form, the URL or the content, not even in debug mode."""
    caplog.set_level(logging.DEBUG)
    if anyio_backend == "asyncio":
        asyncio.get_running_loop().set_debug(True)
    with Server(stored) as server:
        async with connect(server) as session:
            place = make_place(f"{server.url}/b5cket")
            await session.documents.upload(place, CONTENT)
    told = [*logged(caplog)]
    assert any("POST (upload URL) -> 201" in text for text in told)
    assert_untold(told, [*PRIVATE_FIELDS, "b5cket", "the c0ntent"])


# --- transports of the user's ---


@pytest.mark.parametrize("wiring", [("asyncio", None), ("trio", None)])
async def test_own_transport(wiring: tuple[str, Any]) -> None:
    """A transport of the user's sends the form, and is closed with the session only."""
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(201, content=b"<?xml version='1.0'?><PostResponse/>")

    transport = Transport(handle)
    async with PlastiqSession(TOKEN, transport=transport) as session:
        place = make_place("https://bucket.example/")
        await session.documents.upload(place, CONTENT)
        await session.documents.upload(place, CONTENT)
        assert transport.closed == 0
        assert [str(request.url) for request in seen] == ["https://bucket.example/"] * 2
        with pytest.raises(InvalidArgumentError, match="must be a URL of https"):
            await session.documents.upload(make_place("http://a.example"), CONTENT)
    assert transport.closed == 1


@pytest.mark.parametrize("wiring", [("asyncio", None), ("trio", None)])
async def test_error_of_an_own_transport(wiring: tuple[str, Any]) -> None:
    """What it raises is not changed, and its traceback shows nothing of the form."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise ZeroDivisionError

    async with PlastiqSession(TOKEN, transport=Transport(fail)) as session:
        place = make_place("https://b5cket.example/")
        with pytest.raises(ZeroDivisionError) as info:
            await session.documents.upload(place, CONTENT)
    names = [frame.name for frame in traceback.extract_tb(info.tb)]
    assert names[1:2] == ["exchange"]
    assert names[-1] == "fail"
    text = "".join(frames_of(info.value))
    assert "<Request('POST', '(upload URL)')>" in text
    assert_untold([text], [*PRIVATE_FIELDS, "b5cket", "the c0ntent"])
