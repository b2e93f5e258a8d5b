"""Recipients: requests, results, errors and retries of the five operations."""

from __future__ import annotations

import json
import pickle
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest

from plastiq_async import (
    Address,
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    BadRequestError,
    Contact,
    InternalServerError,
    InvalidArgumentError,
    NotFoundError,
    PlastiqError,
    PlastiqSession,
    ReceivingMethod,
    Recipient,
    RecipientAddress,
    ServiceUnavailableError,
)
from plastiq_async.testing import FakePlastiq, RecordedRequest
from tests.support.errors import error_of
from tests.support.private_texts import assert_untold, texts_of
from tests.support.recipients import (
    ACCOUNT_NUMBER,
    CATEGORY,
    RECEIVING_METHODS,
    RECEIVING_METHODS_JSON,
    RECIPIENT,
    RECIPIENT_JSON,
)
from tests.support.sessions import ANY_CONTEXT, fake_session
from tests.support.uvicorn_server import in_uvicorn
from tests.support.wirings import WIRINGS

quickly = pytest.mark.usefixtures("quick_retries")

Call = Callable[[], Awaitable[object]]


@pytest.fixture
def fake() -> FakePlastiq:
    """Return a fake."""
    return FakePlastiq()


@pytest.fixture
def session(fake: FakePlastiq) -> PlastiqSession:
    """Return a session with the fake; it needs no closing."""
    return fake_session(fake)


async def create(session: PlastiqSession, **changes: Any) -> Recipient:
    """Create the recipient of `RECIPIENT`, with some changes."""
    return await session.recipients.create(**RECIPIENT | changes)


def calls_of(session: PlastiqSession, some_id: UUID) -> dict[str, Call]:
    """Return a call of each operation about a recipient."""
    recipients = session.recipients
    return {
        "POST /recipients": partial(create, session),
        "GET /recipients": recipients.list,
        "GET /recipients/{id}": partial(recipients.retrieve, some_id),
        "PATCH /recipients/{id}": partial(
            recipients.update, some_id, business_name="Tea Inc."
        ),
        "DELETE /recipients/{id}": partial(recipients.delete, some_id),
    }


READS = ["GET /recipients", "GET /recipients/{id}"]
WRITES = ["POST /recipients", "PATCH /recipients/{id}"]
EVERY = [*READS, *WRITES, "DELETE /recipients/{id}"]


def last(fake: FakePlastiq) -> RecordedRequest:
    """Return the last request that the fake got."""
    return fake.requests[-1]


# --- success ---


@pytest.mark.parametrize("kind", RECEIVING_METHODS)
async def test_create(kind: str, fake: FakePlastiq, session: PlastiqSession) -> None:
    """The request is the contract's, and the result has no account number."""
    recipient = await create(session, receiving_method=RECEIVING_METHODS[kind])
    request = last(fake)
    sent = RECEIVING_METHODS_JSON[kind]
    assert (request.operation, request.path) == ("recipients.create", "/api/recipients")
    assert json.loads(request.body) == {**RECIPIENT_JSON, "receivingMethod": sent}
    assert request.query == {}
    assert "idempotency-key" not in request.headers
    method = recipient.receiving_method
    assert method
    assert (method.type, method.account_number) == (kind, None)
    assert method.account_last_four == (None if kind == "CHECK" else "4723")
    assert method.routing_number == sent.get("routingNumber")
    assert method.postal_code == sent.get("postalCode")
    assert recipient.business_name == "Beans Inc."
    assert recipient.category_id == UUID(CATEGORY)
    assert recipient.business_address
    assert recipient.business_address.line1 == "1 Main St"
    assert recipient.contact == RECIPIENT["contact"]
    assert (recipient.payer_id, recipient.status) == (None, "ACTIVE")
    assert recipient.created_at
    assert recipient.created_at.tzinfo is UTC
    assert abs(recipient.created_at - datetime.now(UTC)).total_seconds() < 60
    assert recipient.response.attempts == 1
    assert recipient.response.trace_id == request.trace_id


async def test_create_scoped(fake: FakePlastiq, session: PlastiqSession) -> None:
    """The payer is sent as a reference, and comes back flat."""
    for payer_id in (fake.payer_id, str(fake.payer_id)):
        recipient = await create(session, payer_id=payer_id)
        assert json.loads(last(fake).body)["payer"] == {"id": str(fake.payer_id)}
        assert recipient.payer_id == fake.payer_id


@pytest.mark.parametrize("scoped", [False, True])
async def test_retrieve(
    scoped: bool, fake: FakePlastiq, session: PlastiqSession
) -> None:
    """A recipient is read by its ID, and by its payer's if it has one."""
    payer_id = fake.payer_id if scoped else None
    made = await create(session, payer_id=payer_id)
    assert await session.recipients.retrieve(str(made.id), payer_id) == made
    request = last(fake)
    assert (request.operation, request.method) == ("recipients.retrieve", "GET")
    assert request.path == f"/api/recipients/{made.id}"
    assert request.query == ({"payerId": (str(payer_id),)} if scoped else {})
    assert request.body == b""


@pytest.mark.parametrize(
    ("changes", "body"),
    [
        ({"business_name": "Tea Inc."}, {"businessName": "Tea Inc."}),
        (
            {"business_address": RecipientAddress(line1="2 Side St", country="CA")},
            {"businessAddress": {"line1": "2 Side St", "country": "CA"}},
        ),
        (
            {"contact": Contact(email="eve@example.com", phone="4155550100")},
            {"contact": {"email": "eve@example.com", "phone": "4155550100"}},
        ),
    ],
)
async def test_update(
    changes: dict[str, Any],
    body: dict[str, object],
    fake: FakePlastiq,
    session: PlastiqSession,
) -> None:
    """Only what is given is sent and changed."""
    made = await create(session)
    changed = await session.recipients.update(made.id, **changes)
    request = last(fake)
    assert (request.operation, request.method) == ("recipients.update", "PATCH")
    assert (request.path, request.query) == (f"/api/recipients/{made.id}", {})
    assert json.loads(request.body) == body
    assert changed != made
    assert changed.receiving_method == made.receiving_method
    assert await session.recipients.retrieve(made.id) == changed


async def test_update_scoped(fake: FakePlastiq, session: PlastiqSession) -> None:
    """The payer of a scoped recipient is in the body."""
    made = await create(session, payer_id=fake.payer_id)
    changed = await session.recipients.update(
        made.id, business_name="Tea Inc.", payer_id=fake.payer_id
    )
    assert json.loads(last(fake).body) == {
        "businessName": "Tea Inc.",
        "payer": {"id": str(fake.payer_id)},
    }
    assert changed.business_name == "Tea Inc."


@pytest.mark.parametrize("scoped", [False, True])
async def test_delete(scoped: bool, fake: FakePlastiq, session: PlastiqSession) -> None:
    """A deleted recipient is not found any more."""
    payer_id = fake.payer_id if scoped else None
    made = await create(session, payer_id=payer_id)
    await session.recipients.delete(made.id, payer_id)
    request = last(fake)
    assert (request.operation, request.method) == ("recipients.delete", "DELETE")
    assert request.path == f"/api/recipients/{made.id}"
    assert request.query == ({"payerId": (str(payer_id),)} if scoped else {})
    assert request.body == b""
    error = await error_of(session.recipients.retrieve(made.id, payer_id))
    assert isinstance(error, NotFoundError)


async def test_list(fake: FakePlastiq, session: PlastiqSession) -> None:
    """A listing has the payer's recipients and the unscoped ones, over all pages."""
    unscoped = [await create(session) for _ in range(2)]
    scoped = [await create(session, payer_id=fake.payer_id)]
    listing = session.recipients.list(fake.payer_id, limit=2)
    assert [recipient async for recipient in listing] == scoped + unscoped
    query = {"payerId": (str(fake.payer_id),), "limit": ("2",)}
    assert [request.query for request in fake.requests[-2:]] == [
        {**query, "offset": ("0",)},
        {**query, "offset": ("2",)},
    ]
    page = await session.recipients.list(offset=1)
    assert page.data == (unscoped[1],)
    assert page.total == 2
    assert last(fake).query == {"offset": ("1",), "limit": ("100",)}
    assert last(fake).operation == "recipients.list"


@pytest.mark.slow
@pytest.mark.parametrize(("anyio_backend", "transport"), WIRINGS)
async def test_sockets(transport: str, fake: FakePlastiq) -> None:
    """All operations work over sockets, with both transports."""
    with in_uvicorn(fake.app) as url:
        options = {"base_url": f"{url}/api", "transport": transport}
        async with fake_session(fake, **options, verify=ANY_CONTEXT) as session:
            made = await create(session, payer_id=fake.payer_id)
            recipients = session.recipients
            assert await recipients.retrieve(made.id, fake.payer_id) == made
            changed = await recipients.update(
                made.id, business_name="Tea Inc.", payer_id=fake.payer_id
            )
            assert (await recipients.list(fake.payer_id)).data == (changed,)
            await recipients.delete(made.id, fake.payer_id)
            assert (await recipients.list(fake.payer_id)).data == ()
    assert len(fake.requests) == 6


# --- what else can be in a response ---


async def test_reported_account_number(
    fake: FakePlastiq, session: PlastiqSession
) -> None:
    """An account number that the server sends is in no text form of the result."""
    body = {"id": str(uuid4()), "receivingMethod": RECEIVING_METHODS_JSON["ACH"]}
    fake.garble_next(json.dumps(body).encode())
    recipient = await create(session)
    method = recipient.receiving_method
    assert isinstance(method, ReceivingMethod)
    assert method.account_number == ACCOUNT_NUMBER
    assert ACCOUNT_NUMBER not in f"{recipient!r} {recipient}"
    assert ACCOUNT_NUMBER.encode() not in pickle.dumps(recipient)


async def test_another_recipient(fake: FakePlastiq, session: PlastiqSession) -> None:
    """A recipient that was not asked for is no result."""
    body = json.dumps({"id": str(uuid4())}).encode()
    for call, unknown in ((READS[1], False), (WRITES[1], True)):
        fake.garble_next(body)
        error = await error_of(calls_of(session, uuid4())[call]())
        assert isinstance(error, APIResponseError)
        assert "not the id that was asked for" in str(error)
        assert error.outcome_unknown is unknown


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b'{"id": "s3cr3t"}', b'{"data": [{"id": "s3cr3t"}]}', b"s3"]
)
async def test_unreadable(
    body: bytes, fake: FakePlastiq, session: PlastiqSession
) -> None:
    """A response without an ID is an error; after a write its outcome is unknown."""
    for line in READS + WRITES:
        fake.garble_next(body)
        error = await error_of(calls_of(session, uuid4())[line]())
        assert isinstance(error, APIResponseError)
        assert error.outcome_unknown is (line in WRITES)
        assert error.next_step == ("reconcile" if line in WRITES else "again")
        assert "s3cr3t" not in str(error)


# --- errors ---


@pytest.mark.parametrize("line", EVERY)
@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_refused(
    status: int, line: str, fake: FakePlastiq, session: PlastiqSession
) -> None:
    """A refusal is an error of its class, and is not sent again."""
    fake.fail_next(status, details=["contact.email is required"])
    error = await error_of(calls_of(session, uuid4())[line]())
    assert isinstance(error, APIStatusError)
    assert error.status_code == status
    assert error.details == ("contact.email is required",)
    assert f"{error.method} {error.path}" == line
    assert (error.attempts, error.outcome_unknown) == (1, False)
    assert error.idempotency_key is None
    assert len(fake.requests) == 1


async def test_unknown_ids(fake: FakePlastiq, session: PlastiqSession) -> None:
    """The server refuses what does not exist: 404 in the path, 400 in the body."""
    made = await create(session, payer_id=fake.payer_id)
    recipients = session.recipients
    for call in (
        recipients.retrieve(made.id),
        recipients.retrieve(made.id, uuid4()),
        recipients.update(made.id, business_name="Tea Inc."),
        recipients.delete(made.id),
        recipients.list(uuid4()),
    ):
        assert isinstance(await error_of(call), NotFoundError)
    for changes in ({"payer_id": uuid4()}, {"category_id": uuid4()}):
        assert isinstance(await error_of(create(session, **changes)), BadRequestError)
    assert (await recipients.list(fake.payer_id)).data == (made,)


async def test_quoted_account_number(
    fake: FakePlastiq, session: PlastiqSession, caplog: pytest.LogCaptureFixture
) -> None:
    """An account number that a refusal quotes is masked everywhere."""
    caplog.set_level("DEBUG")
    quoted = f"{ACCOUNT_NUMBER[:4]} {ACCOUNT_NUMBER[4:]}"
    for kind in ("ACH", "EFT", "WIRE"):
        fake.fail_next(
            400, message=f"bad {ACCOUNT_NUMBER}", details=[f"no account {quoted}"]
        )
        error = await error_of(
            create(session, receiving_method=RECEIVING_METHODS[kind])
        )
        assert isinstance(error, BadRequestError)
        assert error.details == ("no account (masked)",)
        private = [ACCOUNT_NUMBER, quoted, "bob@example.com"]
        assert_untold([*texts_of(error), caplog.text], private)


# --- retries ---


@quickly
@pytest.mark.parametrize("line", READS)
@pytest.mark.parametrize(
    "order",
    [
        lambda fake: fake.fail_next(503, times=2),
        lambda fake: fake.drop_next(times=2),
        lambda fake: fake.drop_next(times=2, after_processing=True),
    ],
    ids=["503", "drop", "drop after processing"],
)
async def test_read_is_repeated(
    line: str,
    order: Callable[[FakePlastiq], None],
    fake: FakePlastiq,
    session: PlastiqSession,
) -> None:
    """A read is sent again after transient errors."""
    made = await create(session)
    order(fake)
    result: Any = await calls_of(session, made.id)[line]()
    assert result.response.attempts == 3


@quickly
@pytest.mark.parametrize("line", WRITES)
@pytest.mark.parametrize(
    "case",
    [
        (lambda fake: fake.fail_next(500), InternalServerError, False),
        (lambda fake: fake.fail_next(503), ServiceUnavailableError, False),
        (
            lambda fake: fake.fail_next(503, after_processing=True),
            ServiceUnavailableError,
            True,
        ),
        (lambda fake: fake.drop_next(), APIConnectionError, False),
        (
            lambda fake: fake.drop_next(after_processing=True),
            APIConnectionError,
            True,
        ),
    ],
    ids=["500", "503", "503 after processing", "drop", "drop after processing"],
)
async def test_write_is_sent_once(
    line: str,
    case: tuple[Callable[[FakePlastiq], None], type[PlastiqError], bool],
    fake: FakePlastiq,
    session: PlastiqSession,
) -> None:
    """What may have been done is not sent again; a read tells whether it was."""
    order, kind, done = case
    made = await create(session)
    order(fake)
    error = await error_of(calls_of(session, made.id)[line]())
    assert isinstance(error, kind)
    assert (error.attempts, error.outcome_unknown) == (1, True)
    assert error.next_step == "reconcile"
    assert len(fake.requests) == 2
    after = [recipient async for recipient in session.recipients.list()]
    assert (after != [made]) is done


@quickly
@pytest.mark.parametrize("line", EVERY)
async def test_repeated_if_never_sent(
    line: str, fake: FakePlastiq, session: PlastiqSession
) -> None:
    """A refused connection proves that nothing was done, so every call goes on."""
    made = await create(session)
    fake.refuse_next(times=2)
    await calls_of(session, made.id)[line]()
    assert len(fake.requests) == 2


@quickly
@pytest.mark.parametrize(
    "order",
    [
        lambda fake: fake.fail_next(503),
        lambda fake: fake.fail_next(503, after_processing=True),
        lambda fake: fake.drop_next(),
        lambda fake: fake.drop_next(after_processing=True),
    ],
    ids=["503", "503 after processing", "drop", "drop after processing"],
)
async def test_delete_is_repeated(
    order: Callable[[FakePlastiq], None], fake: FakePlastiq, session: PlastiqSession
) -> None:
    """A deletion that finds its own work done has succeeded."""
    made = await create(session)
    order(fake)
    await session.recipients.delete(made.id)
    assert len(fake.requests) == 3
    error = await error_of(session.recipients.delete(made.id))
    assert isinstance(error, NotFoundError)
    assert (error.attempts, error.outcome_unknown) == (1, False)


@quickly
@pytest.mark.parametrize("line", EVERY)
async def test_outage(line: str, fake: FakePlastiq, session: PlastiqSession) -> None:
    """An outage ends in an error that says what is unknown."""
    fake.drop_next(times=3)
    error = await error_of(calls_of(session, uuid4())[line]())
    assert isinstance(error, APIConnectionError)
    assert error.attempts == (1 if line in WRITES else 3)
    assert error.next_step == ("reconcile" if line in WRITES else "again")


# --- arguments ---


def refused() -> Iterator[Any]:
    """Yield each kind of wrong argument, with the beginning of its error."""
    some_id = UUID(CATEGORY)
    name = {"business_name": "Tea Inc."}
    for field, value in {
        "business_name": " ",
        "category_id": "s3cr3t",
        "business_address": "s3cr3t",
        "contact": {"email": "s3cr3t"},
        "receiving_method": {"accountNumber": "s3cr3t"},
        "payer_id": "s3cr3t",
    }.items():
        arguments = RECIPIENT | {field: value}
        yield pytest.param(
            "create", arguments, f"{field} must be", id=f"create {field}"
        )
    for field, value in {
        "business_name": "",
        "business_address": {"line1": "s3cr3t"},
        "contact": "s3cr3t",
    }.items():
        arguments = {"recipient_id": some_id, field: value}
        yield pytest.param(
            "update", arguments, f"{field} must be", id=f"update {field}"
        )
    phone = Contact(phone="s3cr3t")
    email = "contact.email must be given"
    yield "create", RECIPIENT | {"contact": phone}, email
    yield "update", {"recipient_id": some_id, "contact": phone}, email
    nothing = "give at least one of business_name, business_address, contact"
    yield "update", {"recipient_id": some_id}, nothing
    yield "update", {"recipient_id": some_id, "payer_id": some_id}, nothing
    yield "update", {"recipient_id": "s3cr3t", **name}, "recipient_id must be"
    scope = {"recipient_id": some_id, "payer_id": "s3cr3t"}
    yield "update", scope | name, "payer_id must be"
    for method in ("retrieve", "delete"):
        yield method, {"recipient_id": "../s3cr3t"}, "recipient_id must be"
        yield method, scope, "payer_id must be"
    yield "list", {"payer_id": "s3cr3t"}, "payer_id must be"
    yield "list", {"limit": 101}, "limit must be"
    yield "list", {"offset": -1}, "offset must be"


@pytest.mark.parametrize(("method", "arguments", "problem"), [*refused()])
async def test_wrong_argument(
    method: str,
    arguments: dict[str, Any],
    problem: str,
    fake: FakePlastiq,
    session: PlastiqSession,
) -> None:
    """A wrong argument is refused by name, its value is not told, nothing is sent."""
    with pytest.raises(InvalidArgumentError, match=f"^{problem}") as info:
        await getattr(session.recipients, method)(**arguments)
    assert "s3cr3t" not in str(info.value)
    assert fake.requests == []


async def test_complete_address(fake: FakePlastiq, session: PlastiqSession) -> None:
    """The address of a check is fit for the business, too."""
    address = Address(
        line1="1 Main St", city="Austin", state="TX", postal_code="78701", country="US"
    )
    recipient = await create(session, business_address=address)
    assert recipient.business_address
    assert recipient.business_address.city == "Austin"
    assert len(fake.requests) == 1
