"""Fault 17: private values in the local variables of the frames of a traceback.

Crash reporters collect them. The frames of this test are not part of the tracebacks
that it searches, since an application's own variables are its own responsibility.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterator
from functools import partial
from typing import Any

import anyio
import pytest

from plastiq_async import ConfigurationError, PlastiqError, PlastiqSession
from tests.support.local_variables import (
    BODY,
    CALLS,
    CARD,
    STEPS,
    create,
    failure,
)
from tests.support.private_texts import CREDENTIALS, PRIVATE, assert_untold
from tests.support.sessions import TOKEN
from tests.support.socket_server import Server
from tests.support.steps import answer, ignore
from tests.support.wirings import Connect

pytestmark = pytest.mark.usefixtures("quick_retries")


def variables(error: BaseException | None) -> Iterator[str]:
    """Yield the text of a traceback with all local variables of this library's frames.

    The causes and contexts are included, with all of their frames.
    """
    assert error is not None
    first = error.__traceback__
    while first and "/tests/" in first.tb_frame.f_code.co_filename:
        first = first.tb_next
    reported = traceback.TracebackException(
        type(error), error, first, capture_locals=True
    )
    yield from reported.format()


@pytest.mark.parametrize("name", STEPS)
async def test_responses(name: str, connect: Connect) -> None:
    """No response, sent through a proxy, leaves private values in the frames."""
    with Server(STEPS[name]) as server:
        proxy = server.url.replace("//", f"//{CREDENTIALS}@")
        async with connect(server, proxy=proxy) as session:
            errors = [await failure(partial(call, session)) for call in CALLS]
    assert (errors[0] is None) == (name == "good")
    for error in filter(None, errors):
        assert isinstance(error, PlastiqError)
        assert_untold(variables(error), [*PRIVATE, CARD])


async def test_unreachable(connect: Connect) -> None:
    """A refused connection leaves none."""
    with Server(ignore) as server:
        pass
    proxy = server.url.replace("//", f"//{CREDENTIALS}@")
    async with connect(server, proxy=proxy) as session:
        assert_untold(variables(await failure(partial(create, session))))


@pytest.mark.parametrize("other", [False, True])
async def test_deadline_of_the_caller(
    other: bool, anyio_backend: str, connect: Connect
) -> None:
    """A call that the caller's own deadline cancels leaves none."""
    asyncio_timeout = other and anyio_backend == "asyncio"

    async def expire() -> None:
        with anyio.fail_after(0.2):
            await create(session)

    async def expire_otherwise() -> None:
        async with asyncio.timeout(0.2):
            await create(session)

    with Server(ignore) as server:
        async with connect(server) as session:
            error = await failure(expire_otherwise if asyncio_timeout else expire)
    assert isinstance(error, TimeoutError)
    assert_untold(variables(error))


@pytest.mark.parametrize("second", [ValueError("no vault"), TOKEN + "\n"])
async def test_provider(second: Any, transport: Any) -> None:
    """A provider that fails to renew a token leaves none."""
    left = [second, TOKEN]

    async def provide() -> str:
        token = left.pop()
        if isinstance(token, Exception):
            raise token
        return str(token)

    with Server(answer(401, BODY)) as server:
        options = {"base_url": server.base_url, "transport": transport, "verify": False}
        async with PlastiqSession(provide, **options) as session:
            error = await failure(partial(create, session))
    assert not left
    # The provider's own frame comes last.
    *ours, _ = variables(error)
    assert_untold(ours)


async def test_header_of_middleware(connect: Connect) -> None:
    """A header that cannot be sent leaves none of the others."""

    async def spoil(request: Any, call_next: Any) -> Any:
        request.headers["X-Note"] = "two\nlines"
        return await call_next(request)

    with Server(answer()) as server:
        async with connect(server, middleware=[spoil]) as session:
            error = await failure(partial(create, session))
    assert_untold(variables(error))


async def test_error_of_the_caller(connect: Connect) -> None:
    """What the caller is handling keeps its traceback."""
    with Server(ignore) as server:
        pass
    async with connect(server) as session:
        with pytest.raises(ZeroDivisionError) as info:  # noqa: PT012 -- as callers do
            try:
                raise ZeroDivisionError
            finally:
                error = await failure(partial(create, session))
    assert isinstance(error, PlastiqError)
    assert info.value.__traceback__ is not None
    assert info.traceback[-1].name == "test_error_of_the_caller"


@pytest.mark.parametrize(
    "settings",
    [
        {"timeout": -1},
        {"base_url": "http://plastiq.example"},
        {"proxy": f"ftp://{CREDENTIALS}@127.0.0.1"},
        {"proxy": f"http://{CREDENTIALS}@127.0.0.1:99999"},
        {"proxy": f"http://{CREDENTIALS}@127.0.0.1", "middleware": 1},
        {"access_token": TOKEN + "\n"},
    ],
)
def test_settings(settings: dict[str, Any]) -> None:
    """A setting that is not usable leaves neither the token nor a password."""
    with pytest.raises(ConfigurationError) as info:
        PlastiqSession(**{"access_token": TOKEN, **settings})
    assert_untold(variables(info.value))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTPS_PROXY", f"ftp://{CREDENTIALS}@127.0.0.1"),
        ("ALL_PROXY", f"{CREDENTIALS}@127.0.0.1:99999"),
        ("PLASTIQ_ACCESS_TOKEN", f"{TOKEN} x"),
    ],
)
def test_environment(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same holds for environment variables."""
    monkeypatch.setenv("PLASTIQ_ACCESS_TOKEN", TOKEN)
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as info:
        PlastiqSession()
    assert_untold(variables(info.value))
