"""Every kind of operation against the fake, in memory and over a socket."""

from __future__ import annotations

import json
import logging
import re
import ssl
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import anyio
import attrs
import httpx
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plastiq_async import (
    APIConnectionError,
    APIResponseError,
    BadRequestError,
    ConflictError,
    EndUser,
    InternalServerError,
    InvalidArgumentError,
    NotFoundError,
    PlastiqError,
    RateLimitError,
)
from plastiq_async.middleware import CallInfo, Handler, call_info
from plastiq_async.testing import RecordedRequest
from plastiq_async.testing._transport import FakeTransport
from tests._resources.widgets import SessionWithWidgets, Widget, create_operation
from tests.support.errors import error_of
from tests.support.socket_server import Server
from tests.support.steps import answer, drop
from tests.support.timing import eventually
from tests.support.uvicorn_server import in_uvicorn
from tests.support.wirings import WIRINGS
from tests.testing.widgets import FakeWithWidgets

Connect: TypeAlias = Callable[..., SessionWithWidgets]

MEMORY = [("asyncio", "memory"), ("trio", "memory")]
UUIDS = re.compile(r"[0-9a-f]{8}-")
# Over plain http none is used; to make one with all the usual CAs takes a while.
ANY_CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

in_memory = pytest.mark.parametrize("wiring", MEMORY, ids="-".join, indirect=True)
SOCKETS = [pytest.param(wiring, marks=pytest.mark.slow) for wiring in WIRINGS]
on_sockets = pytest.mark.parametrize("wiring", SOCKETS, ids="-".join, indirect=True)
quickly = pytest.mark.usefixtures("quick_retries")


class Spoiler:
    """An ASGI application that processes requests, and then fails like a gateway.

    Attributes:
        statuses: What to send instead of the next responses.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.statuses: list[int] = []
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan."""
        spoil = scope["type"] == "http" and self.statuses
        status = self.statuses.pop() if spoil else None

        async def send_spoiled(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [
                    pair
                    for pair in message["headers"]
                    if pair[0] != b"idempotent-replay"
                ]
                await send({**message, "status": status, "headers": headers})
            else:
                await send(message)

        await self._app(scope, receive, send_spoiled if status else send)


@pytest.fixture(params=[*MEMORY, *SOCKETS], ids="-".join)
def wiring(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Return an event loop, and "memory" or a transport that works on it."""
    loop, transport = request.param
    return loop, transport


@pytest.fixture
def anyio_backend(wiring: tuple[str, str]) -> str:
    """Run the test on this event loop."""
    return wiring[0]


@pytest.fixture
def fake() -> FakeWithWidgets:
    """Return a fake with widgets."""
    return FakeWithWidgets()


@pytest.fixture
def spoiler(fake: FakeWithWidgets) -> Spoiler:
    """Return the application between the fake and the session."""
    return Spoiler(fake.app)


@pytest.fixture
def connect(
    fake: FakeWithWidgets, spoiler: Spoiler, wiring: tuple[str, str]
) -> Iterator[Connect]:
    """Return a function that makes sessions with the fake."""
    make: Connect = partial(SessionWithWidgets, fake.access_token)
    if wiring[1] == "memory":
        yield partial(make, base_url=fake.base_url, transport=FakeTransport(spoiler))
        return
    make = partial(make, transport=wiring[1], verify=ANY_CONTEXT)
    with in_uvicorn(spoiler) as url:
        yield partial(make, base_url=f"{url}/api")


def the_request(fake: FakeWithWidgets) -> RecordedRequest:
    """Return the only request that the fake got."""
    (request,) = fake.requests
    return request


def keys_of(fake: FakeWithWidgets) -> list[UUID]:
    """Return the idempotency keys that the fake got."""
    return [UUID(request.headers["idempotency-key"]) for request in fake.requests]


def operations_of(fake: FakeWithWidgets) -> list[str | None]:
    """Return the operations that the fake was asked for."""
    return [request.operation for request in fake.requests]


# --- success ---


async def test_create(fake: FakeWithWidgets, connect: Connect) -> None:
    """A creation carries a new key, and its result says which."""
    async with connect() as session:
        widget = await session.widgets.create(
            "Sprocket", payer_id=fake.payer_id, amount=Decimal("100.10")
        )
    request = the_request(fake)
    assert (request.operation, request.path) == ("widgets.create", "/api/widgets")
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body, parse_float=Decimal) == {
        "payer": {"id": str(fake.payer_id)},
        "name": "Sprocket",
        "amount": Decimal("100.10"),
    }
    assert b"100.10" in request.body
    assert keys_of(fake) == [widget.idempotency_key]
    assert widget.idempotency_key
    assert widget.idempotency_key.version == 4
    assert set(fake.widgets.by_id) == {widget.id}
    assert (widget.payer_id, widget.name) == (fake.payer_id, "Sprocket")
    assert type(widget.amount) is Decimal
    assert widget.amount == Decimal("100.10")
    assert widget.created_at.tzinfo is UTC
    assert abs(widget.created_at - datetime.now(UTC)).total_seconds() < 60
    assert (widget.status, widget.note, widget.retired_at) == ("ACTIVE", None, None)
    response = widget.response
    assert (response.status, response.attempts) == (201, 1)
    assert response.trace_id == request.trace_id
    assert "response" not in repr(widget)


async def test_given_key(fake: FakeWithWidgets, connect: Connect) -> None:
    """The caller's own key is sent, and a second call with it creates nothing."""
    key = uuid4()
    async with connect() as session:
        create = partial(session.widgets.create, "A", payer_id=fake.payer_id)
        first = await create(idempotency_key=str(key))
        second = await create(idempotency_key=key)
        third = await create()
    assert keys_of(fake) == [key, key, third.idempotency_key]
    assert first == second != third
    assert "Idempotent-Replay" not in first.response.headers
    assert second.response.headers["Idempotent-Replay"] == "true"
    assert fake.widgets.created == 2


async def test_retrieve(fake: FakeWithWidgets, connect: Connect) -> None:
    """A read names its resource in the path, and has no body."""
    made = fake.add_widget("Sprocket")
    async with connect() as session:
        widget = await session.widgets.retrieve(str(made.id), str(fake.payer_id))
    request = the_request(fake)
    assert (request.operation, request.method) == ("widgets.retrieve", "GET")
    assert request.path == f"/api/widgets/{made.id}"
    assert request.query == {"payerId": (str(fake.payer_id),)}
    assert request.body == b""
    assert not {"content-type", "content-length"} & request.headers.keys()
    assert "idempotency-key" not in request.headers
    assert (widget.id, widget.name) == (made.id, "Sprocket")
    assert widget.amount == made.amount
    assert type(widget.amount) is Decimal
    assert widget.idempotency_key is None


async def test_update(fake: FakeWithWidgets, connect: Connect) -> None:
    """An update sends what is to change and nothing else."""
    made = fake.add_widget("Sprocket")
    async with connect() as session:
        widget = await session.widgets.update(made.id, amount=Decimal("0.10"))
    request = the_request(fake)
    assert (request.operation, request.method) == ("widgets.update", "PATCH")
    assert request.body == b'{"amount":0.10}'
    assert "idempotency-key" not in request.headers
    assert (widget.name, widget.amount) == ("Sprocket", Decimal("0.1"))


async def test_delete(fake: FakeWithWidgets, connect: Connect) -> None:
    """A deletion has neither a body nor a result."""
    made = fake.add_widget()
    async with connect() as session:
        result: object = await session.widgets.delete(made.id)  # type: ignore[func-returns-value]
    request = the_request(fake)
    assert result is None
    assert (request.operation, request.method) == ("widgets.delete", "DELETE")
    assert request.path == f"/api/widgets/{made.id}"
    assert request.body == b""
    assert not {"content-type", "content-length"} & request.headers.keys()
    assert not fake.widgets.by_id


async def test_list(fake: FakeWithWidgets, connect: Connect) -> None:
    """A listing sends its filter and its place as the query."""
    made = [fake.add_widget(str(number)) for number in range(3)]
    async with connect() as session:
        page = await session.widgets.list(fake.payer_id, limit=2, offset=1)
        every = [widget.id async for widget in session.widgets.list(limit=2)]
    query = {"payerId": (str(fake.payer_id),), "offset": ("1",), "limit": ("2",)}
    request = fake.requests[0]
    assert (request.operation, request.path) == ("widgets.list", "/api/widgets")
    assert request.query == query
    assert [(type(widget), widget.id) for widget in page.data] == [
        (Widget, made[1].id),
        (Widget, made[2].id),
    ]
    assert all(widget.response is page.response for widget in page.data)
    assert every == [widget.id for widget in made]


# --- what else can be in a response ---


def garble_widget(fake: FakeWithWidgets, **changes: object) -> None:
    """Let the next request get a widget with some of its members changed."""
    body = {**fake.add_widget().to_json(), **changes}
    fake.garble_next(json.dumps(body).encode())


@in_memory
async def test_new_values(fake: FakeWithWidgets, connect: Connect) -> None:
    """A status and a field that the API adds later are no failure."""
    garble_widget(
        fake, status="SHINY", colour="red", note="x", retiredAt="2026-01-02T03:04:05Z"
    )
    async with connect() as session:
        widget = await session.widgets.retrieve(uuid4(), fake.payer_id)
    assert (widget.status, widget.note) == ("SHINY", "x")
    assert widget.retired_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@in_memory
@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"amount": "1.00"}, "$.amount"),
        ({"id": "s3cr3t"}, "$.id"),
        ({"createdAt": "yesterday"}, "$.createdAt"),
        ({"payer": {}}, "$.payer.id"),
        ({"status": 7}, "$.status"),
    ],
)
async def test_invalid_result(
    changes: dict[str, object], path: str, fake: FakeWithWidgets, connect: Connect
) -> None:
    """An error about the body says where, and what to do about it."""
    async with connect() as session:
        garble_widget(fake, **changes)
        read = await error_of(session.widgets.retrieve(uuid4(), fake.payer_id))
        garble_widget(fake, **changes)
        created = await error_of(session.widgets.create("A", payer_id=fake.payer_id))
        garble_widget(fake, **changes)
        updated = await error_of(session.widgets.update(uuid4(), name="A"))
    for error in (read, created, updated):
        assert isinstance(error, APIResponseError)
        assert f"@ {path} [" in str(error)
        assert "s3cr3t" not in str(error)
        assert error.attempts == 1
    steps = [(error.next_step, error.outcome_unknown) for error in (read, created)]
    assert steps == [("again", False), ("same_key", True)]
    assert (updated.next_step, updated.outcome_unknown) == ("reconcile", True)
    assert len(fake.requests) == 3


# --- errors ---


def calls_of(session: SessionWithWidgets) -> dict[str, Callable[[], Awaitable[object]]]:
    """Return a call of each operation; the one with a key is the first."""
    widgets, some_id = session.widgets, uuid4()
    return {
        "POST /widgets": partial(widgets.create, "A", payer_id=some_id),
        "GET /widgets/{id}": partial(widgets.retrieve, some_id, some_id),
        "PATCH /widgets/{id}": partial(widgets.update, some_id, name="A"),
        "DELETE /widgets/{id}": partial(widgets.delete, some_id),
        "GET /widgets": lambda: widgets.list(some_id),
    }


async def test_error_of_each_operation(
    fake: FakeWithWidgets, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """Errors and our log show the path template, and no ID."""
    caplog.set_level(logging.DEBUG)
    fake.fail_next(403, times=5)
    async with connect() as session:
        errors = {
            line: await error_of(call()) for line, call in calls_of(session).items()
        }
    for line, error in errors.items():
        assert f"{error.method} {error.path}" == line
        resume = ", resume from offset 0" if line == "GET /widgets" else ""
        facts = f"{line}, 1 attempt, trace ID {error.trace_id}{resume}"
        assert str(error).endswith(f"[{facts}]")
        assert len(UUIDS.findall(str(error))) == 1
        assert (error.next_step, error.outcome_unknown) == ("fix", False)
    keys = [error.idempotency_key for error in errors.values()]
    assert keys == [UUID(fake.requests[0].headers["idempotency-key"]), *[None] * 4]
    lines = [
        record.getMessage()
        for record in caplog.records
        if record.name == "plastiq_async" and record.levelno == logging.DEBUG
    ]
    assert len(lines) == 5
    for line, text in zip(errors, lines, strict=True):
        assert text.startswith(f"{line} -> 403 attempt=1 ")
        assert len(UUIDS.findall(text)) == 1


@quickly
async def test_not_found(fake: FakeWithWidgets, connect: Connect) -> None:
    """A 404 to the first attempt is an error, even of a deletion."""
    async with connect() as session:
        read = await error_of(session.widgets.retrieve(uuid4(), fake.payer_id))
        deleted = await error_of(session.widgets.delete(uuid4()))
    for error in (read, deleted):
        assert isinstance(error, NotFoundError)
        assert (error.code, error.attempts) == ("NOT_FOUND_ERROR", 1)
        assert (error.next_step, error.outcome_unknown) == ("fix", False)


async def test_refused_creation(fake: FakeWithWidgets, connect: Connect) -> None:
    """A refusal is stored under the key, and comes again as a replay."""
    async with connect() as session:
        create = partial(
            session.widgets.create, "", payer_id=fake.payer_id, idempotency_key=uuid4()
        )
        first, second = await error_of(create()), await error_of(create())
    for error, replayed in ((first, False), (second, True)):
        assert isinstance(error, BadRequestError)
        assert error.details == ("name must be a non-empty string",)
        assert (error.next_step, error.outcome_unknown) == ("reconcile", False)
        assert error.replayed is replayed
    assert first.idempotency_key == second.idempotency_key


@in_memory
async def test_invalid_arguments(fake: FakeWithWidgets, connect: Connect) -> None:
    """An invalid ID, key or option is refused before anything is sent."""
    async with connect() as session:
        widgets = session.widgets
        calls: list[tuple[Callable[[], Awaitable[object]], str]] = [
            (partial(widgets.retrieve, "../x", fake.payer_id), "widget_id"),
            (partial(widgets.retrieve, uuid4(), "?"), "payer_id"),
            (partial(widgets.create, "A", payer_id=""), "payer_id"),
            (
                partial(
                    widgets.create, "A", payer_id=fake.payer_id, idempotency_key="k"
                ),
                "idempotency_key",
            ),
            (partial(widgets.delete, uuid4(), timeout=0), "timeout"),
            (partial(widgets.delete, uuid4(), trace_id="x"), "trace_id"),
        ]
        for call, name in calls:
            with pytest.raises(InvalidArgumentError, match=f"^{name} must be"):
                await call()
    assert fake.requests == []


@in_memory
async def test_unknown_option(fake: FakeWithWidgets, connect: Connect) -> None:
    """An option that no method takes is a TypeError that names the operation."""
    unknown: Any = {"retries": 3}
    async with connect() as session:
        calls: dict[str, Callable[..., Awaitable[object]]] = {
            "create": partial(session.widgets.create, "A", payer_id=uuid4()),
            "retrieve": partial(session.widgets.retrieve, uuid4(), uuid4()),
            "update": partial(session.widgets.update, uuid4()),
            "delete": partial(session.widgets.delete, uuid4()),
        }
        for name, call in calls.items():
            text = (
                rf"^widgets\.{name}\(\) got an unexpected keyword argument 'retries'$"
            )
            with pytest.raises(TypeError, match=text):
                await call(**unknown)
        with pytest.raises(TypeError, match=r"^widgets\.list\(\) got an unexpected"):
            session.widgets.list(**unknown)
    assert fake.requests == []


# --- retries ---


def fail_after_processing(fake: FakeWithWidgets, spoiler: Spoiler) -> None:
    """Let the server process a request, and fail afterwards."""
    spoiler.statuses += [500]


Order: TypeAlias = Callable[[FakeWithWidgets, Spoiler], None]

ORDERS: list[tuple[str, Order]] = [
    ("500 after processing", fail_after_processing),
    ("500", lambda fake, _: fake.fail_next(500)),
    ("503", lambda fake, _: fake.fail_next(503, shape="html")),
    ("429", lambda fake, _: fake.fail_next(429, retry_after=0)),
    ("drop after processing", lambda fake, _: fake.drop_next(after_processing=True)),
    ("drop", lambda fake, _: fake.drop_next()),
]
orders = pytest.mark.parametrize(
    "order", [order for _, order in ORDERS], ids=[name for name, _ in ORDERS]
)


@quickly
@orders
async def test_creation_is_repeated_with_its_key(
    order: Order, fake: FakeWithWidgets, spoiler: Spoiler, connect: Connect
) -> None:
    """After transient errors there is one widget, and every attempt carried its key."""
    order(fake, spoiler)
    order(fake, spoiler)
    async with connect() as session:
        widget = await session.widgets.create("A", payer_id=fake.payer_id)
    assert set(fake.widgets.by_id) == {widget.id}
    assert fake.widgets.created == 1
    assert keys_of(fake) == [widget.idempotency_key] * 3
    assert len({request.trace_id for request in fake.requests}) == 1
    assert len({request.body for request in fake.requests}) == 1
    assert widget.response.attempts == 3


@pytest.mark.slow
async def test_creation_that_does_not_succeed(
    fake: FakeWithWidgets, spoiler: Spoiler, connect: Connect
) -> None:
    """The error holds the key, and another call with it creates nothing twice."""
    errors: list[PlastiqError] = []
    async with connect(max_retries=0) as session:
        create = partial(session.widgets.create, "A", payer_id=fake.payer_id)
        for _, order in ORDERS:
            order(fake, spoiler)
            errors.append(await error_of(create()))
        keys = [error.idempotency_key for error in errors]
        assert keys_of(fake) == keys
        widgets = [await create(idempotency_key=key) for key in keys]
    kinds = [InternalServerError] * 3 + [RateLimitError] + [APIConnectionError] * 2
    assert [isinstance(*pair) for pair in zip(errors, kinds, strict=True)] == [True] * 6
    assert {error.next_step for error in errors} == {"same_key"}
    # A request that was throttled has not been processed.
    unknown = [error.outcome_unknown for error in errors]
    assert unknown == [True, True, True, False, True, True]
    assert len({widget.id for widget in widgets}) == fake.widgets.created == 6


@pytest.mark.slow
async def test_creation_in_flight(fake: FakeWithWidgets, connect: Connect) -> None:
    """A key in flight is polled for the stored response, beyond `max_retries`."""
    fake.delay_next(1.4)
    key, results = uuid4(), list[Widget]()
    async with connect(max_retries=0) as session:

        async def create() -> None:
            results.append(
                await session.widgets.create(
                    "A", payer_id=fake.payer_id, idempotency_key=key
                )
            )

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(create)
            await eventually(lambda: fake.requests)
            tasks.start_soon(create)
    first, second = results
    assert first == second
    assert fake.widgets.created == 1
    # At once, after 0.5 s and after another second.
    assert (first.response.attempts, second.response.attempts) == (1, 3)
    assert second.response.headers["Idempotent-Replay"] == "true"
    assert keys_of(fake) == [key] * 4


@pytest.mark.slow
@in_memory
async def test_creation_in_flight_until_the_deadline(
    fake: FakeWithWidgets, connect: Connect
) -> None:
    """A key that stays in flight ends in its conflict, with an unknown outcome."""
    fake.fail_next(409, times=9)
    async with connect(timeout=1.4) as session:
        error = await error_of(session.widgets.create("A", payer_id=fake.payer_id))
    assert isinstance(error, ConflictError)
    assert (error.next_step, error.outcome_unknown) == ("same_key", True)
    assert error.attempts == len(fake.requests) == 2


@quickly
async def test_update_is_sent_once(
    fake: FakeWithWidgets, spoiler: Spoiler, connect: Connect
) -> None:
    """An update is not repeated once it was sent, and the error says what is known."""
    widget_id = fake.add_widget().id
    errors = []
    async with connect() as session:
        for _, order in ORDERS:
            order(fake, spoiler)
            errors.append(await error_of(session.widgets.update(widget_id, name="B")))
    assert len(fake.requests) == 6
    assert {error.attempts for error in errors} == {1}
    assert {error.idempotency_key for error in errors} == {None}
    assert [(error.next_step, error.outcome_unknown) for error in errors] == [
        ("reconcile", True),
        ("reconcile", True),
        ("reconcile", True),
        ("again", False),
        ("reconcile", True),
        ("reconcile", True),
    ]


@quickly
async def test_creation_without_a_key_is_sent_once(
    fake: FakeWithWidgets, connect: Connect
) -> None:
    """A creation that is neither harmless nor keyed is not repeated."""
    keyed = create_operation("A", fake.payer_id, 1, None)
    operation = attrs.evolve(keyed, idempotency_key=None)
    fake.drop_next(after_processing=True)
    async with connect() as session:
        error = await error_of(session._pipeline.run(operation, {}))
    assert isinstance(error, APIConnectionError)
    assert (error.next_step, error.outcome_unknown) == ("reconcile", True)
    assert "idempotency-key" not in the_request(fake).headers
    assert fake.widgets.created == 1


@in_memory
@quickly
async def test_retried_if_never_sent(fake: FakeWithWidgets, connect: Connect) -> None:
    """A request that was never sent is retried, whatever its operation."""
    widget = fake.add_widget()
    async with connect() as session:
        for call in [
            partial(session.widgets.update, widget.id, name="B"),
            partial(session.widgets.create, "A", payer_id=fake.payer_id),
            partial(session.widgets.retrieve, widget.id, fake.payer_id),
        ]:
            fake.refuse_next(times=2)
            result = await call()
            assert result.response.attempts == 3
        fake.refuse_next(times=3)
        error = await error_of(session.widgets.update(widget.id, name="C"))
        assert (error.next_step, error.outcome_unknown) == ("again", False)
        fake.refuse_next(times=3)
        error = await error_of(session.widgets.create("A", payer_id=fake.payer_id))
        assert (error.next_step, error.outcome_unknown) == ("same_key", False)
    assert operations_of(fake) == [
        "widgets.update",
        "widgets.create",
        "widgets.retrieve",
    ]


@quickly
@orders
async def test_read_is_repeated(
    order: Order, fake: FakeWithWidgets, spoiler: Spoiler, connect: Connect
) -> None:
    """A read is repeated after transient errors."""
    made = fake.add_widget()
    order(fake, spoiler)
    async with connect() as session:
        widget = await session.widgets.retrieve(made.id, fake.payer_id)
        order(fake, spoiler)
        page = await session.widgets.list()
    assert widget.response.attempts == page.response.attempts == 2
    assert page.data == (widget,)


@quickly
@pytest.mark.parametrize(
    "order",
    [fail_after_processing, lambda fake, _: fake.drop_next(after_processing=True)],
    ids=["500", "drop"],
)
async def test_deleted_before(
    order: Order, fake: FakeWithWidgets, spoiler: Spoiler, connect: Connect
) -> None:
    """A 404 counts as deleted if an earlier attempt may have deleted."""
    made = fake.add_widget()
    order(fake, spoiler)
    async with connect() as session:
        await session.widgets.delete(made.id)
        assert operations_of(fake) == ["widgets.delete"] * 2
        error = await error_of(session.widgets.delete(made.id))
    assert isinstance(error, NotFoundError)
    assert error.attempts == 1


@in_memory
@quickly
@pytest.mark.parametrize(
    "order",
    [
        lambda fake: fake.refuse_next(),
        lambda fake: fake.fail_next(429),
    ],
    ids=["refused", "429"],
)
async def test_not_deleted_before(
    order: Callable[[FakeWithWidgets], None], fake: FakeWithWidgets, connect: Connect
) -> None:
    """A 404 is an error if no earlier attempt can have deleted."""
    order(fake)
    async with connect() as session:
        error = await error_of(session.widgets.delete(uuid4()))
    assert isinstance(error, NotFoundError)
    assert (error.attempts, error.outcome_unknown) == (2, False)


@in_memory
@quickly
async def test_fault_of_one_operation(fake: FakeWithWidgets, connect: Connect) -> None:
    """A fault for one operation leaves the others alone."""
    made = fake.add_widget()
    fake.fail_next(503, on="widgets.create")
    async with connect() as session:
        read = await session.widgets.retrieve(made.id, fake.payer_id)
        await session.client_secrets.create(fake.payer_id)
        assert fake.pending_faults == 1
        created = await session.widgets.create("A", payer_id=fake.payer_id)
    assert (read.response.attempts, created.response.attempts) == (1, 2)
    assert fake.pending_faults == 0


# --- on the wire ---


@on_sockets
@quickly
async def test_requests_without_a_body(wiring: tuple[str, str]) -> None:
    """On the wire, too, a request without a body has no header about one."""
    listing = answer(body=b'{"data": []}')
    with Server(listing, answer(204, b"")) as server:
        make: Connect = partial(SessionWithWidgets, "token", verify=ANY_CONTEXT)
        async with make(base_url=server.base_url, transport=wiring[1]) as session:
            await session.widgets.list()
            await session.widgets.delete(uuid4())
    assert [request.line.split(" ")[0] for request in server.requests] == [
        "GET",
        "DELETE",
    ]
    for request in server.requests:
        names = {name.lower() for name, _ in request.headers}
        assert not names & {"content-type", "content-length", "transfer-encoding"}


@on_sockets
@quickly
async def test_each_attempt_counts(wiring: tuple[str, str]) -> None:
    """No transport repeats a request by itself, not even on a reused connection."""
    listing = answer(body=b'{"data": []}')
    gone = answer(404, b"{}")
    with Server(listing, drop, listing, listing, drop, gone) as server:
        make: Connect = partial(SessionWithWidgets, "token", verify=ANY_CONTEXT)
        async with make(base_url=server.base_url, transport=wiring[1]) as session:
            await session.widgets.list()
            page = await session.widgets.list()
            assert page.response.attempts == 2
            await session.widgets.list()
            await session.widgets.delete(uuid4())
            server.play(listing, drop)
            once = session.with_options(max_retries=0)
            await once.widgets.list()
            error = await error_of(once.widgets.list())
    assert isinstance(error, APIConnectionError)
    assert error.attempts == 1
    assert len(server.requests) == 8


# --- trace IDs ---


async def test_replay_with_the_first_trace_id(
    fake: FakeWithWidgets, connect: Connect
) -> None:
    """A replay to a call with a key may carry the trace ID of the first call."""
    fake.idempotency_keys.replay_first_trace_id = True
    key = uuid4()
    async with connect() as session:
        create = partial(session.widgets.create, "A", payer_id=fake.payer_id)
        first = await create(idempotency_key=key)
        second = await create(idempotency_key=key)
        third = await session.widgets.retrieve(first.id, fake.payer_id)
    assert first == second == third
    assert second.response.trace_id == first.response.trace_id
    assert fake.requests[1].trace_id != first.response.trace_id
    assert third.response.trace_id == fake.requests[2].trace_id


@quickly
async def test_foreign_trace_id(fake: FakeWithWidgets, connect: Connect) -> None:
    """Another call's trace ID is refused without a key, and without a replay."""
    made = fake.add_widget()
    body = json.dumps(made.to_json()).encode()
    foreign = {"Trace-Id": str(uuid4())}
    replay = {**foreign, "Idempotent-Replay": "true"}
    async with connect(max_retries=1) as session:
        fake.garble_next(body, headers=replay, times=2)
        read = await error_of(session.widgets.retrieve(made.id, fake.payer_id))
        fake.garble_next(body, headers=replay)
        updated = await error_of(session.widgets.update(made.id, name="B"))
        fake.garble_next(body, headers=foreign, times=2)
        created = await error_of(session.widgets.create("A", payer_id=fake.payer_id))
        fake.garble_next(body, headers=foreign)
        assert (await session.widgets.retrieve(made.id, fake.payer_id)).id == made.id
    for error, attempts in ((read, 2), (updated, 1), (created, 2)):
        assert isinstance(error, APIConnectionError)
        assert "another call's trace ID" in str(error)
        assert error.attempts == attempts
        assert error.outcome_unknown
    steps = [error.next_step for error in (read, updated, created)]
    assert steps == ["again", "reconcile", "same_key"]


# --- cancellation ---


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return our own warnings."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "plastiq_async" and record.levelno >= logging.WARNING
    ]


async def cancel(call: Callable[[], Awaitable[object]], fake: FakeWithWidgets) -> None:
    """Cancel a call as soon as its request is with the fake."""
    before = len(fake.requests)

    async def run() -> None:
        await call()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await eventually(lambda: len(fake.requests) > before)
        tasks.cancel_scope.cancel()


@pytest.mark.slow
async def test_cancelled(
    fake: FakeWithWidgets, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """A cancelled call whose outcome is unknown is logged once, with its key."""
    made = fake.add_widget()
    fake.delay_next(1, times=4)
    key, trace_ids = uuid4(), [uuid4(), uuid4()]
    async with connect() as session:
        widgets = session.widgets
        create = partial(widgets.create, "A", payer_id=fake.payer_id)
        await cancel(partial(widgets.retrieve, made.id, fake.payer_id), fake)
        await cancel(partial(widgets.delete, made.id), fake)
        assert warnings_in(caplog) == []
        await cancel(partial(create, idempotency_key=key, trace_id=trace_ids[0]), fake)
        await cancel(
            partial(widgets.update, made.id, name="B", trace_id=trace_ids[1]), fake
        )
        assert warnings_in(caplog) == [
            f"widgets.{name} ended early, and its outcome is unknown: "
            f"idempotency_key={sent_key} trace_id={trace_id}"
            for name, sent_key, trace_id in [
                ("create", key, trace_ids[0]),
                ("update", None, trace_ids[1]),
            ]
        ]
        await anyio.sleep(1)
        await create(idempotency_key=key)
    assert fake.widgets.created == 1


@in_memory
async def test_cancelled_before_sending(
    fake: FakeWithWidgets, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """A call that is cancelled before it was sent is not logged."""
    fake.delay_next(30, on="widgets.list")
    async with (
        connect(max_connections=1) as session,
        anyio.create_task_group() as tasks,
    ):

        async def create() -> None:
            await session.widgets.create("A", payer_id=fake.payer_id)

        async def hold() -> None:
            await session.widgets.list()

        tasks.start_soon(hold)
        await eventually(lambda: fake.requests)
        tasks.start_soon(create)
        await anyio.sleep(0.05)
        tasks.cancel_scope.cancel()
    assert warnings_in(caplog) == []
    assert operations_of(fake) == ["widgets.list"]


# --- views and middleware ---


@in_memory
async def test_views(fake: FakeWithWidgets, connect: Connect) -> None:
    """A view of a subclass is one, too, with resources of its own."""
    made = fake.add_widget()
    ada = EndUser(ip="203.0.113.7", user_agent="Mozilla/5.0")
    async with connect() as session:
        view = session.with_options(end_user=ada)
        assert type(view) is SessionWithWidgets
        assert session.widgets is session.widgets
        assert view.widgets is view.widgets is not session.widgets
        nested = view.with_options(max_retries=0)
        await session.widgets.retrieve(made.id, fake.payer_id)
        await view.widgets.retrieve(made.id, fake.payer_id)
        await nested.widgets.list()
        await view.widgets.list(end_user=EndUser(ip="203.0.113.8"))
        await session.widgets.delete(made.id)
    addresses = [request.headers.get("end-user-ip") for request in fake.requests]
    expected = [None, "203.0.113.7", "203.0.113.7", "203.0.113.8", None]
    assert addresses == expected
    assert fake.requests[2].headers["user-agent"] == "Mozilla/5.0"


@in_memory
@quickly
async def test_call_info(fake: FakeWithWidgets, connect: Connect) -> None:
    """`call_info` tells a middleware the operation, its key and its attempts."""
    made = fake.add_widget()
    before: list[CallInfo] = []
    after: list[CallInfo] = []

    async def watch(request: httpx.Request, call_next: Handler) -> httpx.Response:
        before.append(call_info(request))
        response = await call_next(request)
        after.append(call_info(request))
        return response

    fake.fail_next(503, on="widgets.create")
    async with connect(middleware=[watch]) as session:
        now = anyio.current_time()
        widget = await session.widgets.create("A", payer_id=fake.payer_id, timeout=9)
        await session.widgets.retrieve(made.id, fake.payer_id)
        await session.widgets.delete(made.id)
    created, read, deleted = after
    assert created == CallInfo(
        operation="widgets.create",
        method="POST",
        path="/widgets",
        trace_id=widget.response.trace_id,
        idempotency_key=widget.idempotency_key,
        attempts=2,
        deadline=created.deadline,
        host="127.0.0.1",
    )
    assert now + 9 <= created.deadline < now + 15
    assert (read.operation, read.path) == ("widgets.retrieve", "/widgets/{id}")
    assert (deleted.operation, deleted.method) == ("widgets.delete", "DELETE")
    assert read.idempotency_key is deleted.idempotency_key is None
    assert [info.attempts for info in before] == [0, 0, 0]


@in_memory
async def test_response_of_a_middleware(
    fake: FakeWithWidgets, connect: Connect
) -> None:
    """Middleware may return its own response, which is checked like the server's."""
    made = fake.add_widget("Cached")
    responses = [
        httpx.Response(200, json=made.to_json()),
        httpx.Response(200, json={}),
        httpx.Response(404, json={"code": "GONE", "message": "Not in the cache"}),
        httpx.Response(404),
        httpx.Response(204),
    ]

    async def cache(request: httpx.Request, call_next: Handler) -> httpx.Response:
        return responses.pop(0)

    async with connect(middleware=[cache]) as session:
        retrieve = partial(session.widgets.retrieve, made.id, fake.payer_id)
        widget = await retrieve()
        invalid, refused = await error_of(retrieve()), await error_of(retrieve())
        not_there = await error_of(session.widgets.delete(made.id))
        await session.widgets.delete(made.id)
    assert (widget.name, widget.response.attempts) == ("Cached", 0)
    assert isinstance(invalid, APIResponseError)
    assert isinstance(refused, NotFoundError)
    assert (refused.code, refused.path) == ("GONE", "/widgets/{id}")
    assert isinstance(not_there, NotFoundError)
    assert fake.requests == []


# --- mistakes in a resource ---


@in_memory
async def test_path_without_its_parameters(
    fake: FakeWithWidgets, connect: Connect
) -> None:
    """A resource that forgets the parameters of its path sends nothing."""
    operation = create_operation("A", fake.payer_id, 1, None)
    broken = attrs.evolve(operation, path="/widgets/{id}")
    async with connect() as session:
        with pytest.raises(
            InvalidArgumentError, match=r"parameters of /widgets/\{id\}"
        ):
            await session._pipeline.run(broken, {})
    assert fake.requests == []
