"""Fault 16: what no header can hold, and http beyond this machine."""

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
    InvalidArgumentError,
    PlastiqSession,
    trace_context,
)
from plastiq_async.middleware import Handler
from tests.faults.texts import texts_of
from tests.helpers import PAYER, TOKEN
from tests.servers import Server
from tests.steps import answer

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
"""Makes a call with the value as its argument, and the options for the session."""


async def create(token: Any, *, options: dict[str, Any], **arguments: Any) -> None:
    """Make one call."""
    async with PlastiqSession(token, **options) as session:
        await session.client_secrets.create(PAYER, **arguments)


async def with_variable(value: str, **kwargs: Any) -> None:
    """Let the session find its token."""
    with pytest.MonkeyPatch.context() as patch:
        # No real environment can hold a NUL.
        patch.setattr(os, "environ", {"PLASTIQ_ACCESS_TOKEN": value})
        await create(None, **kwargs)


async def with_provider(value: str, **kwargs: Any) -> None:
    """Let the session ask for its token."""

    async def provide() -> str:
        return value

    await create(provide, **kwargs)


async def with_end_user(name: str, value: str, **kwargs: Any) -> None:
    """Say something about the end user."""
    await create(TOKEN, end_user=EndUser(**{name: value}), **kwargs)


async def with_trace_id(value: str, **kwargs: Any) -> None:
    """Choose the trace ID of the call."""
    await create(TOKEN, trace_id=value, **kwargs)


async def with_trace_context(value: str, **kwargs: Any) -> None:
    """Choose the trace ID of whatever is called."""
    with trace_context(value):
        await create(TOKEN, **kwargs)


async def with_middleware(
    value: str, *, options: dict[str, Any], as_name: bool = False
) -> None:
    """Add a header to the request, with this value or by this name."""

    async def tenant(request: httpx.Request, call_next: Handler) -> httpx.Response:
        request.headers[value if as_name else "X-Tenant"] = "x" if as_name else value
        return await call_next(request)

    await create(TOKEN, options={**options, "middleware": [tenant]})


CALLS = [
    pytest.param(create, ConfigurationError, id="access_token"),
    pytest.param(with_variable, ConfigurationError, id="PLASTIQ_ACCESS_TOKEN"),
    pytest.param(with_provider, ConfigurationError, id="provider"),
    *(
        pytest.param(partial(with_end_user, name), InvalidArgumentError, id=name)
        for name in ("user_agent", "ip", "device_id")
    ),
    pytest.param(with_trace_id, InvalidArgumentError, id="trace_id"),
    pytest.param(with_trace_context, InvalidArgumentError, id="trace_context"),
    pytest.param(with_middleware, InvalidArgumentError, id="middleware"),
    pytest.param(
        partial(with_middleware, as_name=True), InvalidArgumentError, id="name"
    ),
]


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize(("call", "expected"), CALLS)
async def test_header(
    call: Call, expected: type[Exception], value: str, transport: str
) -> None:
    """Fault 16: what no header can hold is refused unsent, and not repeated."""
    with Server(answer()) as server:
        options = {"base_url": server.base_url, "transport": transport, "verify": False}
        with pytest.raises(expected) as info:
            await call(value, options=options)
    assert server.connections == []
    assert type(info.value) is expected
    for text in texts_of(info.value):
        assert "s3cr3t" not in text
        assert "s3\tcr3t" not in text


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
    """Fault 16: no token goes out in the clear, not even to a proxy on this machine."""
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
