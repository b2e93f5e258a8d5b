"""Fault 16: invalid header values, and http URLs outside the loopback interface."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httpx
import pytest

from plastiq_async import (
    ConfigurationError,
    EndUser,
    HookError,
    InvalidArgumentError,
    PlastiqSession,
    trace_context,
)
from plastiq_async.middleware import Handler
from tests.support.private_texts import texts_of
from tests.support.sessions import PAYER, TOKEN
from tests.support.socket_server import Server
from tests.support.steps import answer

VALUES = {
    "CRLF": "s3cr3t\r\nX-Smuggled: 1",
    "CR": "s3cr3t\r",
    "LF": "\ns3cr3t",
    "NUL": "s3cr3t\0",
    "tab": "s3\tcr3t",
    "DEL": "s3cr3t\x7f",
    "Latin-1": "s3cr3t\N{LATIN SMALL LETTER E WITH ACUTE}",
    "emoji": "s3cr3t\N{PILE OF POO}",
    "line separator": "s3cr3t\N{LINE SEPARATOR}",
    "blank before": " s3cr3t",
    "blank after": "s3cr3t ",
    "blank": " ",
    "empty": "",
}

Call = Callable[..., Awaitable[object]]
"""A function that makes a call with the tested value and the session options."""


async def create(token: Any, *, options: dict[str, Any], **arguments: Any) -> None:
    """Make one call."""
    async with PlastiqSession(token, **options) as session:
        await session.client_secrets.create(PAYER, **arguments)


async def with_variable(value: str, **kwargs: Any) -> None:
    """Make a call with the token from the environment variable."""
    with pytest.MonkeyPatch.context() as patch:
        # A real environment variable cannot contain NUL.
        patch.setattr(os, "environ", {"PLASTIQ_ACCESS_TOKEN": value})
        await create(None, **kwargs)


async def with_provider(value: str, **kwargs: Any) -> None:
    """Make a call with the token from a token provider."""

    async def provide() -> str:
        return value

    await create(provide, **kwargs)


async def with_end_user(name: str, value: str, **kwargs: Any) -> None:
    """Make a call with the value as an attribute of the end user."""
    await create(TOKEN, end_user=EndUser(**{name: value}), **kwargs)


async def with_extra_header(
    value: str, *, options: dict[str, Any], as_name: bool = False
) -> None:
    """Make a call with an extra header of this value or name."""
    headers = {value: "x"} if as_name else {"X-Tenant": value}
    await create(TOKEN, options=options, extra_headers=headers)


async def with_trace_id(value: str, **kwargs: Any) -> None:
    """Make a call with the value as its trace ID."""
    await create(TOKEN, trace_id=value, **kwargs)


async def with_trace_context(value: str, **kwargs: Any) -> None:
    """Make a call with the value as the trace ID of the trace context."""
    with trace_context(value):
        await create(TOKEN, **kwargs)


async def with_middleware(
    value: str, *, options: dict[str, Any], as_name: bool = False
) -> None:
    """Make a call with middleware that adds a header of this value or name."""

    async def tenant(request: httpx.Request, call_next: Handler) -> httpx.Response:
        request.headers[value if as_name else "X-Tenant"] = "x" if as_name else value
        return await call_next(request)

    await create(TOKEN, options={**options, "middleware": [tenant]})


CALLS = [
    pytest.param(create, ConfigurationError, id="access_token"),
    pytest.param(with_variable, ConfigurationError, id="PLASTIQ_ACCESS_TOKEN"),
    pytest.param(with_provider, HookError, id="provider"),
    *(
        pytest.param(partial(with_end_user, name), InvalidArgumentError, id=name)
        for name in ("user_agent", "ip", "device_id")
    ),
    pytest.param(with_extra_header, InvalidArgumentError, id="extra_headers"),
    pytest.param(
        partial(with_extra_header, as_name=True), InvalidArgumentError, id="extra name"
    ),
    pytest.param(with_trace_id, InvalidArgumentError, id="trace_id"),
    pytest.param(with_trace_context, InvalidArgumentError, id="trace_context"),
    pytest.param(with_middleware, InvalidArgumentError, id="middleware"),
    pytest.param(
        partial(with_middleware, as_name=True), InvalidArgumentError, id="name"
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize(("call", "expected"), CALLS)
async def test_header(
    call: Call, expected: type[Exception], value: str, transport: str
) -> None:
    """Fault 16: an invalid header value is refused unsent, and not repeated."""
    with Server(answer()) as server:
        options = {"base_url": server.base_url, "transport": transport, "verify": False}
        with pytest.raises(expected) as info:
            await call(value, options=options)
    assert server.connections == []
    assert type(info.value) is expected
    for text in texts_of(info.value):
        assert "s3cr3t" not in text
        assert "s3\tcr3t" not in text


@pytest.mark.slow
@pytest.mark.parametrize(
    "url",
    [
        "http://connect.plastiq.com/api",
        "HTTP://connect.plastiq.com/api",
        "http://192.0.2.1",
        "http://0.0.0.0",
        "http://[2001:db8::1]",
        "http://[::ffff:192.0.2.1]",
        "http://3221225985",
        "http://localhost.s3cr3t.example",
        "http://127.0.0.1.s3cr3t.example",
        "http://127.0.0.1%2es3cr3t.example",
        "http://127.0.0.1@s3cr3t.example",
        "http://s3cr3t.example\\@127.0.0.1",
        "http://s3cr3t.example#@127.0.0.1",
        "http://s3cr3t.example\t@127.0.0.1",
    ],
)
@pytest.mark.parametrize("setting", ["base_url", "PLASTIQ_BASE_URL"])
async def test_http_beyond_loopback(
    setting: str, url: str, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 16: an http URL of another host is refused, even with a local proxy."""
    with Server(answer()) as proxy:
        options = {"transport": transport, "verify": False, "proxy": proxy.url}
        if setting == "base_url":
            options["base_url"] = url
        else:
            monkeypatch.setenv(setting, url)
        with pytest.raises(ConfigurationError, match=rf"^{setting} must ") as info:
            await create(TOKEN, options=options)
    assert proxy.connections == []
    for text in texts_of(info.value):
        assert "s3cr3t" not in text
