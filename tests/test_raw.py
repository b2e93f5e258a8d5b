"""`session.request`, with the fake in memory."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from http import HTTPMethod
from typing import Any
from unittest.mock import patch
from uuid import UUID

import httpx
import pytest

from plastiq_async import (
    APIConnectionError,
    APIResponseError,
    InternalServerError,
    InvalidArgumentError,
    NotFoundError,
    PlastiqSession,
    RawResponse,
    trace_context,
)
from plastiq_async.middleware import Handler, call_info
from plastiq_async.testing import FakePlastiq
from tests.support.errors import error_of, frames_of
from tests.support.internals import add_intent
from tests.support.models import make_info
from tests.support.payment_methods import CARD_NUMBER, CVV, make_card
from tests.support.private_texts import assert_untold, texts_of
from tests.support.sessions import PAYER, TOKEN, fake_session
from tests.support.transports import Transport

KEY = UUID("5b0c7a3e-93d4-41ee-b9d1-0242ac120002")
V1 = "5b0c7a3e-93d4-11ee-b9d1-0242ac120002"
SECRET = "s3cr3t"
EAST = timezone(timedelta(hours=1))

quickly = pytest.mark.usefixtures("quick_retries")


class Text(str, enum.Enum):  # noqa: UP042 -- StrEnum's str() is the value
    """A string whose `str()` differs from its value."""

    WORD = "a word"


@pytest.fixture
def session(fake_plastiq: FakePlastiq) -> PlastiqSession:
    """Return a session with the fake; it needs no closing."""
    return fake_session(fake_plastiq)


async def sent(
    arguments: Mapping[str, Any], response: httpx.Response | None = None
) -> tuple[httpx.Request, RawResponse]:
    """Return the request of a call that always succeeds, and its result."""
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return response or httpx.Response(200, json={})

    async with PlastiqSession(TOKEN, transport=Transport(handle)) as session:
        result = await session.request(**{"method": "GET", "path": "/a", **arguments})
    (request,) = seen
    return request, result


async def test_each_method(session: PlastiqSession, fake_plastiq: FakePlastiq) -> None:
    """All methods reach their operation, with its query, parameters and body."""
    payer = await session.request(
        "POST", "/payers", body={"contact": {"email": "ada@example.com"}}
    )
    assert isinstance(payer.data, dict)
    at_payer: dict[str, Any] = {
        "path": "/payers/{id}",
        "path_params": {"id": UUID(payer.data["id"])},
    }
    changed = await session.request("PATCH", **at_payer, body={"businessName": "Ada's"})
    assert isinstance(changed.data, dict)
    assert changed.data["businessName"] == "Ada's"
    read = await session.request("GET", **at_payer)
    assert read == changed
    deleted = await session.request("DELETE", **at_payer)
    assert (deleted.data, deleted.response.status) == (None, 204)
    assert isinstance(await error_of(session.request("GET", **at_payer)), NotFoundError)
    page = await session.request(
        "GET", "/payments", query={"payerId": fake_plastiq.payer_id, "limit": 5}
    )
    assert isinstance(page.data, dict)
    assert page.data["data"] == []
    assert [request.operation for request in fake_plastiq.requests] == [
        "payers.create",
        "payers.update",
        "payers.retrieve",
        "payers.delete",
        "payers.retrieve",
        "payments.list",
    ]


async def test_payment(session: PlastiqSession, fake_plastiq: FakePlastiq) -> None:
    """A payment with a key is replayed, and its amounts are exact."""
    body = {
        "paymentIntent": {"id": add_intent(fake_plastiq, amount="100.10")},
        "payer": {"id": fake_plastiq.payer_id},
    }
    first, second = [
        await session.request("POST", "/payments", body=body, idempotency_key=key)
        for key in (KEY, str(KEY))
    ]
    assert isinstance(first.data, dict)
    assert first.data["targetAmount"]["value"] == Decimal("100.10")
    assert second == first
    replays = [one.response.replayed for one in (first, second)]
    assert replays == [False, True]
    assert second.response.idempotency_key == KEY
    assert fake_plastiq.charges == 1


async def test_replay_of_another_call(
    session: PlastiqSession, fake_plastiq: FakePlastiq
) -> None:
    """A replay is delivered only with the call's own trace ID, which can be given."""
    fake_plastiq.replay_first_trace_id = True
    body = {
        "paymentIntent": {"id": add_intent(fake_plastiq)},
        "payer": {"id": fake_plastiq.payer_id},
    }
    pay = partial(session.request, "POST", "/payments", body=body, idempotency_key=KEY)
    first = await pay()
    error = await error_of(pay())
    assert isinstance(error, APIConnectionError)
    assert "another call's trace ID" in str(error)
    assert (error.outcome_unknown, error.next_step) == (True, "same_key")
    again = await pay(trace_id=first.response.trace_id)
    assert (again, again.response.replayed) == (first, True)
    assert fake_plastiq.charges == 1


@pytest.mark.parametrize(
    ("path", "params", "target"),
    [
        ("/a", None, "/api/a"),
        ("/", None, "/api/"),
        ("/a//b/", {}, "/api/a//b/"),
        ("/v2.1/a_b-c~d", None, "/api/v2.1/a_b-c~d"),
        ("/a/{id}", {"id": KEY}, f"/api/a/{KEY}"),
        ("/a/{id}/b/{id}", {"id": 7}, "/api/a/7/b/7"),
        ("/a/{x}{y}", {"x": "../?#%2e", "y": "é"}, "/api/a/..%2F%3F%23%252e%C3%A9"),
        ("/a/.{x}", {"x": "..."}, "/api/a/...."),
        ("/{d}", {"d": date(2026, 1, 2)}, "/api/2026-01-02"),
        ("/{n}", {"n": Decimal("1.10")}, "/api/1.10"),
        ("/a/{w}", {"w": Text.WORD}, "/api/a/a%20word"),
    ],
)
async def test_path(path: str, params: Any, target: str) -> None:
    """The parameters of a path are quoted whole, and nothing leaves the base URL."""
    request, _ = await sent({"path": path, "path_params": params})
    assert request.url.raw_path.decode() == target
    assert request.url.host == "connect.sandbox.plastiq.com"


async def test_query() -> None:
    """Query parameters have the texts that the API uses; None leaves one out."""
    query = {
        "text": "a b&c=d",
        "id": KEY,
        "flag": True,
        "count": 10,
        "amount": Decimal("1E+2"),
        "day": date(2026, 1, 2),
        "at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "word": Text.WORD,
        "none": None,
    }
    request, _ = await sent({"query": query})
    assert request.url.query.decode() == (
        f"text=a%20b%26c%3Dd&id={KEY}&flag=true&count=10&amount=100&day=2026-01-02"
        "&at=2026-01-02T03%3A04%3A05.000Z&word=a%20word"
    )
    request, _ = await sent({"query": {"none": None}})
    assert request.url.raw_path == b"/api/a"


async def test_body() -> None:
    """A body is exact JSON, and a request without one says so as its method does."""
    body = {
        "amount": Decimal("0.10"),
        "none": None,
        "id": KEY,
        "list": [1, True, "é"],
        "metadata": {"ratio": 0.5, "none": None},
    }
    request, _ = await sent({"method": "PATCH", "body": body})
    assert request.content.decode() == (
        f'{{"amount":0.10,"id":"{KEY}","list":[1,true,"é"],'
        '"metadata":{"ratio":0.5,"none":null}}'
    )
    assert request.headers["Content-Type"] == "application/json"
    request, _ = await sent({"method": "POST"})
    assert request.headers["Content-Length"] == "0"
    assert "Content-Type" not in request.headers
    assert "Idempotency-Key" not in request.headers
    for method in ("GET", "DELETE"):
        request, _ = await sent({"method": method})
        assert {"Content-Type", "Content-Length"} & {*request.headers} == set()


async def test_body_is_taken_at_once(
    session: PlastiqSession, fake_plastiq: FakePlastiq
) -> None:
    """A body that changes after the call has begun is sent as it was."""
    body = {"contact": {"email": "ada@example.com"}}

    async def change(request: httpx.Request, call_next: Handler) -> httpx.Response:
        body["contact"]["email"] = "bob@example.com"
        return await call_next(request)

    session = fake_session(fake_plastiq, middleware=[change])
    await session.request("POST", "/payers", body=body)
    assert b"ada@" in fake_plastiq.requests[0].body


@pytest.mark.parametrize(
    ("response", "data"),
    [
        (httpx.Response(200, content=b"[1, 1.10, null]"), [1, Decimal("1.10"), None]),
        (httpx.Response(201, content=b"[]"), []),
        (httpx.Response(200, content=b"0"), 0),
        (httpx.Response(200, content=b"null"), None),
        (httpx.Response(204), None),
        (httpx.Response(200), None),
        (httpx.Response(200, content=b'{"response": 1}'), {"response": 1}),
    ],
)
async def test_data(response: httpx.Response, data: object) -> None:
    """The data are the decoded JSON of any kind, or None without a body."""
    _, result = await sent({}, response)
    assert result.data == data
    assert result.response.status == response.status_code
    assert type(result.data) is type(data)


@pytest.mark.parametrize("content", [b" ", b"<html>", b"NaN", b"\xff", b"[" * 100_000])
async def test_no_json(content: bytes) -> None:
    """A body that is not JSON is an error that does not show it."""
    with pytest.raises(APIResponseError, match="with status 200: the body is not JSON"):
        await sent({}, httpx.Response(200, content=content))


BAD: list[tuple[str, dict[str, Any]]] = [
    ("method", {"method": "PUT"}),
    ("method", {"method": "get"}),
    ("method", {"method": HTTPMethod.GET}),
    ("method", {"method": None}),
    *(
        ("path", {"path": path})
        for path in (
            *("", "a", "//a", "//evil.example/a", "https://evil.example/", "\\a"),
            *("/a?b", "/a#b", "/../a", "/a/..", "/a..b", "/./a", "/a/.", "/a b"),
            *(
                "/%2e%2e/a",
                "/a\r\nHost: b",
                "/a\n",
                "/é",
                "/{a",
                "/a}",
                "/{}",
                "/{a b}",
            ),
            *("/{a}", b"/a", None, 1, Text.WORD),
        )
    ),
    ("path_params", {"path_params": {"a": "b"}}),
    ("path_params", {"path": "/{a}", "path_params": {"b": SECRET}}),
    ("path_params", {"path": "/{a}", "path_params": {"a": 1.5}}),
    ("path_params", {"path": "/{a}", "path_params": {"a": None}}),
    ("path_params", {"path": "/{a}", "path_params": {"a": f"\ud800{SECRET}"}}),
    ("path_params", {"path": "/{a}", "path_params": {"a": [SECRET]}}),
    ("path_params", {"path": "/{a}", "path_params": {"a": Decimal("NaN")}}),
    ("path_params", {"path": "/{a}", "path_params": [("a", SECRET)]}),
    ("path_params", {"path_params": {1: SECRET}}),
    *(
        ("path parameter a", {"path": "/{a}", "path_params": {"a": value}})
        for value in ("", ".", "..")
    ),
    ("query", {"query": SECRET}),
    ("query", {"query": {b"a": SECRET}}),
    ("query", {"query": {"a": SECRET.encode()}}),
    ("query", {"query": {"a": 0.1}}),
    ("query", {"query": {"a": 10**5000}}),
    ("query", {"query": {"a": datetime(2026, 1, 1)}}),  # noqa: DTZ001
    ("query", {"query": {"a": datetime.min.replace(tzinfo=EAST)}}),
    ("query", {"query": {"a": f"\ud800{SECRET}"}}),
    ("query", {"query": {"a": SECRET * 20_000}}),
    ("path", {"path": "/a" * 40_000}),
    ("body", {"body": {}}),
    ("body", {"method": "DELETE", "body": {"a": SECRET}}),
    ("body", {"method": "POST", "body": [SECRET]}),
    ("body", {"method": "POST", "body": make_card()}),
    ("body", {"method": "POST", "body": f'{{"a": "{SECRET}"}}'}),
    ("body", {"method": "POST", "body": {"a": SECRET, "b": 0.1}}),
    ("body", {"method": "POST", "body": {"a": SECRET, "b": object()}}),
    ("body", {"method": "POST", "body": {"a": f"\ud800{SECRET}"}}),
    ("body", {"method": "POST", "body": {"a": SECRET, 1: 2}}),
    ("body: cannot encode set @ $.a b", {"method": "POST", "body": {"a\nb": set()}}),
    ("body", {"method": "POST", "body": {"a": datetime.min.replace(tzinfo=EAST)}}),
    ("idempotency_key", {"idempotency_key": V1}),
    ("idempotency_key", {"idempotency_key": ""}),
    ("idempotency_key", {"idempotency_key": SECRET}),
    ("retry", {"retry": "never"}),
    ("retry", {"retry": None}),
    ("retry", {"retry": True}),
    ("timeout", {"timeout": -1}),
    ("trace_id", {"trace_id": SECRET}),
]


@pytest.mark.parametrize(("name", "arguments"), BAD)
async def test_refused(
    name: str,
    arguments: dict[str, Any],
    session: PlastiqSession,
    fake_plastiq: FakePlastiq,
) -> None:
    """A bad argument is refused by name, unsent and without being shown."""
    error = await error_of(
        session.request(**{"method": "GET", "path": "/a", **arguments})
    )
    assert type(error) is InvalidArgumentError
    assert name in str(error)
    assert fake_plastiq.requests == []
    for text in (*texts_of(error), *frames_of(error)):
        assert SECRET not in text
        assert "4242" not in text


async def test_unknown_option(session: PlastiqSession) -> None:
    """An unknown option is a TypeError, as in every method."""
    with pytest.raises(TypeError, match=r"request\(\) got .* 'headers'"):
        await session.request("GET", "/a", headers={})  # type: ignore[call-arg]  # so


@quickly
@pytest.mark.parametrize(
    ("arguments", "attempts", "step"),
    [
        ({"retry": "always"}, 3, "again"),
        ({"retry": "if_unsent"}, 1, "reconcile"),
        ({}, 1, "reconcile"),
        ({"idempotency_key": KEY}, 3, "same_key"),
        ({"idempotency_key": KEY, "retry": "always"}, 3, "same_key"),
    ],
)
async def test_retry_rule(
    arguments: dict[str, Any],
    attempts: int,
    step: str,
    session: PlastiqSession,
    fake_plastiq: FakePlastiq,
) -> None:
    """What may be sent again is what the caller says, or what carries a key."""
    for fault, expected in (
        ("drop", APIConnectionError),
        ("fail", InternalServerError),
    ):
        fake_plastiq.reset()
        if fault == "drop":
            fake_plastiq.drop_next(times=9, after_processing=True)
        else:
            fake_plastiq.fail_next(503, times=9, after_processing=True)
        error = await error_of(session.request("POST", "/payments", **arguments))
        assert isinstance(error, expected)
        assert (error.attempts, error.next_step) == (attempts, step)
        assert (error.method, error.path) == ("POST", "/payments")
        assert error.idempotency_key == arguments.get("idempotency_key")
        requests = fake_plastiq.requests
        assert len(requests) == attempts
        keys = {request.headers.get("idempotency-key") for request in requests}
        assert keys == {arguments.get("idempotency_key") and str(KEY)}
        assert len({request.trace_id for request in requests}) == 1


@quickly
async def test_deleted_before(
    session: PlastiqSession, fake_plastiq: FakePlastiq
) -> None:
    """A 404 after an own unanswered DELETE is a success, without the error's data."""
    fake_plastiq.drop_next(after_processing=True)
    result = await session.request(
        "DELETE", "/payers/{id}", path_params={"id": PAYER}, retry="always"
    )
    assert (result.data, result.response.status) == (None, 404)
    assert result.response.attempts == 2


async def test_options(fake_plastiq: FakePlastiq) -> None:
    """A view and the options of a call apply, and middleware knows its template."""
    seen: list[tuple[str, str, str]] = []

    async def observe(request: httpx.Request, call_next: Handler) -> httpx.Response:
        info = call_info(request)
        seen.append((info.operation, info.method, info.path))
        return await call_next(request)

    session = fake_session(fake_plastiq, middleware=[observe])
    view = session.with_options(max_retries=0, timeout=7)
    fake_plastiq.fail_next(503)
    get: dict[str, Any] = {
        "method": "GET",
        "path": "/payers/{id}",
        "path_params": {"id": PAYER},
        "retry": "always",
    }
    assert (await error_of(view.request(**get))).attempts == 1
    with trace_context(KEY):
        result = await view.request(**get)
    assert result.response.trace_id == KEY
    assert (await view.request(**get, trace_id=str(KEY))).response.trace_id == KEY
    assert seen == [("request", "GET", "/payers/{id}")] * 3


async def test_confidential(
    session: PlastiqSession,
    fake_plastiq: FakePlastiq,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Logs have the template and no ID, and secrets in classes are masked."""
    caplog.set_level("DEBUG")
    await session.request("GET", "/payers/{id}", path_params={"id": PAYER})
    assert "GET /payers/{id}" in caplog.text
    assert PAYER not in caplog.text

    def quote(request: httpx.Request) -> httpx.Response:
        return httpx.Response(400, json={"message": request.content.decode()})

    async with PlastiqSession(TOKEN, transport=Transport(quote)) as refused:
        body = {"data": make_card()}
        error = await error_of(refused.request("POST", "/a", body=body))
    assert "(masked)" in str(error)
    assert_untold([*texts_of(error), *frames_of(error)], [CARD_NUMBER, f'"{CVV}"'])


async def test_stub(session: PlastiqSession) -> None:
    """It can be replaced in tests, with its signature."""
    with patch.object(session, "request", autospec=True) as request:
        stub = request.return_value = RawResponse(data=1, response=make_info())
        assert await session.request("GET", "/a") is stub
        with pytest.raises(TypeError):
            await session.request()  # type: ignore[call-arg]  # so
