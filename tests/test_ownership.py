"""Session ownership: process, event loop, closing."""

from __future__ import annotations

import os
import ssl
import threading
from contextlib import suppress

import anyio
import anyio.to_thread
import httpx
import pytest
from anyio.lowlevel import EventLoopToken, current_token

from plastiq_async import ClientSecret, PlastiqSession, SessionStateError
from plastiq_async._ownership import Ownership
from plastiq_async.testing import FakePlastiq
from tests.support.sessions import PAYER, TOKEN, fake_session, session_for
from tests.support.socket_server import Server
from tests.support.steps import answer, ignore
from tests.support.timing import eventually


async def test_close(fake_plastiq: FakePlastiq) -> None:
    """A session can be closed twice; then it and its views reject further calls."""
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
    """Closing a session makes calls in flight and waiting calls raise an error."""
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
    """A call that closes its own session raises a SessionStateError as well."""

    async def close(request: httpx.Request, _: object) -> httpx.Response:
        await session.aclose()
        await anyio.sleep(20)
        return httpx.Response(500)

    session = PlastiqSession(TOKEN, middleware=[close])
    with pytest.raises(SessionStateError, match="closed during"):
        await session.client_secrets.create(PAYER)


def test_second_event_loop(anyio_backend: str, fake_plastiq: FakePlastiq) -> None:
    """A session created outside of an event loop belongs to that of its first call."""
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
    """Calls wait for tokens and permits in a session created outside a loop."""

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
    """A session can be used only in the process that created it."""
    async with fake_session(fake_plastiq) as session:
        await session.client_secrets.create(PAYER)
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            for use in (session.aclose, lambda: session.client_secrets.create(PAYER)):
                with pytest.raises(SessionStateError, match="fork"):
                    await use()
        await session.client_secrets.create(PAYER)
    assert len(fake_plastiq.requests) == 2


async def test_close_that_is_cancelled() -> None:
    """A cancelled close still closes the session."""
    with Server(answer()) as server:
        session = session_for(server)
        await session.client_secrets.create(PAYER)
        with anyio.move_on_after(0):
            await session.aclose()
        await eventually(lambda: server.open_connections == 0)


async def test_second_close_after_an_error() -> None:
    """A session whose transport failed to close is not closed again."""

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
    """A session created in another event loop is bound to that of its first call."""

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


@pytest.mark.parametrize("close", [False, True])
def test_threads_at_the_same_moment(
    anyio_backend: str,
    fake_plastiq: FakePlastiq,
    monkeypatch: pytest.MonkeyPatch,
    *,
    close: bool,
) -> None:
    """Of the event loops of several threads, only one gets into a new session."""
    threads = 4
    seen = threading.local()

    def raced_token() -> EventLoopToken:
        """Let all threads look at an unclaimed session before one claims it."""
        if not getattr(seen, "once", False):
            seen.once = True
            barrier.wait(10)
        return current_token()

    monkeypatch.setattr("plastiq_async._ownership.current_token", raced_token)

    async def use(number: int, ownership: Ownership) -> str:
        try:
            if close and number == 0:
                await ownership.aclose()
            else:
                ownership.ensure_permits()
        except SessionStateError:
            return "refused"
        return "in"

    def thread(number: int, ownership: Ownership, results: list[str]) -> None:
        results.append(anyio.run(use, number, ownership, backend=anyio_backend))

    for _ in range(10):
        barrier = threading.Barrier(threads)
        ownership = Ownership(fake_plastiq.transport, 3)
        results: list[str] = []
        users = [
            threading.Thread(target=thread, args=(number, ownership, results))
            for number in range(threads)
        ]
        for user in users:
            user.start()
        for user in users:
            user.join()
        assert sorted(results) == ["in", *["refused"] * (threads - 1)]


async def test_close_before_the_first_call(fake_plastiq: FakePlastiq) -> None:
    """An unused session can be closed, which ends it for every event loop."""
    session = fake_session(fake_plastiq)
    await session.aclose()

    async def close_again() -> None:
        await session.aclose()

    await anyio.to_thread.run_sync(anyio.run, close_again)
    with pytest.raises(SessionStateError, match="closed"):
        await session.client_secrets.create(PAYER)
