"""Headers that a caller adds to one call."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import httpx
import pytest

from plastiq_async import (
    BadRequestError,
    InternalServerError,
    InvalidArgumentError,
    PlastiqSession,
)
from plastiq_async._extra_headers import check_extra_headers
from plastiq_async.middleware import Handler
from plastiq_async.testing import FakePlastiq
from tests.support.errors import error_of, frames_of
from tests.support.private_texts import assert_untold, texts_of
from tests.support.sessions import PAYER, fake_session
from tests.support.transports import Transport

KEY = "k3y-of-the-gateway"


class Text(str, enum.Enum):  # noqa: UP042 -- StrEnum's str() is the value
    """Strings whose `str()` differs from their value."""

    NAME = "API-Key"
    VALUE = KEY


@pytest.mark.parametrize(
    "headers",
    [
        {"API-Key": KEY},
        MappingProxyType({"API-Key": KEY}),
        {Text.NAME: Text.VALUE},
    ],
)
def test_headers(headers: Mapping[str, str]) -> None:
    """Names and values become bytes, in any mapping."""
    assert check_extra_headers(headers) == ((b"API-Key", KEY.encode()),)
    assert check_extra_headers({}) == ()


RESERVED = [
    *("Authorization", "Trace-Id", "Idempotency-Key", "Accept", "Accept-Encoding"),
    *("Content-Type", "User-Agent", "End-User-Ip", "End-User-Device-Id", "Host"),
    *("Content-Length", "Transfer-Encoding", "Connection", "Content-Encoding"),
    *("TE", "Upgrade"),  # codespell:ignore te
    *("Expect", "HTTP2-Settings", "Keep-Alive", "Proxy-Authorization", "Trailer"),
    "Proxy-Connection",
]


@pytest.mark.parametrize("name", RESERVED)
@pytest.mark.parametrize("spell", [str, str.lower, str.upper])
def test_reserved_name(name: str, spell: Any) -> None:
    """A header that the session controls is refused by name, in any spelling."""
    expected = f"must not have {name.lower()}, which the session controls"
    for spelt in (spell(name), spell(name.replace("-", "_"))):
        with pytest.raises(InvalidArgumentError, match=expected) as info:
            check_extra_headers({"X-Fine": "1", spelt: KEY})
        assert KEY not in str(info.value)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("API-Key", KEY)], "must be a mapping"),
        (KEY, "must be a mapping"),
        ({1: KEY}, "must be a token"),
        ({b"API-Key": KEY}, "must be a token"),
        ({"": KEY}, "must be a token"),
        ({"API Key": KEY}, "must be a token"),
        ({"API-Key:": KEY}, "must be a token"),
        ({"API-Key\r\nHost": KEY}, "must be a token"),
        ({"API-Key": f"{KEY}\r\nHost: a"}, "^api-key in extra_headers must be"),
        ({"API-Key": f" {KEY}"}, "^api-key in extra_headers must be"),
        ({"API-Key": ""}, "^api-key in extra_headers must be"),
        ({"API-Key": KEY.encode()}, "^api-key in extra_headers must be"),
        ({"API-Key": None}, "^api-key in extra_headers must be"),
        ({"API-Key": KEY, "api_key": KEY}, "must have api-key only once"),
    ],
)
async def test_refused(headers: Any, expected: str, fake_plastiq: FakePlastiq) -> None:
    """What cannot be sent as it is, is refused unsent, and its value is not shown."""
    session = fake_session(fake_plastiq)
    calls: list[Any] = [
        lambda: session.client_secrets.create(PAYER, extra_headers=headers),
        lambda: session.payments.list(PAYER, extra_headers=headers),
        lambda: session.request("GET", "/categories", extra_headers=headers),
    ]
    for call in calls:
        with pytest.raises(InvalidArgumentError, match=expected) as info:
            await call()
        assert_untold([*frames_of(info.value), *texts_of(info.value)], [KEY])
    assert fake_plastiq.requests == []


async def test_sent(fake_plastiq: FakePlastiq) -> None:
    """They are sent with the call that names them, each of its pages, and no other."""
    session = fake_session(fake_plastiq)
    await session.client_secrets.create(PAYER, extra_headers={"API-Key": KEY})
    await session.client_secrets.create(PAYER, extra_headers=None)
    headers = {"API-Key": KEY, "X-Tenant": "blue"}
    await session.payments.list(PAYER, extra_headers=headers).collect(limit=1)
    first, second, third = (request.headers for request in fake_plastiq.requests)
    assert first["api-key"] == KEY
    assert "api-key" not in second
    assert (third["api-key"], third["x-tenant"]) == (KEY, "blue")


@pytest.mark.usefixtures("quick_retries")
async def test_retried(fake_plastiq: FakePlastiq) -> None:
    """Every attempt carries them, also those of a payment under one key."""
    session = fake_session(fake_plastiq)
    fake_plastiq.drop_next(times=2, on="payments.create")
    await error_of(
        session.payments.create(PAYER, PAYER, extra_headers={"API-Key": KEY})
    )
    sent = {
        (request.headers["api-key"], request.headers["idempotency-key"], request.body)
        for request in fake_plastiq.requests
    }
    assert len(fake_plastiq.requests) == 3
    assert len(sent) == 1


async def test_middleware(fake_plastiq: FakePlastiq) -> None:
    """A middleware sees them, and its own value for a header wins."""

    async def replace(request: httpx.Request, call_next: Handler) -> httpx.Response:
        assert request.headers["API-Key"] == KEY
        request.headers["api-key"] = "another"
        return await call_next(request)

    session = fake_session(fake_plastiq, middleware=[replace])
    await session.client_secrets.create(PAYER, extra_headers={"API-Key": KEY})
    assert fake_plastiq.requests[0].headers["api-key"] == "another"


async def test_quoted() -> None:
    """A value that the server repeats is masked, and a header with it dropped."""

    def refuse(request: httpx.Request) -> httpx.Response:
        key = request.headers["API-Key"]
        return httpx.Response(400, json={"code": "X", "message": f"bad key {key}"})

    def accept(request: httpx.Request) -> httpx.Response:
        headers = {"X-Echo": request.headers["API-Key"], "X-Fine": "1"}
        reasons = [{"message": f"seen {request.headers['API-Key']}"}]
        body = {"id": PAYER, "statusReasons": reasons}
        return httpx.Response(200, json=body, headers=headers)

    transport = Transport(refuse)
    async with PlastiqSession("token", transport=transport) as session:
        headers = {"API-Key": KEY}
        error = await error_of(session.request("GET", "/a", extra_headers=headers))
        assert isinstance(error, BadRequestError)
        assert error.message == "bad key (masked)"
        transport.handle = accept
        method = await session.payment_methods.retrieve(
            PAYER, PAYER, extra_headers=headers
        )
    assert method.status_reasons[0].message == "seen (masked)"
    assert method.response.headers["X-Fine"] == "1"
    assert "X-Echo" not in method.response.headers


async def test_short_values() -> None:
    """A value of less than 8 characters is no secret, so equal headers are kept."""

    def refuse(request: httpx.Request) -> httpx.Response:
        headers = {"Idempotent-Replay": "true", "Retry-After": "61"}
        headers["Trace-Id"] = request.headers["Trace-Id"]
        return httpx.Response(500, json={"message": "true of 61"}, headers=headers)

    transport = Transport(refuse)
    extra = {"X-Expedited": "true", "X-Version": "61", "API-Key": KEY}
    async with PlastiqSession("token", transport=transport) as session:
        call = session.payments.create(PAYER, PAYER, extra_headers=extra)
        error = await error_of(call)
    assert isinstance(error, InternalServerError)
    assert (error.replayed, error.retry_after) == (True, 61)
    assert error.message == "true of 61"
    assert transport.calls == 1
