"""Fault 17: private values in the local variables of the frames of a traceback.

Crash reporters collect them. The frames of this test are not part of the tracebacks
that it searches, since an application's own variables are its own responsibility.
"""

from __future__ import annotations

import asyncio
import traceback
from functools import partial
from itertools import combinations
from typing import Any

import anyio
import attrs
import httpx
import pytest

from plastiq_async import (
    ConfigurationError,
    InvalidArgumentError,
    PaymentDetails,
    PlastiqError,
    PlastiqSession,
    SessionStateError,
)
from plastiq_async.middleware import Handler
from tests.support import payers
from tests.support.local_variables import (
    BODY,
    STEPS,
    create,
    failure,
    failures,
    timeout_for,
    variables,
)
from tests.support.payment_methods import CARD_NUMBER, CVV
from tests.support.private_requests import (
    ARGUMENTS,
    CALLS,
    DETAILS,
    PRIVATE_REQUESTS,
    PRIVATE_VALUES,
    answer_in_full,
    method_of,
    perform,
)
from tests.support.private_texts import (
    CREDENTIALS,
    PRIVATE,
    assert_untold,
    texts_of,
)
from tests.support.sessions import TOKEN
from tests.support.socket_server import Server
from tests.support.steps import answer, ignore
from tests.support.wirings import Connect

pytestmark = pytest.mark.usefixtures("quick_retries")


async def pass_on(request: httpx.Request, call_next: Handler) -> httpx.Response:
    """Do nothing, as a middleware of the user's, whose frames are in tracebacks."""
    return await call_next(request)


@pytest.mark.parametrize("name", STEPS)
async def test_responses(name: str, connect: Connect) -> None:
    """No response, sent through a proxy, leaves private values in the frames."""
    with Server(STEPS[name]) as server:
        proxy = server.url.replace("//", f"//{CREDENTIALS}@")
        options: dict[str, Any] = {
            "proxy": proxy,
            "timeout": timeout_for(name),
            "middleware": [pass_on],
        }
        async with connect(server, **options) as session:
            errors = await failures(CALLS.values(), session)
    assert (errors[0] is None) == (name == "good")
    for error in filter(None, errors):
        assert isinstance(error, PlastiqError)
        assert_untold(variables(error), [*PRIVATE, *PRIVATE_VALUES])


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


# The methods check the account of a payment.
CHECKED = [one for one in PRIVATE_REQUESTS if one is not PaymentDetails]


@pytest.mark.parametrize("request_class", CHECKED)
def test_arguments(request_class: type[Any]) -> None:
    """A request class that refuses its arguments leaves none of them."""
    valid = PRIVATE_REQUESTS[request_class]
    for field in attrs.fields(request_class):
        if not field.init:
            continue
        with pytest.raises(InvalidArgumentError, match=f"^{field.name}") as info:
            request_class(**{**valid, field.name: f"{valid.get(field.name)}\n"})
        assert_untold([*variables(info.value), *texts_of(info.value)], PRIVATE_VALUES)
    for name in valid:
        wrong = {key: value for key, value in valid.items() if key != name}
        with pytest.raises(TypeError, match="unexpected keyword") as misspelt:
            request_class(**wrong, number=valid[name])
        assert_untold(
            [*variables(misspelt.value), *texts_of(misspelt.value)], PRIVATE_VALUES
        )
    with pytest.raises(TypeError, match="positional") as positional:
        request_class(*valid.values())
    assert_untold(
        [*variables(positional.value), *texts_of(positional.value)], PRIVATE_VALUES
    )


async def test_closed_session(connect: Connect) -> None:
    """A call of a closed session leaves nothing of its request."""
    with Server(ignore) as server:
        async with connect(server) as session:
            pass
        errors = await failures(CALLS.values(), session)
    for error in errors:
        assert isinstance(error, SessionStateError)
        assert_untold(variables(error), [*PRIVATE, *PRIVATE_VALUES])


WRONG: list[Any] = [
    {"value": payers.NUMBER, "cvv": CVV, "accountNumber": CARD_NUMBER},
    [CARD_NUMBER, DETAILS],
    f"{CARD_NUMBER}\n",
    {"card": CARD_NUMBER, "unencodable": object()},
    PaymentDetails(account_number=f"{CARD_NUMBER}\n"),
]
"""Private values in place of an argument; none of the arguments takes all of them."""


@pytest.mark.parametrize("name", ARGUMENTS)
async def test_wrong_arguments(name: str, connect: Connect) -> None:
    """A method that refuses its arguments leaves none of them."""
    valid = ARGUMENTS[name]
    changes: list[dict[str, Any]] = [
        *({one: wrong} for one in [*valid, "trace_id", "timeout"] for wrong in WRONG),
        {"cvv": CVV},
        {"timeout": -1, "data": {"cvv": CVV}},
    ]
    with Server(answer_in_full) as server:
        async with connect(server) as session:
            calls = [partial(perform, name, valid | change) for change in changes]
            calls += [
                partial(perform, name, {"wrong": CARD_NUMBER, **dict(left)})
                for left in combinations(valid.items(), max(0, len(valid) - 1))
            ]
            errors = [await failure(partial(call, session)) for call in calls]
    refused = [error for error in errors if error]
    # These may be any JSON object.
    objects = {"body", "metadata", "query"} & valid.keys()
    assert len(errors) - len(refused) == len(objects)
    for error in refused:
        assert isinstance(error, (InvalidArgumentError, TypeError))
        assert_untold([*variables(error), *texts_of(error)], PRIVATE_VALUES)
    # What was passed on by position is in no message either.
    positional = await failure(lambda: method_of(name, session)(*[CARD_NUMBER] * 9))
    assert isinstance(positional, TypeError)
    assert_untold([*variables(positional), *texts_of(positional)], PRIVATE_VALUES)


async def test_own_frames(connect: Connect) -> None:
    """An exception of a middleware keeps the frames from the pipeline to there."""

    async def fail(request: httpx.Request, call_next: Handler) -> httpx.Response:
        raise ZeroDivisionError

    with Server(ignore) as server:
        async with connect(server, middleware=[fail]) as session:
            errors = await failures(CALLS.values(), session)
    for error in errors:
        assert isinstance(error, ZeroDivisionError)
        names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        assert names[-1] == "fail"
        assert names.index("failure") < names.index("exchange") < names.index("fail")
        assert_untold(variables(error), [*PRIVATE, *PRIVATE_VALUES])
