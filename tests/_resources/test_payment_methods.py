"""`payment_methods`: requests, results, errors, retries, refused arguments."""

from __future__ import annotations

import json
import pickle
from collections.abc import Awaitable, Callable
from datetime import UTC, timedelta
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import pytest

from plastiq_async import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    BankAccountDetails,
    BankAccountUpdate,
    CardDetails,
    CardUpdate,
    ConflictError,
    InternalServerError,
    InvalidArgumentError,
    NewIdentityDocument,
    NotFoundError,
    PaymentMethod,
    PermissionDeniedError,
    PlastiqError,
    PlastiqSession,
    RateLimitError,
    ServiceUnavailableError,
    StatusReason,
)
from plastiq_async.testing import FakePlastiq, RecordedRequest
from tests.support.errors import error_of
from tests.support.payment_methods import (
    ACCOUNT_NUMBER,
    ADDRESS_JSON,
    BANK_ACCOUNT_JSON,
    CARD_JSON,
    CVV,
    make_address,
    make_bank_account,
    make_card,
)
from tests.support.sessions import ANY_CONTEXT, PAYER, fake_session, session_for
from tests.support.socket_server import Server
from tests.support.steps import answer
from tests.support.uvicorn_server import in_uvicorn
from tests.support.wirings import WIRINGS

Method: TypeAlias = Callable[[PlastiqSession, UUID], Awaitable[Any]]
"""A call that concerns the payment method with this ID, unless it adds another."""

METHOD_ID = UUID("0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9")
CHANGE = CardUpdate(cvv=CVV, expiration_year="2098")
METHODS: dict[str, Method] = {
    "create": lambda session, _: session.payment_methods.create(
        PAYER, data=make_card()
    ),
    "retrieve": lambda session, one: session.payment_methods.retrieve(one, PAYER),
    "update": lambda session, one: session.payment_methods.update(
        one, PAYER, data=CHANGE
    ),
    "delete": lambda session, one: session.payment_methods.delete(one),
    "list": lambda session, _: session.payment_methods.list(PAYER),
}
UNSAFE = ["create", "update"]
SAFE = ["retrieve", "delete", "list"]
CHANGING = [*UNSAFE, "delete"]
quickly = pytest.mark.usefixtures("quick_retries")


@pytest.fixture
def fake() -> FakePlastiq:
    """Return a fake."""
    return FakePlastiq()


@pytest.fixture
def session(fake: FakePlastiq) -> PlastiqSession:
    """Return a session with the fake; it needs no closing."""
    return fake_session(fake)


async def add(session: PlastiqSession, fake: FakePlastiq, **parts: Any) -> UUID:
    """Add a card, and forget the request."""
    method = await session.payment_methods.create(PAYER, data=make_card(**parts))
    fake.requests.clear()
    return method.id


def the_request(fake: FakePlastiq) -> RecordedRequest:
    """Return the only request that the fake got."""
    (request,) = fake.requests
    return request


# --- requests and results ---


async def test_create_card(session: PlastiqSession, fake: FakePlastiq) -> None:
    """A card is sent as the contract has it, and comes back without its number."""
    method = await session.payment_methods.create(PAYER, data=make_card())
    request = the_request(fake)
    assert (request.method, request.path) == ("POST", "/api/payment-methods")
    assert request.query == {}
    assert json.loads(request.body) == {
        "type": "CARD",
        "data": CARD_JSON,
        "payer": {"id": PAYER},
    }
    assert "idempotency-key" not in request.headers
    assert method.is_active
    assert (method.type, method.status, method.status_reasons) == ("CARD", "ACTIVE", ())
    data = method.data
    assert isinstance(data, CardDetails)
    assert (data.last4, data.brand, data.sub_type) == ("4242", "Visa", "CREDIT")
    assert (data.expiration_month, data.expiration_year) == ("04", "2099")
    assert data.billing_address is not None
    assert data.billing_address.postal_code == "94105"
    assert data.created_at is not None
    assert data.created_at.tzinfo is UTC
    assert abs(data.created_at - fake.now) < timedelta(minutes=5)
    assert method.response.status == 200


async def test_create_bank_account(session: PlastiqSession, fake: FakePlastiq) -> None:
    """A bank account is sent as the contract has it, and is shown in part."""
    data = make_bank_account(billing_address=make_address(line2="Floor 3"))
    method = await session.payment_methods.create(UUID(PAYER), data=data)
    assert json.loads(the_request(fake).body) == {
        "type": "BANK_ACCOUNT",
        "data": {
            **BANK_ACCOUNT_JSON,
            "billingAddress": {**ADDRESS_JSON, "line2": "Floor 3"},
        },
        "payer": {"id": PAYER},
    }
    shown = method.data
    assert isinstance(shown, BankAccountDetails)
    assert (shown.account_last_four, shown.routing_number) == ("6789", "021000021")
    assert shown.account_type == "CHECKING"
    assert shown.account_holder_name == "Ada Lovelace"
    assert shown.billing_address is not None
    assert shown.billing_address.line2 == "Floor 3"


async def test_optional_part(session: PlastiqSession, fake: FakePlastiq) -> None:
    """What is None is not sent."""
    data = make_bank_account(account_type=None)
    await session.payment_methods.create(PAYER, data=data)
    assert "accountType" not in json.loads(the_request(fake).body)["data"]


async def test_inactive(session: PlastiqSession) -> None:
    """A card of Texas is a success, and usable once its payer has a document."""
    data = make_card(billing_address=make_address(state="TX"))
    method = await session.payment_methods.create(PAYER, data=data)
    assert not method.is_active
    (reason,) = method.status_reasons
    assert isinstance(reason, StatusReason)
    assert reason.code == "PAYMENT_METHOD_REQUIRES_TIN"
    assert reason.message
    document = NewIdentityDocument(type="US_EIN", value="123456789")
    await session.payers.update(PAYER, identity_documents=[document])
    healed = await session.payment_methods.retrieve(method.id, PAYER)
    assert (healed.is_active, healed.status_reasons) == (True, ())


async def test_retrieve(session: PlastiqSession, fake: FakePlastiq) -> None:
    """A payment method is read with its payer in the query."""
    added = await session.payment_methods.create(PAYER, data=make_card())
    fake.requests.clear()
    method = await session.payment_methods.retrieve(str(added.id), payer_id=PAYER)
    request = the_request(fake)
    assert request.method == "GET"
    assert request.path == f"/api/payment-methods/{added.id}"
    assert request.query == {"payerId": (PAYER,)}
    assert request.body == b""
    assert method == added


@pytest.mark.parametrize(
    ("changes", "sent"),
    [
        ({"card_holder_name": "Augusta"}, {"cardHolderName": "Augusta"}),
        (
            {"expiration_month": "01", "expiration_year": "2098"},
            {"expirationMonth": "01", "expirationYear": "2098"},
        ),
        ({"billing_address": make_address()}, {"billingAddress": ADDRESS_JSON}),
    ],
)
async def test_update_card(
    changes: dict[str, Any],
    sent: dict[str, object],
    session: PlastiqSession,
    fake: FakePlastiq,
) -> None:
    """Only what was given is sent, and the cvv."""
    card_id = await add(session, fake)
    change = CardUpdate(cvv=CVV, **changes)
    method = await session.payment_methods.update(card_id, PAYER, data=change)
    request = the_request(fake)
    assert request.method == "PATCH"
    assert request.path == f"/api/payment-methods/{card_id}"
    assert json.loads(request.body) == {
        "type": "CARD",
        "data": {"cvv": CVV, **sent},
        "payer": {"id": PAYER},
    }
    assert method.id == card_id
    assert method == await session.payment_methods.retrieve(card_id, PAYER)


async def test_update_bank_account(session: PlastiqSession, fake: FakePlastiq) -> None:
    """A bank account is changed without a cvv."""
    added = await session.payment_methods.create(PAYER, data=make_bank_account())
    fake.requests.clear()
    change = BankAccountUpdate(routing_number="021000089")
    method = await session.payment_methods.update(added.id, PAYER, data=change)
    assert json.loads(the_request(fake).body) == {
        "type": "BANK_ACCOUNT",
        "data": {"routingNumber": "021000089"},
        "payer": {"id": PAYER},
    }
    assert isinstance(method.data, BankAccountDetails)
    assert method.data.routing_number == "021000089"


async def test_delete(session: PlastiqSession, fake: FakePlastiq) -> None:
    """A payment method is deleted without naming its payer, and then is gone."""
    card_id = await add(session, fake)
    await session.payment_methods.delete(payment_method_id=card_id)
    request = the_request(fake)
    assert (request.method, request.query, request.body) == ("DELETE", {}, b"")
    assert request.path == f"/api/payment-methods/{card_id}"
    for name in ("retrieve", "update", "delete"):
        error = await error_of(METHODS[name](session, card_id))
        assert isinstance(error, NotFoundError)


async def test_list(session: PlastiqSession, fake: FakePlastiq) -> None:
    """A listing has the payment methods of one payer, page by page."""
    other = fake.add_payer()
    for payer in (PAYER, other, PAYER, PAYER):
        await session.payment_methods.create(payer, data=make_card())
    fake.requests.clear()
    listing = session.payment_methods.list(PAYER, limit=2)
    methods = [method async for method in listing]
    assert [dict(request.query) for request in fake.requests] == [
        {"payerId": (PAYER,), "offset": ("0",), "limit": ("2",)},
        {"payerId": (PAYER,), "offset": ("2",), "limit": ("2",)},
    ]
    page = await session.payment_methods.list(payer_id=PAYER, offset=1)
    assert page.data == tuple(methods[1:])
    assert (page.total, page.has_next_page) == (3, False)
    assert {type(method.data) for method in methods} == {CardDetails}


async def test_options(session: PlastiqSession, fake: FakePlastiq) -> None:
    """Every method takes the options of a call."""
    card_id = await add(session, fake)
    options: dict[str, Any] = {"trace_id": uuid4(), "timeout": 5}
    methods = session.payment_methods
    await methods.create(PAYER, data=make_card(), **options)
    await methods.retrieve(card_id, PAYER, **options)
    await methods.update(card_id, PAYER, data=CHANGE, **options)
    await methods.list(PAYER, **options)
    await methods.delete(card_id, **options)
    assert [request.trace_id for request in fake.requests] == [options["trace_id"]] * 5


# --- what the server may send ---


async def read(session: PlastiqSession, fake: FakePlastiq, body: object) -> Any:
    """Return the payment method with this ID that the server describes by `body`."""
    fake.garble_next(json.dumps(body).encode())
    return await session.payment_methods.retrieve(METHOD_ID, PAYER)


@pytest.mark.parametrize(
    "body",
    [{}, {"type": None, "data": None, "status": None, "statusReasons": None}],
)
async def test_only_the_id(
    body: dict[str, object], session: PlastiqSession, fake: FakePlastiq
) -> None:
    """All but the ID may be missing or null."""
    method = await read(session, fake, {"id": str(METHOD_ID), **body})
    assert method == PaymentMethod(id=METHOD_ID, response=method.response)
    assert not method.is_active


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("CARD", {}, CardDetails()),
        ("CARD", {"type": "VISA", "last4": None}, CardDetails()),
        ("BANK_ACCOUNT", {}, BankAccountDetails()),
        ("BANKACCOUNT", {}, BankAccountDetails(type="BANKACCOUNT")),
        ("WALLET", {"last4": "1234"}, None),
        (None, {"last4": "1234"}, None),
    ],
)
async def test_data_by_type(
    kind: str | None,
    data: dict[str, object],
    expected: object,
    session: PlastiqSession,
    fake: FakePlastiq,
) -> None:
    """The type beside the data says what it is, and an unknown type is no error."""
    method = await read(
        session, fake, {"id": str(METHOD_ID), "type": kind, "data": data}
    )
    assert (method.type, method.data) == (kind, expected)


async def test_numbers_are_not_read(session: PlastiqSession, fake: FakePlastiq) -> None:
    """A number that the server should not send is in no result and no pickle of it."""
    data = {"accountNumber": ACCOUNT_NUMBER, "accountLastFour": "6789"}
    body = {"id": str(METHOD_ID), "type": "BANK_ACCOUNT", "data": data}
    method = await read(session, fake, body)
    assert method.data.account_last_four == "6789"
    assert ACCOUNT_NUMBER not in repr(method)
    assert ACCOUNT_NUMBER.encode() not in pickle.dumps(method)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"id": None}, r"@ \$\.id"),
        ({"id": str(uuid4())}, "not the id that was asked for"),
        ({"status": 5}, r"@ \$\.status"),
        ({"statusReasons": {}}, r"@ \$\.statusReasons"),
        ({"data": "s3cr3t"}, r"@ \$\.data"),
        ({"data": {"createdAt": "s3cr3t"}}, r"@ \$\.data\.createdAt"),
        ({"data": {"billingAddress": []}}, r"@ \$\.data\.billingAddress"),
    ],
)
@pytest.mark.parametrize("name", ["retrieve", "update"])
async def test_unexpected_response(
    name: str,
    body: dict[str, object],
    problem: str,
    session: PlastiqSession,
    fake: FakePlastiq,
) -> None:
    """A response that breaks the contract is an error that says where."""
    response = {"id": str(METHOD_ID), "type": "CARD", **body}
    fake.garble_next(json.dumps(response).encode())
    with pytest.raises(APIResponseError, match=problem) as info:
        await METHODS[name](session, METHOD_ID)
    assert "s3cr3t" not in str(info.value)
    assert info.value.path == "/payment-methods/{id}"
    assert info.value.outcome_unknown is (name == "update")


# --- errors ---


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, ConflictError),
        (429, RateLimitError),
        (500, InternalServerError),
        (503, ServiceUnavailableError),
    ],
)
async def test_error(
    status: int, kind: type[PlastiqError], name: str, fake: FakePlastiq
) -> None:
    """Each status is an error of its own, which names the template of the path."""
    fake.fail_next(status, code="A_CODE", details=["data.cvv is wrong"])
    session = fake_session(fake, max_retries=0)
    error = await error_of(METHODS[name](session, METHOD_ID))
    assert type(error) is kind
    assert isinstance(error, APIStatusError)
    assert (error.status_code, error.code) == (status, "A_CODE")
    assert error.details == ("data.cvv is wrong",)
    assert error.path in {"/payment-methods", "/payment-methods/{id}"}
    may_have_acted = status == 409 or status >= 500
    assert error.outcome_unknown is (may_have_acted and name in CHANGING)
    the_request(fake)


@pytest.mark.parametrize(
    ("call", "kind", "detail"),
    [
        (
            lambda session, _: session.payment_methods.create(
                PAYER, data=make_card(expiration_year="2001")
            ),
            BadRequestError,
            "data.expirationYear and data.expirationMonth are in the past",
        ),
        (
            lambda session, _: session.payment_methods.create(
                METHOD_ID, data=make_card()
            ),
            BadRequestError,
            "payer.id must be the ID of an existing payer",
        ),
        (
            lambda session, one: session.payment_methods.update(
                one, PAYER, data=BankAccountUpdate(routing_number="021000089")
            ),
            BadRequestError,
            "type must be that of the payment method",
        ),
        (
            lambda session, one: session.payment_methods.retrieve(one, METHOD_ID),
            NotFoundError,
            None,
        ),
        (
            lambda session, _: session.payment_methods.list(METHOD_ID),
            NotFoundError,
            None,
        ),
    ],
)
async def test_refused_by_the_server(
    call: Method,
    kind: type[PlastiqError],
    detail: str | None,
    session: PlastiqSession,
    fake: FakePlastiq,
) -> None:
    """What only the server can know is its error."""
    card_id = await add(session, fake)
    error = await error_of(call(session, card_id))
    assert type(error) is kind
    assert isinstance(error, (BadRequestError, NotFoundError))
    assert error.details == (() if detail is None else (detail,))
    assert not error.outcome_unknown
    the_request(fake)


async def test_too_many_cards(session: PlastiqSession, fake: FakePlastiq) -> None:
    """A card too many of a payer is refused, and not sent again within the call."""
    for _ in range(30):
        await add(session, fake)
    error = await error_of(session.payment_methods.create(PAYER, data=make_card()))
    assert isinstance(error, RateLimitError)
    assert error.retry_after is not None
    assert error.retry_after > 23 * 60 * 60
    assert not error.outcome_unknown
    the_request(fake)


# --- retries ---

Order: TypeAlias = Callable[[FakePlastiq], None]
ORDERS: dict[str, Order] = {
    "503": lambda fake: fake.fail_next(503),
    "503 after": lambda fake: fake.fail_next(503, after_processing=True),
    "drop": lambda fake: fake.drop_next(),
    "drop after": lambda fake: fake.drop_next(after_processing=True),
}


@quickly
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("name", UNSAFE)
async def test_not_sent_again(
    name: str, order: Order, session: PlastiqSession, fake: FakePlastiq
) -> None:
    """An unsafe call that was sent is not repeated, and says to reconcile."""
    card_id = await add(session, fake)
    order(fake)
    error = await error_of(METHODS[name](session, card_id))
    assert isinstance(error, (APIConnectionError, ServiceUnavailableError))
    assert (error.attempts, error.outcome_unknown) == (1, True)
    assert error.next_step == "reconcile"
    the_request(fake)


@quickly
@pytest.mark.parametrize("name", METHODS)
async def test_not_sent_at_all(
    name: str, session: PlastiqSession, fake: FakePlastiq
) -> None:
    """A call that was not sent is repeated, whatever it does."""
    card_id = await add(session, fake)
    fake.refuse_next()
    await METHODS[name](session, card_id)
    the_request(fake)


@quickly
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("name", SAFE)
async def test_sent_again(
    name: str, order: Order, session: PlastiqSession, fake: FakePlastiq
) -> None:
    """A safe call is repeated; a 404 for a repeated deletion shows its success."""
    card_id = await add(session, fake)
    order(fake)
    await METHODS[name](session, card_id)
    assert [request.operation for request in fake.requests] == [
        f"payment_methods.{name}"
    ] * 2
    remaining = await session.payment_methods.list(PAYER)
    assert len(remaining.data) == (0 if name == "delete" else 1)


async def test_reconcile(session: PlastiqSession, fake: FakePlastiq) -> None:
    """A card whose creation has an unknown outcome is found in the listing."""
    fake.drop_next(after_processing=True)
    await error_of(session.payment_methods.create(PAYER, data=make_card()))
    (method,) = (await session.payment_methods.list(PAYER)).data
    assert isinstance(method.data, CardDetails)
    assert method.data.last4 == "4242"


# --- refused arguments ---

ARGUMENTS: dict[str, dict[str, Any]] = {
    "create": {"payer_id": PAYER, "data": make_card()},
    "retrieve": {"payment_method_id": METHOD_ID, "payer_id": PAYER},
    "update": {"payment_method_id": METHOD_ID, "payer_id": PAYER, "data": CHANGE},
    "delete": {"payment_method_id": METHOD_ID},
    "list": {"payer_id": PAYER},
}
WRONG: dict[tuple[str, str], list[Any]] = {
    ("create", "data"): [None, CARD_JSON, CHANGE, BankAccountUpdate()],
    ("update", "data"): [None, {"cvv": CVV}, make_card(), make_bank_account()],
    ("list", "limit"): [0, 101, "10", True],
    ("list", "offset"): [-1, "0"],
    **{
        (name, argument): ["s3cr3t", "", None, 5]
        for name, arguments in ARGUMENTS.items()
        for argument in arguments
        if argument.endswith("_id")
    },
}


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [(*where, value) for where, values in WRONG.items() for value in values],
)
async def test_refused_argument(
    name: str, argument: str, value: Any, session: PlastiqSession, fake: FakePlastiq
) -> None:
    """An invalid argument is refused by name and not repeated; nothing is sent."""
    method = getattr(session.payment_methods, name)
    with pytest.raises(InvalidArgumentError, match=f"^{argument} must be") as info:
        await method(**{**ARGUMENTS[name], argument: value})
    assert "s3cr3t" not in str(info.value)
    assert fake.requests == []


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (
            CardUpdate(cvv=CVV),
            "card_holder_name, expiration_month, expiration_year, billing_address",
        ),
        (BankAccountUpdate(), "account_holder_name, routing_number"),
    ],
)
async def test_no_change(
    data: Any, names: str, session: PlastiqSession, fake: FakePlastiq
) -> None:
    """A change of nothing is refused; the cvv alone is none."""
    with pytest.raises(InvalidArgumentError, match=f"^give at least one of {names}$"):
        await session.payment_methods.update(METHOD_ID, PAYER, data=data)
    assert fake.requests == []


async def test_unknown_option(session: PlastiqSession, fake: FakePlastiq) -> None:
    """There is no idempotency key here: the contract has it for payments only."""
    key: Any = {"idempotency_key": uuid4()}
    with pytest.raises(TypeError, match=r"payment_methods\.create.*idempotency_key"):
        await session.payment_methods.create(PAYER, data=make_card(), **key)
    assert fake.requests == []


# --- over sockets ---


on_sockets = pytest.mark.parametrize(
    ("anyio_backend", "transport"), WIRINGS, ids=map("-".join, WIRINGS)
)


@pytest.mark.slow
@on_sockets
async def test_all_methods(transport: Any, fake: FakePlastiq) -> None:
    """All methods work over a real connection."""
    with in_uvicorn(fake.app) as url:
        options = {"base_url": f"{url}/api", "transport": transport}
        async with fake_session(fake, **options, verify=ANY_CONTEXT) as session:
            methods = session.payment_methods
            card = await methods.create(PAYER, data=make_card())
            account = await methods.create(PAYER, data=make_bank_account())
            assert await methods.retrieve(card.id, PAYER) == card
            changed = await methods.update(card.id, PAYER, data=CHANGE)
            assert isinstance(changed.data, CardDetails)
            assert changed.data.expiration_year == "2098"
            listed = [method async for method in methods.list(PAYER, limit=1)]
            assert listed == [changed, account]
            await methods.delete(card.id)
            assert isinstance(
                await error_of(methods.retrieve(card.id, PAYER)), NotFoundError
            )
    assert len(fake.requests) == 8


@on_sockets
async def test_deletion_without_trace_id(transport: Any) -> None:
    """A deletion needs no trace ID in its response, on a reused connection either."""
    found = answer(body=b'{"id": "%s"}' % str(METHOD_ID).encode())
    with Server(found, answer(204, b"", trace_id=None)) as server:
        async with session_for(server, transport=transport) as session:
            await session.payment_methods.retrieve(METHOD_ID, PAYER)
            await session.payment_methods.delete(METHOD_ID)
    assert len(server.connections) == 1
    line = f"DELETE /api/payment-methods/{METHOD_ID} HTTP/1.1"
    assert server.requests[1].line == line
