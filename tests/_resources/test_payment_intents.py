"""`payment_intents`: requests, results, errors, retries, refused arguments."""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import pytest

from plastiq_async import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    Fee,
    InternalServerError,
    InvalidArgumentError,
    Money,
    NotFoundError,
    PaymentDetails,
    PermissionDeniedError,
    PlastiqError,
    PlastiqSession,
    ServiceUnavailableError,
)
from plastiq_async.testing import FakePlastiq, RecordedRequest
from tests.support.errors import error_of, frames_of
from tests.support.payment_methods import BANK_ACCOUNT_JSON
from tests.support.private_texts import assert_untold, logged, texts_of
from tests.support.recipients import RECIPIENT_JSON, make_create_recipient
from tests.support.sessions import ANY_CONTEXT, PAYER, fake_session
from tests.support.uvicorn_server import in_uvicorn
from tests.support.wirings import WIRINGS
from tests.testing.quotes import (
    TEXAN_CARD,
    Parties,
    add_method,
    add_parties,
)

Method: TypeAlias = Callable[[PlastiqSession, UUID], Awaitable[Any]]
"""A call that concerns the payment intent with this ID, unless it creates another."""

INTENT_ID = UUID("1f0b0a35-5c1e-4d8e-b8a8-3f6b0a5d2c11")
ACCOUNT_NAME, ACCOUNT_NUMBER = "Ada's s3cr3t account", "98076543210"
DETAILS = PaymentDetails(
    account_name=ACCOUNT_NAME, account_number=ACCOUNT_NUMBER, memo="October"
)
NEW = make_create_recipient()


async def create(
    session: PlastiqSession, parties: Parties | None = None, **changes: Any
) -> Any:
    """Create a payment intent over 100.10 dollars; `changes` replace arguments."""
    parties = parties or Parties(UUID(PAYER), uuid4(), uuid4())
    arguments: dict[str, Any] = {
        "payer_id": parties.payer_id,
        "recipient": parties.recipient_id,
        "payment_method_id": parties.method_id,
        "target_amount": Money("100.10"),
    }
    return await session.payment_intents.create(**arguments | changes)


METHODS: dict[str, Method] = {
    "create": lambda session, _: create(session),
    "create with a new recipient": lambda session, _: create(session, recipient=NEW),
    "retrieve": lambda session, one: session.payment_intents.retrieve(one, PAYER),
    "update": lambda session, one: session.payment_intents.update(
        one, target_amount=Money(20)
    ),
}
UNSAFE = ["create with a new recipient", "update"]
quickly = pytest.mark.usefixtures("quick_retries")
each_method = pytest.mark.parametrize("name", METHODS)


@pytest.fixture
def fake() -> FakePlastiq:
    """Return a fake."""
    return FakePlastiq()


@pytest.fixture
def session(fake: FakePlastiq) -> PlastiqSession:
    """Return a session with the fake; it needs no closing."""
    return fake_session(fake)


def the_request(fake: FakePlastiq) -> RecordedRequest:
    """Return the only request that the fake got."""
    (request,) = fake.requests
    return request


def operations_of(fake: FakePlastiq) -> list[str | None]:
    """Return the operations that the fake was asked for."""
    return [request.operation for request in fake.requests]


# --- requests and results ---


async def test_create(session: PlastiqSession, fake: FakePlastiq) -> None:
    """A quote has what the payment costs, and charges nothing."""
    parties = await add_parties(fake)
    intent = await create(session, parties)
    request = the_request(fake)
    assert (request.method, request.path) == ("POST", "/api/payment-intents")
    assert request.query == {}
    assert json.loads(request.body, parse_float=Decimal) == parties.body(
        targetAmount={"value": Decimal("100.10"), "currency": "USD"}
    )
    assert b'"value":100.10,' in request.body
    assert "idempotency-key" not in request.headers
    fee = Fee(amount=Money("2.85"), type="PLASTIQ_SERVICE_FEE", rate="2.85%")
    assert intent.fees == (fee,)
    assert intent.target_amount == Money("100.10")
    assert intent.source_amount == Money("102.95")
    assert (intent.payer_id, intent.recipient_id, intent.payment_method_id) == (
        parties.payer_id,
        parties.recipient_id,
        parties.method_id,
    )
    assert (intent.status, intent.status_reasons) == ("CAPTURABLE", ())
    assert intent.is_capturable
    assert not intent.is_expired(fake.now)
    assert intent.expires_at - intent.created_at == timedelta(minutes=5)
    assert intent.delivery_date > intent.created_at.date()
    assert (intent.response.status, intent.response.attempts) == (200, 1)
    assert intent.response.trace_id == request.trace_id
    assert "response" not in repr(intent)


async def test_create_with_everything(
    session: PlastiqSession, fake: FakePlastiq
) -> None:
    """Details are echoed; metadata is sent as it is, and never comes back."""
    parties = await add_parties(fake, BANK_ACCOUNT_JSON)
    metadata = {"order": 7, "parts": [Decimal("1.10"), None, {"a": 0.5}]}
    intent = await create(
        session,
        parties,
        payer_id=str(parties.payer_id),
        recipient=str(parties.recipient_id),
        payment_method_id=str(parties.method_id),
        target_amount=Money(100),
        details=DETAILS,
        metadata=metadata,
    )
    body = the_request(fake).body
    assert json.loads(body) == parties.body(
        details={
            "accountName": ACCOUNT_NAME,
            "accountNumber": ACCOUNT_NUMBER,
            "memo": "October",
        },
        metadata={"order": 7, "parts": [1.1, None, {"a": 0.5}]},
    )
    assert b'"metadata":{"order":7,"parts":[1.10,null,{"a":0.5}]}' in body
    assert intent.details == DETAILS
    assert intent.fees == ()
    assert intent.source_amount == intent.target_amount == Money(100)


async def test_new_recipient(session: PlastiqSession, fake: FakePlastiq) -> None:
    """A recipient is created with the payment intent, which has its ID."""
    parties = await add_parties(fake)
    intent = await create(session, parties, recipient=NEW)
    assert json.loads(the_request(fake).body)["recipient"] == RECIPIENT_JSON
    assert intent.recipient_id != parties.recipient_id
    recipient = await session.recipients.retrieve(intent.recipient_id)
    assert recipient.business_name == "Beans Inc."


@pytest.mark.parametrize("guide_vocabulary", [False, True])
async def test_uncapturable(guide_vocabulary: bool) -> None:
    """A quote that cannot be paid is a success, in both vocabularies."""
    fake = FakePlastiq(guide_vocabulary=guide_vocabulary)
    session = fake_session(fake)
    intent = await create(session, await add_parties(fake, TEXAN_CARD))
    expected = "NOT_CAPTURABLE" if guide_vocabulary else "UNCAPTURABLE"
    assert intent.status == expected
    assert [reason.code for reason in intent.status_reasons] == [
        "TEXAS_COMPLIANCE_BLOCK"
    ]
    assert not intent.is_capturable
    assert not intent.is_expired(fake.now)
    assert intent.response.status == 200


async def test_retrieve(session: PlastiqSession, fake: FakePlastiq) -> None:
    """A payment intent is read with its payer in the query, and as it is now."""
    created = await create(session, await add_parties(fake))
    fake.requests.clear()
    intent = await session.payment_intents.retrieve(str(created.id), payer_id=PAYER)
    request = the_request(fake)
    assert (request.method, request.body) == ("GET", b"")
    assert request.path == f"/api/payment-intents/{created.id}"
    assert request.query == {"payerId": (PAYER,)}
    assert intent == created
    fake.advance(300)
    expired = await session.payment_intents.retrieve(created.id, PAYER)
    assert (expired.status, expired.is_capturable) == ("EXPIRED", False)
    assert expired.is_expired(created.created_at)


@pytest.mark.parametrize(
    ("changes", "sent"),
    [
        (
            {"target_amount": Money("20.50")},
            b'{"targetAmount":{"value":20.50,"currency":"USD"}}',
        ),
        (
            {"details": PaymentDetails(memo="November")},
            b'{"details":{"memo":"November"}}',
        ),
        ({"details": PaymentDetails()}, b'{"details":{}}'),
        ({"metadata": {"a": None}}, b'{"metadata":{"a":null}}'),
        ({"metadata": {}}, b'{"metadata":{}}'),
    ],
)
async def test_update(
    changes: dict[str, Any], sent: bytes, session: PlastiqSession, fake: FakePlastiq
) -> None:
    """An update sends what is to change and nothing else."""
    created = await create(session, await add_parties(fake), details=DETAILS)
    fake.requests.clear()
    intent = await session.payment_intents.update(created.id, **changes)
    request = the_request(fake)
    assert request.method == "PATCH"
    assert request.path == f"/api/payment-intents/{created.id}"
    assert (request.query, request.body) == ({}, sent)
    assert intent.details == changes.get("details", DETAILS)
    assert intent.target_amount == changes.get("target_amount", Money("100.10"))
    assert intent == await session.payment_intents.retrieve(created.id, PAYER)


async def test_new_fees(session: PlastiqSession, fake: FakePlastiq) -> None:
    """An update of the amount brings its new fees."""
    created = await create(session, await add_parties(fake))
    intent = await session.payment_intents.update(
        created.id, target_amount=Money("20.50")
    )
    assert [fee.amount for fee in intent.fees] == [Money("0.58")]
    assert intent.source_amount == Money("21.08")
    assert intent.expires_at == created.expires_at


async def test_options(session: PlastiqSession, fake: FakePlastiq) -> None:
    """Every method takes the options of a call."""
    options: dict[str, Any] = {"trace_id": uuid4(), "timeout": 5}
    intents, parties = session.payment_intents, await add_parties(fake)
    intent = await create(session, parties, **options)
    await intents.retrieve(intent.id, parties.payer_id, **options)
    await intents.update(payment_intent_id=intent.id, metadata={}, **options)
    assert [request.trace_id for request in fake.requests] == [options["trace_id"]] * 3


# --- what the server may send ---


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"id": None}, r"@ \$\.id"),
        ({"status": 5}, r"@ \$\.status"),
        ({"payer": {}}, r"payer\.id is missing"),
        ({"fees": [{"amount": {"value": "s3cr3t"}}]}, r"@ \$\.fees\[0\]\.amount"),
        ({"details": {"accountNumber": ["s3cr3t"]}}, r"@ \$\.details\.accountNumber"),
    ],
)
@each_method
async def test_unexpected_response(
    name: str,
    body: dict[str, object],
    problem: str,
    session: PlastiqSession,
    fake: FakePlastiq,
) -> None:
    """A response that breaks the contract is an error that says where."""
    fake.garble_next(json.dumps({"id": str(INTENT_ID), **body}).encode())
    with pytest.raises(APIResponseError, match=problem) as info:
        await METHODS[name](session, INTENT_ID)
    assert "s3cr3t" not in str(info.value)
    assert info.value.outcome_unknown is (name in UNSAFE)
    the_request(fake)


@pytest.mark.parametrize("name", ["retrieve", "update"])
async def test_another_intent(
    name: str, session: PlastiqSession, fake: FakePlastiq
) -> None:
    """A response about another payment intent is refused."""
    fake.garble_next(json.dumps({"id": str(uuid4())}).encode())
    with pytest.raises(APIResponseError, match="not the id that was asked") as info:
        await METHODS[name](session, INTENT_ID)
    assert info.value.outcome_unknown is (name == "update")


@pytest.mark.parametrize("name", ["create", "retrieve"])
async def test_intent_of_another_payer(
    name: str, session: PlastiqSession, fake: FakePlastiq
) -> None:
    """A payment intent of another payer, whose amounts are others, is refused."""
    body = {"id": str(INTENT_ID), "payer": {"id": str(uuid4())}}
    fake.garble_next(json.dumps(body).encode())
    with pytest.raises(APIResponseError, match="not the payer_id that was asked"):
        await METHODS[name](session, INTENT_ID)


# --- errors ---


@each_method
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (500, InternalServerError),
        (503, ServiceUnavailableError),
    ],
)
async def test_error(
    status: int, kind: type[PlastiqError], name: str, fake: FakePlastiq
) -> None:
    """Each status is an error of its own, which says what to do next."""
    fake.fail_next(status, code="A_CODE", details=["targetAmount is wrong"])
    session = fake_session(fake, max_retries=0)
    error = await error_of(METHODS[name](session, INTENT_ID))
    assert type(error) is kind
    assert isinstance(error, APIStatusError)
    assert (error.status_code, error.code) == (status, "A_CODE")
    assert error.details == ("targetAmount is wrong",)
    assert error.path in {"/payment-intents", "/payment-intents/{id}"}
    passing = "reconcile" if name in UNSAFE else "again"
    assert error.next_step == ("fix" if status < 500 else passing)
    assert error.outcome_unknown is (name in UNSAFE and status >= 500)
    the_request(fake)


async def test_refused_by_the_server(
    session: PlastiqSession, fake: FakePlastiq
) -> None:
    """What only the server can know is its error, and is not sent again."""
    parties = await add_parties(fake)
    foreign = await add_method(fake, payer_id=fake.add_payer())
    fake.requests.clear()
    error = await error_of(create(session, parties, payment_method_id=foreign))
    assert isinstance(error, BadRequestError)
    assert error.details == ("paymentMethod.id must be a payment method of the payer",)
    the_request(fake)
    intent = await create(session, parties)
    for method in (METHODS["retrieve"], METHODS["update"]):
        assert isinstance(await error_of(method(session, uuid4())), NotFoundError)
    fake.advance(300)
    error = await error_of(METHODS["update"](session, intent.id))
    assert isinstance(error, BadRequestError)
    assert (error.next_step, error.outcome_unknown) == ("fix", False)


# --- retries ---

Order: TypeAlias = Callable[[FakePlastiq], None]
ORDERS: dict[str, Order] = {
    "503": lambda fake: fake.fail_next(503),
    "503 after": lambda fake: fake.fail_next(503, after_processing=True),
    "drop": lambda fake: fake.drop_next(),
    "drop after": lambda fake: fake.drop_next(after_processing=True),
}
orders = pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)


@quickly
@orders
async def test_sent_again(
    order: Order, session: PlastiqSession, fake: FakePlastiq
) -> None:
    """A quote for a recipient that exists, and a read, are repeated."""
    parties = await add_parties(fake)
    order(fake)
    order(fake)
    intent = await create(session, parties)
    assert intent.response.attempts == len(fake.requests) == 3
    assert len({request.body for request in fake.requests}) == 1
    order(fake)
    read = await session.payment_intents.retrieve(intent.id, PAYER)
    assert (read, read.response.attempts) == (intent, 2)


@quickly
@orders
@pytest.mark.parametrize("name", UNSAFE)
async def test_not_sent_again(
    name: str, order: Order, session: PlastiqSession, fake: FakePlastiq
) -> None:
    """What may create a second recipient, or undo a change, is sent only once."""
    order(fake)
    error = await error_of(METHODS[name](session, INTENT_ID))
    assert isinstance(error, (APIConnectionError, ServiceUnavailableError))
    assert (error.next_step, error.outcome_unknown) == ("reconcile", True)
    assert error.attempts == len(fake.requests) == 1


@quickly
async def test_one_recipient(session: PlastiqSession, fake: FakePlastiq) -> None:
    """A response that is lost leaves one new recipient, which can be found."""
    parties = await add_parties(fake)
    fake.drop_next(after_processing=True, on="payment_intents.create")
    await error_of(create(session, parties, recipient=NEW))
    found = [one.id async for one in session.recipients.list(PAYER)]
    assert parties.recipient_id in found
    assert len(found) == 2


@quickly
async def test_one_update(session: PlastiqSession, fake: FakePlastiq) -> None:
    """After a lost response to an update, a read tells the amounts."""
    intent = await create(session, await add_parties(fake))
    fake.drop_next(after_processing=True, on="payment_intents.update")
    await error_of(session.payment_intents.update(intent.id, target_amount=Money(20)))
    read = await session.payment_intents.retrieve(intent.id, PAYER)
    assert read.target_amount == Money(20)


@quickly
@each_method
async def test_sent_again_if_never_sent(
    name: str, session: PlastiqSession, fake: FakePlastiq
) -> None:
    """A request that was never sent is repeated, whatever it is for."""
    fake.refuse_next(times=2)
    fake.garble_next(json.dumps({"id": str(INTENT_ID)}).encode())
    intent = await METHODS[name](session, INTENT_ID)
    assert intent.response.attempts == 3
    the_request(fake)


# --- secrets ---


async def test_hidden_account(
    session: PlastiqSession, fake: FakePlastiq, caplog: pytest.LogCaptureFixture
) -> None:
    """The account is neither in an error that quotes it nor in the log."""
    caplog.set_level(logging.DEBUG)
    quoted = f"details.accountNumber {ACCOUNT_NUMBER} of {ACCOUNT_NAME} is unknown"
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: create(session, details=DETAILS),
        lambda: create(session, details=DETAILS, recipient=NEW),
        lambda: session.payment_intents.update(INTENT_ID, details=DETAILS),
    ]
    fake.fail_next(400, message=quoted, details=[quoted], times=len(calls))
    private = [ACCOUNT_NUMBER, ACCOUNT_NAME]
    for call in calls:
        error = await error_of(call())
        assert isinstance(error, BadRequestError)
        assert error.details == (
            "details.accountNumber (masked) of (masked) is unknown",
        )
        assert_untold(texts_of(error), private)
        assert_untold(frames_of(error), private)
    assert_untold(logged(caplog), private)
    assert len(fake.requests) == len(calls)


async def test_hidden_in_the_result(session: PlastiqSession, fake: FakePlastiq) -> None:
    """The account that the server echoes is in no text and no pickle of the result."""
    intent = await create(session, await add_parties(fake), details=DETAILS)
    assert intent.details == DETAILS
    texts = [repr(intent), str(intent), pickle.dumps(intent).decode("latin-1")]
    assert_untold(texts, [ACCOUNT_NUMBER, ACCOUNT_NAME])


# --- refused arguments ---

AMOUNTS: list[object] = [
    None,
    100,
    "100.00",
    Decimal(100),
    Money("0.99"),
    Money(0),
    Money(-1),
    Money("100000000.00"),
    Money("1.001"),
    Money("1", "usd"),
    Money("1", None),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("payer_id", "s3cr3t"),
        ("payer_id", None),
        ("recipient", "s3cr3t"),
        ("recipient", None),
        ("recipient", {"businessName": "s3cr3t"}),
        ("payment_method_id", "s3cr3t"),
        ("payment_method_id", None),
        *[("target_amount", amount) for amount in AMOUNTS],
        ("details", {"memo": "s3cr3t"}),
        ("details", PaymentDetails(memo=" ")),
        ("details", PaymentDetails(account_number="s3cr3t\n")),
        ("details", PaymentDetails(account_name="s3cr3t\x00")),
        ("metadata", "s3cr3t"),
        ("metadata", ["s3cr3t"]),
        ("metadata", {"a": object()}),
        ("metadata", {"a": {7: "s3cr3t"}}),
        ("metadata", {"a": float("nan")}),
    ],
)
async def test_refused_argument(
    name: str, value: object, session: PlastiqSession, fake: FakePlastiq
) -> None:
    """An invalid argument is refused by name, without its value, before sending."""
    arguments: dict[str, Any] = {name: value}
    error = await error_of(create(session, **arguments))
    assert isinstance(error, InvalidArgumentError)
    assert name in str(error)
    assert_untold(texts_of(error), ["s3cr3t"])
    if name in {"target_amount", "details", "metadata"} and value is not None:
        update = session.payment_intents.update
        updated = await error_of(update(INTENT_ID, **arguments))
        assert (type(updated), str(updated)) == (type(error), str(error))
    assert fake.requests == []


async def test_refused_ids(session: PlastiqSession, fake: FakePlastiq) -> None:
    """An ID that is not one is refused by name."""
    intents = session.payment_intents
    calls = {
        "payment_intent_id": [
            intents.retrieve("../x", PAYER),
            intents.update("../x", metadata={}),
        ],
        "payer_id": [intents.retrieve(INTENT_ID, "?")],
    }
    for name, wrong in calls.items():
        for call in wrong:
            with pytest.raises(InvalidArgumentError, match=f"^{name} must be a UUID"):
                await call
    assert fake.requests == []


async def test_nothing_to_change(session: PlastiqSession, fake: FakePlastiq) -> None:
    """An update without a change is refused."""
    expected = "^give at least one of target_amount, details, metadata"
    with pytest.raises(InvalidArgumentError, match=expected):
        await session.payment_intents.update(INTENT_ID, details=None)
    assert fake.requests == []


# --- over sockets ---


@pytest.mark.slow
@pytest.mark.parametrize(
    ("anyio_backend", "transport"), WIRINGS, indirect=["anyio_backend"]
)
async def test_over_sockets(transport: str, fake: FakePlastiq) -> None:
    """All methods work on both transports and event loops."""
    parties = await add_parties(fake)
    with in_uvicorn(fake.app) as url:
        options = {"base_url": f"{url}/api", "transport": transport}
        async with fake_session(fake, **options, verify=ANY_CONTEXT) as session:
            created = await create(session, parties, details=DETAILS)
            read = await session.payment_intents.retrieve(created.id, PAYER)
            changed = await session.payment_intents.update(
                created.id, target_amount=Money(20)
            )
            inline = await create(session, parties, recipient=NEW)
    assert read == created
    assert (changed.id, changed.source_amount) == (created.id, Money("20.57"))
    assert inline.recipient_id not in {None, parties.recipient_id}
    assert operations_of(fake) == [
        "payment_intents.create",
        "payment_intents.retrieve",
        "payment_intents.update",
        "payment_intents.create",
    ]
