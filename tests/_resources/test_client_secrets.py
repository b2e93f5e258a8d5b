"""`client_secrets.create`: its request, its result, its errors."""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import UUID

import pytest

from plastiq_async import (
    APIResponseError,
    EndUser,
    InvalidArgumentError,
    __version__,
    trace_context,
)
from plastiq_async.testing import FakePlastiq
from tests.support.sessions import PAYER, TOKEN, fake_session, session_for
from tests.support.socket_server import Server
from tests.support.steps import answer

TRACE_ID = "fe278caa-e01d-4910-b975-5c19c21a6d8e"


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
        (None, {"User-Agent": f"plastiq-async/{__version__}"}),
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
                "User-Agent": f"plastiq-async/{__version__}",
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


async def test_trace_id_of_the_context() -> None:
    """All calls within a `trace_context` carry its trace ID."""
    with Server(answer()) as server, trace_context() as trace_id:
        async with session_for(server) as session:
            secret = await session.client_secrets.create(PAYER)
    assert server.requests[0].header("Trace-Id") == str(trace_id)
    assert secret.trace_id == trace_id


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
