"""Contracts of hooks: what they return, pass on and await, and what is known then."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import logging
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import anyio
import anyio.lowlevel
import attrs
import httpx
import pytest

from plastiq_async import (
    APITimeoutError,
    CreateClientSecret,
    HookError,
    InternalServerError,
    PlastiqError,
    PlastiqSession,
)
from plastiq_async._hooks import is_stray, name_hook
from plastiq_async.middleware import Handler
from plastiq_async.testing import FakePlastiq
from tests.support.internals import KEY, operation_for
from tests.support.sessions import PAYER, TOKEN, fake_session, session_for
from tests.support.socket_server import Server
from tests.support.steps import answer, drop
from tests.support.transports import Transport

Hook = Callable[..., Any]

UNSAFE: dict[str, Any] = {"harmless": False}
KEYED: dict[str, Any] = {"harmless": False, "idempotency_key": KEY}


async def run(session: PlastiqSession, **changes: Any) -> Any:
    """Perform the creation of a client secret, with changes to the operation."""
    operation = operation_for(CreateClientSecret(payer_id=PAYER))
    return await session._pipeline.run(attrs.evolve(operation, **changes), {})


async def hook_error(fake: FakePlastiq, *middleware: Hook, **changes: Any) -> HookError:
    """Return the `HookError` of a call with this middleware."""
    session = fake_session(fake, middleware=middleware)
    with pytest.raises(HookError) as info:
        await run(session, **changes)
    return info.value


async def await_cancelled(*_: object) -> Any:
    """Await a future that somebody cancelled."""
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return our own warnings."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "plastiq_async" and record.levelno == logging.WARNING
    ]


# --- names ---


class CallableHook:
    """A hook that is an object."""

    async def __call__(self, *_: object) -> None:
        """Return nothing."""

    async def method(self, *_: object) -> None:
        """Return nothing."""


@pytest.mark.parametrize(
    ("hook", "name"),
    [
        (await_cancelled, "await_cancelled"),
        (CallableHook(), "CallableHook"),
        (CallableHook().method, "CallableHook.method"),
        (functools.partial(await_cancelled, "s3cr3t"), "await_cancelled"),
        (functools.partial(functools.partial(CallableHook())), "CallableHook"),
    ],
)
def test_name(hook: object, name: str) -> None:
    """A hook is named by its function or its class, without any value."""
    assert name_hook("middleware", hook) == f"middleware {name}"


# --- what middleware returns ---


async def returns_none(request: httpx.Request, call_next: Handler) -> Any:
    """Forget to return the response."""
    await call_next(request)


async def returns_coroutine(request: httpx.Request, call_next: Handler) -> Any:
    """Forget to await the response."""
    return call_next(request)


async def returns_text(request: httpx.Request, call_next: Handler) -> Any:
    """Return the body of the response."""
    return (await call_next(request)).text


async def returns_unread(request: httpx.Request, call_next: Handler) -> Any:
    """Return a response whose body was not read."""
    await call_next(request)
    return httpx.Response(200, stream=httpx.AsyncByteStream())


async def returns_sync_stream(request: httpx.Request, call_next: Handler) -> Any:
    """Return the response of a sync client."""
    await call_next(request)
    return httpx.Response(200, stream=httpx.SyncByteStream())


def is_sync(request: httpx.Request, call_next: Handler) -> Any:
    """Return a response without being async."""
    return httpx.Response(200, json={"clientSecret": "s3cr3t"})


RESULTS: dict[Hook, str] = {
    returns_none: "returned None, not an httpx.Response",
    returns_coroutine: "returned a coroutine, not an httpx.Response",
    returns_text: "returned a str, not an httpx.Response",
    returns_unread: "returned a response that was not read",
    returns_sync_stream: "returned a response that was not read",
    is_sync: "returned a Response, not an awaitable",
    CallableHook(): "returned None, not an httpx.Response",
}


@pytest.mark.parametrize(("hook", "text"), RESULTS.items())
async def test_wrong_result(hook: Hook, text: str, fake_plastiq: FakePlastiq) -> None:
    """What middleware returns wrongly is an error that names it, and no value."""

    async def outer(request: httpx.Request, call_next: Handler) -> httpx.Response:
        return await call_next(request)

    error = await hook_error(fake_plastiq, outer, hook)
    assert str(error).startswith(f"{name_hook('middleware', hook)} {text} [POST")
    assert "s3cr3t" not in str(error)
    assert (error.path, error.next_step) == ("/client-secrets", "fix")


@pytest.mark.parametrize(
    ("changes", "unknown", "step"),
    [({}, False, "fix"), (UNSAFE, True, "reconcile"), (KEYED, True, "same_key")],
)
@pytest.mark.parametrize("status", [200, 400])
async def test_wrong_result_after_a_response(
    status: int, changes: dict[str, Any], unknown: bool, step: str
) -> None:
    """If the caller never gets the result of a success, its outcome is unknown."""

    async def swallow(request: httpx.Request, call_next: Handler) -> Any:
        try:
            await call_next(request)
        except PlastiqError:
            return None

    with Server(answer(status)) as server:
        async with session_for(server, middleware=[swallow]) as session:
            with pytest.raises(HookError) as info:
                await run(session, **changes)
    error = info.value
    refused = status == 400
    assert error.outcome_unknown is (unknown and not refused)
    assert error.next_step == ("fix" if refused else step)
    assert error.attempts == 1
    assert error.idempotency_key == changes.get("idempotency_key")
    assert str(error.trace_id) == server.requests[0].header("Trace-Id")


async def test_elapsed(fake_plastiq: FakePlastiq) -> None:
    """A middleware can read how long the latest attempt took."""
    seen: list[timedelta] = []

    async def watch(request: httpx.Request, call_next: Handler) -> httpx.Response:
        response = await call_next(request)
        seen.append(response.elapsed)
        return response

    fake_plastiq.delay_next(0.05)
    session = fake_session(fake_plastiq, middleware=[watch])
    await session.client_secrets.create(PAYER)
    assert timedelta(seconds=0.04) < seen[0] < timedelta(seconds=30)


# --- what middleware passes on ---


def changed(request: httpx.Request, **changes: Any) -> httpx.Request:
    """Return a copy of a request with the given changes."""
    values: dict[str, Any] = {
        "method": request.method,
        "url": request.url,
        "headers": request.headers,
        "content": request.content,
        "extensions": request.extensions,
    }
    return httpx.Request(**values | changes)


def with_header(name: str, value: str | None) -> Callable[[httpx.Request], Any]:
    """Return a function that sets or removes a header."""

    def change(request: httpx.Request) -> httpx.Request:
        request.headers.pop(name, None)
        if value is not None:
            request.headers[name] = value
        return request

    return change


def with_attribute(name: str, value: Any) -> Callable[[httpx.Request], Any]:
    """Return a function that sets an attribute of the request itself."""

    def change(request: httpx.Request) -> httpx.Request:
        setattr(request, name, value)
        return request

    return change


async def body_of_its_own() -> Any:
    """Yield another body."""
    yield b"{}"


WRONG_REQUESTS: dict[str, Callable[[httpx.Request], Any]] = {
    "none": lambda _: None,
    "text": lambda request: str(request.url),
    "own": lambda request: changed(request, extensions={}),
    "host": lambda request: changed(request, url="https://evil.example/client-secrets"),
    "path": lambda request: changed(request, url=request.url.join("/other")),
    "query": lambda request: changed(request, url=f"{request.url}?a=1"),
    "attribute": with_attribute("url", httpx.URL("https://evil.example")),
    "target": lambda request: changed(
        request, extensions={**request.extensions, "target": b"/other"}
    ),
    "method": lambda request: changed(request, method="PATCH"),
    "body": lambda request: changed(request, content=b"{}"),
    "stream": lambda request: changed(request, content=body_of_its_own()),
    "unread": lambda request: changed(
        request, content=None, stream=httpx.ByteStream(request.content)
    ),
    "stream only": with_attribute("stream", httpx.ByteStream(b"{}")),
    "key": with_header("Idempotency-Key", str(uuid4())),
    "no key": with_header("idempotency-key", None),
    "trace ID": with_header("Trace-Id", str(uuid4())),
    "no trace ID": with_header("Trace-Id", None),
    "virtual host": with_header("Host", "evil.example"),
    "length": with_header("Content-Length", "3"),
    "chunked": with_header("Transfer-Encoding", "chunked"),
}


@pytest.mark.parametrize("change", WRONG_REQUESTS.values(), ids=WRONG_REQUESTS)
@pytest.mark.parametrize("wiring", [("httpx",), ("aiohttp",)], ids="-".join)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_wrong_request(
    change: Callable[[httpx.Request], Any], wiring: tuple[str]
) -> None:
    """Only the request of the call is sent, to its URL, and nothing otherwise."""

    async def meddle(request: httpx.Request, call_next: Handler) -> httpx.Response:
        return await call_next(change(request))

    async def inner(request: httpx.Request, call_next: Handler) -> httpx.Response:
        pytest.fail("a wrong request was passed on")

    with Server(answer()) as server:
        for middleware in ([meddle], [meddle, inner]):
            options = {"transport": wiring[0], "middleware": middleware}
            async with session_for(server, **options) as session:
                with pytest.raises(HookError, match="meddle") as info:
                    await run(session, **KEYED)
            assert not info.value.outcome_unknown
            assert info.value.next_step == "fix"
    assert server.connections == []


async def test_request_of_another_call(fake_plastiq: FakePlastiq) -> None:
    """A middleware cannot send the request of another call again."""
    requests: list[httpx.Request] = []

    async def replay(request: httpx.Request, call_next: Handler) -> httpx.Response:
        requests.append(request)
        return await call_next(requests[0])

    session = fake_session(fake_plastiq, middleware=[replay])
    await session.client_secrets.create(PAYER)
    with pytest.raises(HookError, match="extensions"):
        await session.client_secrets.create(PAYER)
    assert len(fake_plastiq.requests) == 1


async def test_right_request() -> None:
    """Other headers may be changed; the access token stays the session's."""

    async def tenant(request: httpx.Request, call_next: Handler) -> httpx.Response:
        request.headers["X-Tenant"] = "blue"
        request.headers["User-Agent"] = "mine"
        request.headers["Authorization"] = "Bearer mine"
        return await call_next(request)

    with Server(answer()) as server:
        async with session_for(server, middleware=[tenant, tenant]) as session:
            await run(session, **KEYED)
    (request,) = server.requests
    assert (request.header("X-Tenant"), request.header("User-Agent")) == (
        "blue",
        "mine",
    )
    assert request.header("Authorization") == f"Bearer {TOKEN}"
    assert request.header("Idempotency-Key") == str(KEY)


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("changes", [{}, UNSAFE, KEYED])
@pytest.mark.parametrize("step", [answer(), drop, answer(503), answer(400)])
@pytest.mark.parametrize("at_once", [False, True])
async def test_call_next_twice(
    changes: dict[str, Any], step: Any, at_once: Any
) -> None:
    """`call_next` sends nothing when it is called again."""

    async def twice(request: httpx.Request, call_next: Handler) -> httpx.Response:
        first = call_next(request)
        if at_once:
            async with anyio.create_task_group() as group:
                group.start_soon(ignoring_errors, first)
                await anyio.sleep(0.01)
                return await call_next(request)
        await ignoring_errors(first)
        return await call_next(request)

    with Server(step) as server:
        options: dict[str, Any] = {"middleware": [twice], "max_connections": 1}
        async with session_for(server, **options) as session:
            with pytest.raises((HookError, ExceptionGroup)) as info:
                await run(session.with_options(max_retries=0), **changes)
    error = info.value
    if isinstance(error, ExceptionGroup):
        (error,) = error.exceptions
    assert isinstance(error, HookError)
    assert "called call_next again" in str(error)
    assert len(server.requests) <= 1


@pytest.mark.parametrize("changes", [{"harmless": False}, {"harmless": True}])
async def test_call_next_twice_before_it_is_awaited(changes: dict[str, Any]) -> None:
    """Two calls of `call_next` cannot both be awaited, even if neither has begun."""

    async def twice(request: httpx.Request, call_next: Handler) -> httpx.Response:
        first = call_next(request)
        try:
            second = call_next(request)
        finally:
            await ignoring_errors(first)
        return await second

    with Server(answer(body=b'{"clientSecret": "s"}')) as server:
        async with session_for(server, middleware=[twice]) as session:
            with pytest.raises(HookError, match="called call_next again"):
                await run(session, **changes)
    assert len(server.requests) == 1


async def ignoring_errors(response: Awaitable[httpx.Response]) -> None:
    """Wait for a response or an error."""
    with contextlib.suppress(PlastiqError):
        await response


# --- what middleware raises ---


class OwnError(Exception):
    """An exception of the user's."""


RAISED = [
    OwnError(),
    ExceptionGroup("several", [OwnError()]),
    PlastiqError("of another session"),
    HookError("of another session"),
    KeyboardInterrupt(),
]


@pytest.mark.parametrize("raised", RAISED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    ("changes", "key"), [({}, None), (UNSAFE, "None"), (KEYED, str(KEY))]
)
@pytest.mark.parametrize("step", [answer(), drop])
async def test_exception_after_sending(
    raised: BaseException,
    changes: dict[str, Any],
    key: str | None,
    step: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An own exception is raised unchanged; the log has what it cannot carry."""

    async def fail(request: httpx.Request, call_next: Handler) -> httpx.Response:
        await ignoring_errors(call_next(request))
        raise raised

    with Server(step) as server:
        options: dict[str, Any] = {"middleware": [fail], "max_retries": 0}
        async with session_for(server, **options) as session:
            with pytest.raises(type(raised)) as info:
                await run(session, **changes)
    assert info.value is raised
    assert getattr(raised, "trace_id", None) is None
    trace_id = server.requests[0].header("Trace-Id")
    expected = (
        "client_secrets.create ended early, and its outcome is unknown: "
        f"idempotency_key={key} trace_id={trace_id}"
    )
    assert warnings_of(caplog) == ([expected] if key else [])


@pytest.mark.parametrize("changes", [UNSAFE, KEYED])
async def test_exception_before_sending(
    changes: dict[str, Any], fake_plastiq: FakePlastiq, caplog: pytest.LogCaptureFixture
) -> None:
    """There is nothing to log if nothing was sent."""

    async def fail(request: httpx.Request, call_next: Handler) -> httpx.Response:
        raise OwnError

    session = fake_session(fake_plastiq, middleware=[fail])
    with pytest.raises(OwnError):
        await run(session, **changes)
    assert warnings_of(caplog) == []


@pytest.mark.parametrize("changes", [UNSAFE, KEYED])
async def test_our_error_is_not_logged(
    changes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """An error of ours says it all, also if middleware passes it on."""

    async def watch(request: httpx.Request, call_next: Handler) -> httpx.Response:
        try:
            return await call_next(request)
        except PlastiqError:
            await anyio.lowlevel.checkpoint()
            raise

    with Server(drop) as server:
        options: dict[str, Any] = {"middleware": [watch], "max_retries": 0}
        async with session_for(server, **options) as session:
            with pytest.raises(PlastiqError) as info:
                await run(session, **changes)
    assert info.value.outcome_unknown
    assert warnings_of(caplog) == []


@pytest.mark.parametrize("changes", [UNSAFE, KEYED])
async def test_deadline_after_a_success(changes: dict[str, Any]) -> None:
    """If middleware outlasts the deadline, the success does not reach the caller."""

    async def dawdle(request: httpx.Request, call_next: Handler) -> httpx.Response:
        await call_next(request)
        await anyio.sleep(60)
        return httpx.Response(200)

    with Server(answer()) as server:
        async with session_for(server, middleware=[dawdle], timeout=0.5) as session:
            with pytest.raises(APITimeoutError) as info:
                await run(session, **changes)
    assert len(server.requests) == 1
    assert info.value.outcome_unknown
    assert info.value.next_step in {"same_key", "reconcile"}


async def test_error_of_its_own_after_a_success() -> None:
    """A middleware's own error response does not hide that the request succeeded."""

    async def fail(request: httpx.Request, call_next: Handler) -> httpx.Response:
        await call_next(request)
        return httpx.Response(500)

    with Server(answer()) as server:
        async with session_for(server, middleware=[fail]) as session:
            with pytest.raises(InternalServerError) as info:
                await run(session, **UNSAFE)
    assert (info.value.outcome_unknown, info.value.next_step) == (True, "reconcile")


# --- stray cancellations ---


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(
    ("changes", "step"), [({}, "fix"), (UNSAFE, "reconcile"), (KEYED, "same_key")]
)
async def test_stray_cancellation(
    changes: dict[str, Any], step: str, fake_plastiq: FakePlastiq
) -> None:
    """A middleware that awaits something cancelled breaks its contract."""

    async def stray(request: httpx.Request, call_next: Handler) -> httpx.Response:
        response = await call_next(request)
        await await_cancelled()
        return response

    operation_for(CreateClientSecret(payer_id=PAYER))
    with Server(answer()) as server:
        async with session_for(server, middleware=[stray]) as session:
            with pytest.raises(HookError, match=r"stray awaited .* cancelled") as info:
                await run(session, **changes)
    assert isinstance(info.value.__cause__, asyncio.CancelledError)
    assert info.value.next_step == step
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def wait(*_: object) -> Any:
    """Wait for long."""
    await anyio.sleep(60)


async def gather(*_: object) -> Any:
    """Wait in `asyncio.gather`, which replaces the exception of a cancellation."""
    await asyncio.gather(wait(), wait())


async def replace_cancellation(*_: object) -> Any:
    """Await something cancelled when being cancelled."""
    try:
        await wait()
    finally:
        await await_cancelled()


async def swallow_cancellation(*_: object) -> Any:
    """Await something cancelled after having been cancelled."""
    with contextlib.suppress(asyncio.CancelledError):
        await wait()
    await await_cancelled()


async def in_timeout(*_: object) -> Any:
    """Wait in a timeout that does not expire."""
    async with asyncio.timeout(50):
        await wait()


async def in_task(*_: object) -> Any:
    """Wait for a task."""
    await asyncio.ensure_future(wait())


async def in_group(*_: object) -> Any:
    """Wait in a task group."""
    async with anyio.create_task_group() as group:
        group.start_soon(wait)


async def with_anyio_scope(call: Callable[[], Awaitable[Any]]) -> None:
    """Cancel a call by a scope around it."""
    with anyio.move_on_after(0.05) as scope:
        await call()
    assert scope.cancelled_caught


async def with_anyio_group(call: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """Cancel a call by the task group that it runs in."""
    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await anyio.sleep(0.05)
        group.cancel_scope.cancel()


async def with_timeout(call: Callable[[], Awaitable[Any]]) -> None:
    """Cancel a call by asyncio's timeout."""
    with pytest.raises(TimeoutError) as info:
        async with asyncio.timeout(0.05):
            await call()
    assert type(info.value) is TimeoutError


async def with_wait_for(call: Callable[[], Awaitable[Any]]) -> None:
    """Cancel a call by asyncio's older timeout."""
    with pytest.raises(TimeoutError) as info:
        await asyncio.wait_for(call(), 0.05)
    assert type(info.value) is TimeoutError


async def with_task(call: Callable[[], Awaitable[Any]]) -> None:
    """Cancel the task of a call."""
    task = asyncio.ensure_future(call())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


CANCELLERS = [with_anyio_scope, with_anyio_group, with_timeout, with_wait_for]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("inside", [wait, in_timeout, in_task, in_group])
@pytest.mark.parametrize("cancel", [*CANCELLERS, with_task])
async def test_real_cancellation(
    cancel: Callable[..., Awaitable[None]], inside: Hook, fake_plastiq: FakePlastiq
) -> None:
    """A cancellation of the task stays one, whoever cancels and whatever waits."""
    session = fake_session(fake_plastiq, middleware=[inside])
    await cancel(functools.partial(session.client_secrets.create, PAYER))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(
    "inside",
    [
        wait,
        gather,
        replace_cancellation,
        swallow_cancellation,
        in_timeout,
        in_task,
        in_group,
    ],
)
async def test_own_deadline(inside: Hook, fake_plastiq: FakePlastiq) -> None:
    """The call's deadline is an APITimeoutError, whatever a hook waits with."""
    session = fake_session(fake_plastiq, middleware=[inside])
    with pytest.raises(APITimeoutError):
        await session.client_secrets.create(PAYER, timeout=0.05)


async def test_no_stray_cancellation_on_trio(anyio_backend_name: str) -> None:
    """Only asyncio raises cancellations of tasks that are not cancelled."""
    assert is_stray(asyncio.CancelledError()) is (anyio_backend_name == "asyncio")
    assert not is_stray(OwnError())
    with anyio.CancelScope() as scope:  # noqa: ASYNC100 -- it is cancelled at once
        scope.cancel()
        assert not is_stray(asyncio.CancelledError())


# --- transports and trace extensions ---


class SyncTransport(httpx.AsyncBaseTransport):
    """A transport whose method is not async."""

    def handle_async_request(self, request: httpx.Request) -> Any:
        """Return a response."""
        return httpx.Response(200, json={"clientSecret": "x"})


@pytest.mark.parametrize(
    ("transport", "text"),
    [
        (Transport(lambda _: None), "returned None, not an httpx.Response"),  # type: ignore[arg-type, return-value]  # on purpose
        (Transport(lambda _: "s3cr3t"), "returned a str, not"),  # type: ignore[arg-type, return-value]  # on purpose
        (SyncTransport(), "returned a Response, not an awaitable"),
    ],
)
async def test_transport(transport: Any, text: str) -> None:
    """A transport that returns no response leaves the outcome unknown."""
    async with PlastiqSession(TOKEN, transport=transport) as session:
        with pytest.raises(HookError, match=r"^transport \w+") as info:
            await run(session, **KEYED)
    assert text in str(info.value)
    assert "s3cr3t" not in str(info.value)
    assert (info.value.outcome_unknown, info.value.next_step) == (True, "same_key")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_transport_with_a_stray_cancellation() -> None:
    """So does a transport that awaits something cancelled."""

    class Stray(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(await await_cancelled())

    async with PlastiqSession(TOKEN, transport=Stray()) as session:
        with pytest.raises(HookError, match=r"transport .*Stray") as info:
            await run(session, **UNSAFE)
    assert info.value.next_step == "reconcile"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_stream_with_a_stray_cancellation() -> None:
    """So does a response whose body does."""

    class Stray(httpx.AsyncByteStream):
        async def __aiter__(self) -> Any:
            yield await await_cancelled()

    transport = Transport(lambda _: httpx.Response(200, stream=Stray()))
    async with PlastiqSession(TOKEN, transport=transport) as session:
        with pytest.raises(HookError, match="the transport awaited") as info:
            await run(session, **UNSAFE)
    assert info.value.next_step == "reconcile"


TRACES: list[tuple[Hook, str]] = [
    (lambda *_: None, "returned None, not an awaitable"),
    (await_cancelled, "awaited something cancelled"),
]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(("trace", "text"), TRACES)
async def test_trace_extension(trace: Hook, text: str) -> None:
    """A trace extension is a hook, too."""

    async def add(request: httpx.Request, call_next: Handler) -> httpx.Response:
        request.extensions = {**request.extensions, "trace": trace}
        return await call_next(request)

    with Server(answer()) as server:
        async with session_for(server, middleware=[add]) as session:
            with pytest.raises(HookError, match=r"^trace extension") as info:
                await run(session, **UNSAFE)
    assert text in str(info.value)
    assert info.value.next_step == "fix"


async def test_numbers_of_attempts(fake_plastiq: FakePlastiq) -> None:
    """Hooks that keep their contracts are called once for each call."""
    count = itertools.count()

    async def tenant(request: httpx.Request, call_next: Handler) -> httpx.Response:
        next(count)
        return await call_next(request)

    session = fake_session(fake_plastiq, middleware=[tenant, tenant])
    secret = await session.client_secrets.create(PAYER, trace_id=uuid4())
    assert isinstance(secret.trace_id, UUID)
    assert next(count) == 2
