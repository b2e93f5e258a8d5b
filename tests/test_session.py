"""The session, from its making to its end, over the fake and over real sockets."""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import suppress
from datetime import timedelta
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import anyio
import httpx
import pytest

from plastiq_async import (
    APIResponseError,
    APITimeoutError,
    ClientSecret,
    ConfigurationError,
    EndUser,
    InvalidArgumentError,
    PlastiqSession,
    ServiceUnavailableError,
    SessionStateError,
    trace_context,
)
from plastiq_async.testing import FakePlastiq
from tests.helpers import PAYER, TOKEN, eventually, session_for
from tests.servers import Server
from tests.steps import answer, ignore

TRACE_ID = "fe278caa-e01d-4910-b975-5c19c21a6d8e"


def fake_session(fake: FakePlastiq, **options: Any) -> PlastiqSession:
    """Return a session with a fake."""
    return PlastiqSession(
        fake.access_token, base_url=fake.base_url, transport=fake.transport, **options
    )


async def test_create(fake_plastiq: FakePlastiq) -> None:
    """The secret that the server made comes back with all about it."""
    async with fake_session(fake_plastiq) as session:
        secret = await session.client_secrets.create(PAYER)
    issued = fake_plastiq.secrets[secret.client_secret]
    assert (issued.payer_id, issued.trace_id) == (UUID(PAYER), secret.trace_id)
    assert secret.issued_at <= issued.issued_at
    assert secret.response.status == 200
    assert secret.response.attempts == 1
    assert secret.response.trace_id == secret.trace_id
    assert secret.response.headers["Content-Type"] == "application/json"
    assert timedelta() < secret.response.elapsed < timedelta(seconds=30)
    assert secret.response.sent_at == secret.issued_at
    assert secret.expires_at - secret.issued_at == timedelta(seconds=60)


END_USER = EndUser(user_agent="Mozilla/5.0", ip="203.0.113.7", device_id="a1b2")


@pytest.mark.parametrize(
    ("end_user", "expected"),
    [
        (None, {"User-Agent": f"plastiq-async/{version('plastiq-async')}"}),
        (
            END_USER,
            {
                "User-Agent": "Mozilla/5.0",
                "End-User-Ip": "203.0.113.7",
                "End-User-Device-Id": "a1b2",
            },
        ),
        (
            EndUser(ip="2001:db8::1"),
            {
                "User-Agent": f"plastiq-async/{version('plastiq-async')}",
                "End-User-Ip": "2001:db8::1",
            },
        ),
    ],
)
async def test_wire(end_user: EndUser | None, expected: dict[str, str]) -> None:
    """A request has the contract's line, headers and body, and nothing else."""
    with Server(answer()) as server:
        async with session_for(server) as session:
            secret = await session.client_secrets.create(
                PAYER, end_user=end_user, trace_id=TRACE_ID
            )
    (request,) = server.requests
    assert request.line == "POST /api/client-secrets HTTP/1.1"
    assert sorted(request.headers) == sorted(
        {
            "Host": server.url.removeprefix("http://"),
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "Content-Length": str(len(request.body)),
            "Authorization": f"Bearer {TOKEN}",
            "Trace-Id": TRACE_ID,
            **expected,
        }.items()
    )
    assert json.loads(request.body) == {"payer": {"id": PAYER}, "type": "CARD"}
    assert secret.client_secret == f"secret-of-{TRACE_ID}"


async def test_connection_is_kept() -> None:
    """Calls one after the other share a connection, each with a trace ID of its own."""
    with Server(answer()) as server:
        async with session_for(server) as session:
            secrets = [await session.client_secrets.create(PAYER) for _ in range(3)]
    assert len(server.connections) == 1
    assert len({secret.trace_id for secret in secrets}) == 3


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({}, "https://connect.sandbox.plastiq.com/api/client-secrets"),
        (
            {"environment": "production"},
            "https://connect.plastiq.com/api/client-secrets",
        ),
        ({"base_url": "http://[::1]:8/"}, "http://[::1]:8/client-secrets"),
        ({"base_url": "http://127.0.0.1"}, "http://127.0.0.1/client-secrets"),
        (
            {"base_url": "https://gateway.test/a/b%20c/"},
            "https://gateway.test/a/b%20c/client-secrets",
        ),
    ],
)
async def test_url(options: dict[str, Any], url: str) -> None:
    """The path is joined to the server's address, and Host follows from it."""
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"clientSecret": "x"})

    transport = httpx.MockTransport(handle)
    async with PlastiqSession(TOKEN, transport=transport, **options) as session:
        await session.client_secrets.create(PAYER)
    (request,) = seen
    assert str(request.url) == url
    assert request.headers["Host"] == url.split("/")[2]


@pytest.mark.parametrize("variable", [True, False])
def test_bad_host(variable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that only httpx finds fault with is a mistake in the setting, too."""
    url = "https://xn--/api"
    options: dict[str, Any] = {} if variable else {"base_url": url}
    if variable:
        monkeypatch.setenv("PLASTIQ_BASE_URL", url)
    with pytest.raises(ConfigurationError, match=r"base_url|PLASTIQ_BASE_URL") as info:
        PlastiqSession(TOKEN, **options)
    assert "xn--" not in str(info.value)


async def test_trace_id_of_the_context() -> None:
    """All calls within a `trace_context` carry its trace ID."""
    with Server(answer()) as server, trace_context() as trace_id:
        async with session_for(server) as session:
            secret = await session.client_secrets.create(PAYER)
    assert server.requests[0].header("Trace-Id") == str(trace_id)
    assert secret.trace_id == trace_id


async def test_options_of_a_view(fake_plastiq: FakePlastiq) -> None:
    """A view has its own options, and leaves those of the session alone."""
    fake_plastiq.fail_next(503)
    fake_plastiq.delay_next(20, times=2)
    async with fake_session(fake_plastiq) as session:
        with pytest.raises(ServiceUnavailableError):
            await session.with_options(max_retries=0).client_secrets.create(PAYER)
        view = session.with_options(timeout=0.1)
        for one in (view.with_options(max_retries=1), view):
            with pytest.raises(APITimeoutError, match=r"0\.1 s"):
                await one.client_secrets.create(PAYER)
        await session.client_secrets.create(PAYER)


@pytest.mark.parametrize(
    "options", [{"timeout": 0}, {"timeout": float("nan")}, {"max_retries": -1}]
)
async def test_bad_options_of_a_view(
    options: dict[str, Any], fake_plastiq: FakePlastiq
) -> None:
    """A view's options are checked as the session's are."""
    async with fake_session(fake_plastiq) as session:
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            session.with_options(**options)


async def test_bad_timeout_of_a_call(fake_plastiq: FakePlastiq) -> None:
    """A call's timeout is an argument: nothing is sent with a bad one."""
    async with fake_session(fake_plastiq) as session:
        with pytest.raises(InvalidArgumentError, match="timeout"):
            await session.client_secrets.create(PAYER, timeout=-1)
    assert fake_plastiq.requests == []


@pytest.mark.parametrize("value", [b"null", b"7", b'""', b'"'])
async def test_unexpected_answer(value: bytes, fake_plastiq: FakePlastiq) -> None:
    """An error about the body says where, and which call it ended."""
    fake_plastiq.garble_next(b'{"clientSecret": %s}' % value)
    async with fake_session(fake_plastiq) as session:
        with pytest.raises(
            APIResponseError, match=r"\$\.clientSecret|not JSON"
        ) as info:
            await session.client_secrets.create(PAYER, trace_id=TRACE_ID)
    error = info.value
    assert (error.method, error.path) == ("POST", "/client-secrets")
    assert (error.attempts, error.trace_id) == (1, UUID(TRACE_ID))
    assert not error.outcome_unknown
    assert error.status_code == 200


async def test_deadline() -> None:
    """A server that never answers is left at the deadline, and its socket closed."""
    with Server(ignore) as server:
        async with session_for(server) as session:
            with pytest.raises(APITimeoutError, match=r"0\.2 s") as info:
                await session.client_secrets.create(
                    PAYER, timeout=0.2, trace_id=TRACE_ID
                )
            await eventually(lambda: server.open_connections == 0)
    error = info.value
    assert (error.method, error.path) == ("POST", "/client-secrets")
    assert (error.attempts, error.trace_id) == (1, UUID(TRACE_ID))
    assert error.outcome_unknown


async def test_callers_own_deadline() -> None:
    """A shorter deadline around the call wins, with the caller's own TimeoutError."""
    with Server(ignore) as server:
        async with session_for(server) as session:
            with pytest.raises(TimeoutError) as info, anyio.fail_after(0.1):
                await session.client_secrets.create(PAYER, timeout=20)
    assert type(info.value) is TimeoutError


async def test_waiting_for_a_permit() -> None:
    """To wait for one of `max_connections` counts towards the deadline."""
    with Server(ignore) as server:
        async with (
            session_for(server, max_connections=1) as session,
            anyio.create_task_group() as group,
        ):
            group.start_soon(session.client_secrets.create, PAYER)
            await eventually(lambda: server.requests)
            with pytest.raises(APITimeoutError) as info:
                await session.client_secrets.create(
                    PAYER, timeout=0.1, trace_id=TRACE_ID
                )
            group.cancel_scope.cancel()
    assert len(server.requests) == 1
    assert (info.value.attempts, info.value.outcome_unknown) == (0, False)
    assert info.value.trace_id == UUID(TRACE_ID)


async def test_no_more_calls_than_connections() -> None:
    """At most `max_connections` calls are under way; the others follow."""
    with Server(answer(delay=0.02)) as server:
        async with (
            session_for(server, max_connections=3) as session,
            anyio.create_task_group() as group,
        ):
            for _ in range(12):
                group.start_soon(session.client_secrets.create, PAYER)
    assert len(server.requests) == 12
    assert len(server.connections) <= 3


async def test_cancellation() -> None:
    """After a cancelled call its permit and its connection are there for the next."""
    with Server(ignore, answer(), ignore, answer()) as server:
        async with session_for(server, max_connections=1) as session:
            for _ in range(2):
                with anyio.CancelScope() as scope:
                    async with anyio.create_task_group() as group:
                        group.start_soon(session.client_secrets.create, PAYER)
                        await eventually(lambda: len(server.requests) % 2)
                        scope.cancel()
                assert scope.cancelled_caught
                secret = await session.client_secrets.create(PAYER, timeout=10)
                assert secret.client_secret


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_native_cancellation() -> None:
    """The same with a cancellation that knows nothing of scopes."""
    with Server(ignore, answer()) as server:
        async with session_for(server, max_connections=1) as session:
            call = asyncio.create_task(session.client_secrets.create(PAYER))
            await eventually(lambda: server.requests)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await session.client_secrets.create(PAYER, timeout=10)


async def test_close(fake_plastiq: FakePlastiq) -> None:
    """To close twice is harmless; views share it; no call comes after it."""
    session = fake_session(fake_plastiq)
    view = session.with_options(timeout=1)
    assert repr(session) == f"<PlastiqSession {fake_plastiq.base_url} (open)>"
    await view.aclose()
    await session.aclose()
    assert repr(session) == f"<PlastiqSession {fake_plastiq.base_url} (closed)>"
    for one in (session, view):
        with pytest.raises(SessionStateError, match="closed"):
            await one.client_secrets.create(PAYER)
    assert fake_plastiq.requests == []


async def test_close_with_calls_under_way() -> None:
    """Calls that are sent, or that wait, end in a SessionStateError."""
    errors: list[SessionStateError] = []

    async def call() -> None:
        with pytest.raises(SessionStateError, match="closed during") as info:
            await session.client_secrets.create(PAYER)
        errors.append(info.value)

    with Server(ignore) as server:
        session = session_for(server, max_connections=2)
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(call)
            await eventually(lambda: len(server.requests) == 2)
            await session.aclose()
        await eventually(lambda: server.open_connections == 0)
    assert sorted(error.attempts for error in errors) == [0, 1, 1]
    assert sorted(error.outcome_unknown for error in errors) == [False, True, True]
    assert all(error.trace_id and error.path for error in errors)


async def test_closed_from_within_a_call() -> None:
    """A call that closes its own session ends like the others."""

    async def close(request: httpx.Request, _: object) -> httpx.Response:
        await session.aclose()
        await anyio.sleep(20)
        return httpx.Response(500)

    session = PlastiqSession(TOKEN, middleware=[close])
    with pytest.raises(SessionStateError, match="closed during"):
        await session.client_secrets.create(PAYER)


def test_second_event_loop(anyio_backend: str, fake_plastiq: FakePlastiq) -> None:
    """Made outside of any event loop, a session belongs to that of its first call."""
    session = fake_session(fake_plastiq)

    async def call() -> ClientSecret:
        return await session.client_secrets.create(PAYER)

    assert anyio.run(call, backend=anyio_backend).client_secret
    for use in (call, session.aclose):
        with pytest.raises(SessionStateError, match="another event loop"):
            anyio.run(use, backend=anyio_backend)
    assert len(fake_plastiq.requests) == 1


def test_many_callers_of_a_session_made_outside(
    anyio_backend: str, fake_plastiq: FakePlastiq
) -> None:
    """What a session waits with works, too, when it was made outside of a loop."""

    async def provide() -> str:
        await anyio.sleep(0.01)
        return fake_plastiq.access_token

    session = PlastiqSession(
        provide,
        base_url=fake_plastiq.base_url,
        transport=fake_plastiq.transport,
        max_connections=2,
    )

    async def main() -> None:
        async with session, anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(session.client_secrets.create, PAYER)

    anyio.run(main, backend=anyio_backend)
    assert len(fake_plastiq.secrets) == 5


async def test_fork(fake_plastiq: FakePlastiq, monkeypatch: pytest.MonkeyPatch) -> None:
    """In another process than the one that made it, a session is of no use."""
    async with fake_session(fake_plastiq) as session:
        await session.client_secrets.create(PAYER)
        with monkeypatch.context() as patch:
            other = SimpleNamespace(getpid=lambda: -1)
            patch.setattr("plastiq_async._ownership.os", other)
            for use in (session.aclose, lambda: session.client_secrets.create(PAYER)):
                with pytest.raises(SessionStateError, match="fork"):
                    await use()
        await session.client_secrets.create(PAYER)
    assert len(fake_plastiq.requests) == 2


async def test_no_cookies() -> None:
    """What one answer wants to be remembered reaches no other request."""
    with Server(answer(headers=[("Set-Cookie", "payer=1; Path=/")])) as server:
        async with session_for(server) as session:
            for _ in range(2):
                secret = await session.client_secrets.create(PAYER)
                assert "Set-Cookie" not in secret.response.headers
    assert [request.header("Cookie") for request in server.requests] == ["", ""]


async def test_close_that_is_cancelled() -> None:
    """To close is to close, even for a caller in a hurry."""
    with Server(answer()) as server:
        session = session_for(server)
        await session.client_secrets.create(PAYER)
        with anyio.move_on_after(0):
            await session.aclose()
        await eventually(lambda: server.open_connections == 0)


async def test_second_close_after_an_error() -> None:
    """A transport that cannot be closed is no reason to try again."""

    class Stubborn(httpx.AsyncBaseTransport):
        closed = 0

        async def aclose(self) -> None:
            self.closed += 1
            raise OSError

    transport = Stubborn()
    session = PlastiqSession(TOKEN, transport=transport)
    with suppress(OSError):
        await session.aclose()
    await session.aclose()
    assert transport.closed == 1


def test_made_in_another_event_loop() -> None:
    """What a session needs of an event loop it takes from that of its first call."""

    async def provide() -> str:
        return TOKEN

    async def make(server: Server) -> PlastiqSession:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return PlastiqSession(provide, base_url=server.base_url, verify=context)

    async def use(plastiq: PlastiqSession) -> None:
        async with plastiq:
            await plastiq.client_secrets.create(PAYER)

    with Server(answer()) as server:
        anyio.run(use, anyio.run(make, server, backend="asyncio"), backend="trio")
    assert len(server.requests) == 1
