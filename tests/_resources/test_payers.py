"""Payers with the fake in memory, and over sockets."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeAlias
from uuid import UUID

import pytest

from plastiq_async import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    Contact,
    IdentityDocument,
    InternalServerError,
    InvalidArgumentError,
    NewIdentityDocument,
    NotFoundError,
    Payer,
    Payers,
    PermissionDeniedError,
    PlastiqSession,
    RecipientAddress,
    __version__,
)
from plastiq_async.testing import FakePlastiq, RecordedRequest
from tests.support.errors import error_of, frames_of
from tests.support.payers import ARGUMENTS, BODY, FIELDS, NUMBER, PASSPORT
from tests.support.private_texts import assert_untold, logged, texts_of
from tests.support.sessions import fake_session

Call: TypeAlias = Callable[[], Awaitable[Any]]

TRACE_ID = "fe278caa-e01d-4910-b975-5c19c21a6d8e"
PAYER_ID = UUID("0e2dcb1c-bd21-4ba5-b2c8-0e7ea0ac2a5d")
OTHER_ID = "11111111-1111-4111-8111-111111111111"

quickly = pytest.mark.usefixtures("quick_retries")


@pytest.fixture
async def payers(fake_plastiq: FakePlastiq) -> AsyncIterator[Payers]:
    """Return the resource of a session with the fake."""
    async with fake_session(fake_plastiq) as session:
        yield session.payers


def the_request(fake: FakePlastiq) -> RecordedRequest:
    """Return the only request that the fake got."""
    (request,) = fake.requests
    return request


def calls_of(payers: Payers, payer_id: UUID | str = PAYER_ID) -> dict[str, Call]:
    """Return a call of each method."""
    return {
        "create": partial(payers.create, **ARGUMENTS),
        "retrieve": partial(payers.retrieve, payer_id),
        "update": partial(payers.update, payer_id, **ARGUMENTS),
        "delete": partial(payers.delete, payer_id),
    }


def respond(fake: FakePlastiq, **members: object) -> None:
    """Let the fake send a payer with these members next."""
    fake.garble_next(json.dumps({"id": str(PAYER_ID), **members}).encode())


# --- success ---


async def test_create(payers: Payers, fake_plastiq: FakePlastiq) -> None:
    """A new payer has what was sent, but not the values of identity documents."""
    payer = await payers.create(**ARGUMENTS, trace_id=TRACE_ID)
    request = the_request(fake_plastiq)
    assert (request.method, request.path) == ("POST", "/api/payers")
    assert json.loads(request.body) == BODY
    assert request.query == {}
    headers = {
        name: value
        for name, value in request.headers.items()
        if name in {"trace-id", "user-agent", "content-type", "idempotency-key"}
    }
    assert headers == {
        "trace-id": TRACE_ID,
        "user-agent": f"plastiq-async/{__version__}",
        "content-type": "application/json",
    }
    assert type(payer) is Payer
    assert payer.id in fake_plastiq.payer_ids
    assert payer.contact == ARGUMENTS["contact"]
    assert payer.business_name == "Café Ada"
    assert payer.business_address is not None
    assert (payer.business_address.line2, payer.business_address.postal_code) == (
        "Floor 2",
        "62701",
    )
    assert [document.type for document in payer.identity_documents] == [
        "US_SSN",
        "PASSPORT_NUMBER",
    ]
    assert all(type(document.id) is UUID for document in payer.identity_documents)
    assert payer.status == "ACTIVE"
    assert payer.created_at is not None
    assert payer.created_at.tzinfo is UTC
    assert payer.response.trace_id == UUID(TRACE_ID)
    assert payer.response.attempts == 1


@pytest.mark.parametrize("contact", [{"email": "a@example.com"}, {"phone": "1"}])
async def test_least_creation(
    contact: dict[str, str], payers: Payers, fake_plastiq: FakePlastiq
) -> None:
    """A contact with an email or a phone is enough, and no null is sent."""
    payer = await payers.create(contact=Contact(**contact))
    assert json.loads(the_request(fake_plastiq).body) == {"contact": contact}
    assert (payer.contact, payer.business_name) == (Contact(**contact), None)
    assert (payer.business_address, payer.identity_documents) == (None, ())


async def test_retrieve(payers: Payers, fake_plastiq: FakePlastiq) -> None:
    """A payer is read by its ID, as a UUID or a string."""
    created = await payers.create(**ARGUMENTS)
    for payer_id in (created.id, str(created.id)):
        assert await payers.retrieve(payer_id) == created
    request = fake_plastiq.requests[-1]
    assert (request.method, request.path) == ("GET", f"/api/payers/{created.id}")
    assert (request.body, request.query) == (b"", {})


@pytest.mark.parametrize("name", FIELDS)
async def test_update_of_one_field(
    name: str, payers: Payers, fake_plastiq: FakePlastiq
) -> None:
    """An update sends what is given, whole, and nothing else."""
    before = await payers.retrieve(fake_plastiq.payer_id)
    payer = await payers.update(fake_plastiq.payer_id, **{name: ARGUMENTS[name]})
    request = fake_plastiq.requests[-1]
    assert request.method == "PATCH"
    assert request.path == f"/api/payers/{fake_plastiq.payer_id}"
    assert json.loads(request.body) == {FIELDS[name]: BODY[FIELDS[name]]}
    changed = {one for one in FIELDS if getattr(payer, one) != getattr(before, one)}
    assert changed == {name}


async def test_update_of_everything(payers: Payers, fake_plastiq: FakePlastiq) -> None:
    """All fields can be changed at once."""
    payer = await payers.update(str(fake_plastiq.payer_id), **ARGUMENTS)
    assert json.loads(the_request(fake_plastiq).body) == BODY
    assert payer.contact == ARGUMENTS["contact"]
    assert payer == await payers.retrieve(payer.id)


async def test_delete(payers: Payers, fake_plastiq: FakePlastiq) -> None:
    """A deleted payer does not exist any more."""
    payer = await payers.create(**ARGUMENTS)
    await payers.delete(payer.id)
    request = fake_plastiq.requests[-1]
    assert (request.method, request.path) == ("DELETE", f"/api/payers/{payer.id}")
    assert request.body == b""
    for call in (payers.retrieve, payers.delete):
        assert isinstance(await error_of(call(payer.id)), NotFoundError)


# --- responses ---


async def test_least_response(payers: Payers, fake_plastiq: FakePlastiq) -> None:
    """Only the ID is needed; whatever is missing or null is None, or empty."""
    names = ("contact", "businessName", "identityDocuments", "createdAt", "status")
    for members in ({}, dict.fromkeys(names)):
        respond(fake_plastiq, **members)
        payer = await payers.retrieve(PAYER_ID)
        assert payer == Payer(id=PAYER_ID, response=payer.response)


async def test_new_values(payers: Payers, fake_plastiq: FakePlastiq) -> None:
    """Values and fields that the API adds later are no failure."""
    documents = [{"type": "LIBRARY_CARD", "shelf": 1}, {"id": OTHER_ID}]
    respond(
        fake_plastiq,
        status="SLEEPING",
        colour="red",
        contact={"email": None, "fax": "1"},
        identityDocuments=documents,
        createdAt="2020-11-19T01:35:53.096Z",
    )
    payer = await payers.retrieve(PAYER_ID)
    assert (payer.status, payer.contact) == ("SLEEPING", Contact())
    assert payer.identity_documents == (
        IdentityDocument(type="LIBRARY_CARD"),
        IdentityDocument(id=UUID(OTHER_ID)),
    )
    assert payer.created_at == datetime(2020, 11, 19, 1, 35, 53, 96_000, tzinfo=UTC)


async def test_other_success_statuses(
    payers: Payers, fake_plastiq: FakePlastiq
) -> None:
    """A creation may be a 201, and a deletion may have a body."""
    fake_plastiq.garble_next(b'{"id": "%s"}' % OTHER_ID.encode(), status=201)
    assert (await payers.create(**ARGUMENTS)).id == UUID(OTHER_ID)
    fake_plastiq.garble_next(b"gone", status=200)
    await payers.delete(PAYER_ID)


@pytest.mark.parametrize("method", ["create", "retrieve", "update"])
@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"id": None}, "$.id"),
        ({"id": "s3cr3t"}, "$.id"),
        ({"createdAt": "yesterday"}, "$.createdAt"),
        ({"contact": "s3cr3t"}, "$.contact"),
        ({"contact": {"email": 7}}, "$.contact.email"),
        ({"identityDocuments": [{"id": "s3cr3t"}]}, "$.identityDocuments[0].id"),
        ({"status": 7}, "$.status"),
    ],
)
async def test_invalid_response(
    method: str,
    members: dict[str, object],
    path: str,
    payers: Payers,
    fake_plastiq: FakePlastiq,
) -> None:
    """An error about the response says where, and what is known of a change."""
    respond(fake_plastiq, **members)
    error = await error_of(calls_of(payers)[method]())
    assert isinstance(error, APIResponseError)
    assert f"@ {path} [" in str(error)
    assert "s3cr3t" not in str(error)
    unknown = method != "retrieve"
    assert error.outcome_unknown is unknown
    assert error.next_step == ("reconcile" if unknown else "again")
    the_request(fake_plastiq)


async def test_response_of_another_payer(
    payers: Payers, fake_plastiq: FakePlastiq
) -> None:
    """Another payer than the one asked for is refused, and not shown."""
    steps = []
    for method in ("retrieve", "update"):
        respond(fake_plastiq, id=OTHER_ID, contact={"email": "eve@example.com"})
        error = await error_of(calls_of(payers)[method]())
        assert isinstance(error, APIResponseError)
        assert "not the id that was asked for" in str(error)
        assert_untold(texts_of(error), [OTHER_ID])
        assert_untold([*texts_of(error), *frames_of(error)], ["eve@example.com"])
        steps.append((error.outcome_unknown, error.next_step))
    assert steps == [(False, "again"), (True, "reconcile")]


# --- errors ---


@pytest.mark.parametrize("method", ["create", "retrieve", "update", "delete"])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (500, InternalServerError),
    ],
)
async def test_documented_error(
    method: str, status: int, kind: type[APIStatusError], fake_plastiq: FakePlastiq
) -> None:
    """Each documented status is an error of its class, which names no ID."""
    fake_plastiq.fail_next(status, details=["a detail"], on=f"payers.{method}")
    async with fake_session(fake_plastiq, max_retries=0) as session:
        error = await error_of(calls_of(session.payers)[method]())
    assert type(error) is kind
    assert isinstance(error, APIStatusError)
    assert error.details == ("a detail",)
    assert error.path == ("/payers" if method == "create" else "/payers/{id}")
    assert str(PAYER_ID) not in str(error)
    assert error.outcome_unknown is (method != "retrieve" and status == 500)
    unsafe = method in {"create", "update"}
    step = "reconcile" if unsafe else "again"
    assert error.next_step == (step if status == 500 else "fix")


@pytest.mark.parametrize("method", ["retrieve", "update", "delete"])
async def test_unknown_payer(
    method: str, payers: Payers, fake_plastiq: FakePlastiq
) -> None:
    """A payer that does not exist is a 404, even of a first deletion."""
    error = await error_of(calls_of(payers)[method]())
    assert isinstance(error, NotFoundError)
    assert (error.attempts, error.outcome_unknown) == (1, False)
    the_request(fake_plastiq)


# --- retries ---

Order: TypeAlias = Callable[[FakePlastiq], None]
# Each fault, and whether the server may have acted.
ORDERS: dict[str, tuple[Order, bool]] = {
    "503": (lambda fake: fake.fail_next(503), True),
    "503 after": (lambda fake: fake.fail_next(503, after_processing=True), True),
    "500": (lambda fake: fake.fail_next(500), True),
    "429": (lambda fake: fake.fail_next(429), False),
    "drop": (lambda fake: fake.drop_next(), True),
    "drop after": (lambda fake: fake.drop_next(after_processing=True), True),
}
orders = pytest.mark.parametrize("name", ORDERS)


@quickly
@orders
@pytest.mark.parametrize("method", ["create", "update"])
async def test_change_is_sent_once(
    method: str, name: str, payers: Payers, fake_plastiq: FakePlastiq
) -> None:
    """A creation or an update that was sent is not repeated."""
    order, unknown = ORDERS[name]
    order(fake_plastiq)
    error = await error_of(calls_of(payers, fake_plastiq.payer_id)[method]())
    the_request(fake_plastiq)
    assert error.attempts == 1
    assert error.outcome_unknown is unknown
    assert error.next_step == ("reconcile" if unknown else "again")
    created = method == "create" and name.endswith("after")
    assert len(fake_plastiq.payer_ids) == 1 + created


@quickly
@orders
@pytest.mark.parametrize("method", ["retrieve", "delete"])
async def test_repeated(
    method: str, name: str, payers: Payers, fake_plastiq: FakePlastiq
) -> None:
    """A read or a deletion is repeated, and a deletion may find its own work."""
    ORDERS[name][0](fake_plastiq)
    await calls_of(payers, fake_plastiq.payer_id)[method]()
    assert len(fake_plastiq.requests) == 2
    assert len({request.trace_id for request in fake_plastiq.requests}) == 1
    assert len(fake_plastiq.payer_ids) == (method == "retrieve")


@quickly
async def test_not_deleted_before(payers: Payers, fake_plastiq: FakePlastiq) -> None:
    """A 404 is an error if no earlier attempt can have deleted the payer."""
    fake_plastiq.fail_next(429)
    error = await error_of(payers.delete(PAYER_ID))
    assert isinstance(error, NotFoundError)
    assert (error.attempts, error.outcome_unknown) == (2, False)


@quickly
@pytest.mark.parametrize("method", ["create", "retrieve", "update", "delete"])
async def test_retried_if_never_sent(
    method: str, payers: Payers, fake_plastiq: FakePlastiq
) -> None:
    """What was never sent is retried, and does nothing twice."""
    call = calls_of(payers, fake_plastiq.payer_id)[method]
    fake_plastiq.refuse_next(times=3)
    error = await error_of(call())
    assert isinstance(error, APIConnectionError)
    assert (error.attempts, error.outcome_unknown) == (3, False)
    assert error.next_step == "again"
    fake_plastiq.refuse_next(times=2)
    await call()
    the_request(fake_plastiq)


# --- secrets and arguments ---


@pytest.mark.parametrize("method", ["create", "update"])
async def test_values_of_documents_are_hidden(
    method: str,
    payers: Payers,
    fake_plastiq: FakePlastiq,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No error, log or frame shows a value, even if the server repeats it."""
    caplog.set_level(logging.DEBUG)
    private = [NUMBER, NUMBER.replace("-", ""), PASSPORT]
    said = f"{PASSPORT} and {NUMBER}, also written 987654321, are taken"
    call = calls_of(payers, fake_plastiq.payer_id)[method]
    fake_plastiq.fail_next(400, message=said, details=[said])
    quoted = await error_of(call())
    assert "(masked) and (masked), also" in str(quoted)
    fake_plastiq.garble_next(b'{"id": "%s"}' % NUMBER.encode())
    garbled = await error_of(call())
    fake_plastiq.drop_next()
    dropped = await error_of(call())
    for error in (quoted, garbled, dropped):
        assert_untold([*texts_of(error), *frames_of(error)], private)
    payer = await call()
    assert_untold([repr(payer), repr(payer.response), *logged(caplog)], private)


@pytest.mark.parametrize("method", ["create", "update"])
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"contact": {"email": "s3cr3t"}}, "contact must be a Contact"),
        ({"contact": Contact()}, "contact must have an email or a phone"),
        (
            {"contact": Contact(first_name="s3cr3t")},
            "contact must have an email or a phone",
        ),
        ({"contact": Contact(email=" ")}, "contact.email must be"),
        ({"contact": Contact(phone="s3cr3t\n")}, "contact.phone must be"),
        ({"business_name": ""}, "business_name must be"),
        ({"business_name": 7}, "business_name must be"),
        ({"business_address": {}}, "business_address must be an Address"),
        (
            {"business_address": RecipientAddress(line1="s3cr3t", country="US")},
            "business_address must be an Address",
        ),
        (
            {"identity_documents": ["s3cr3t"]},
            "identity_documents must be a sequence of NewIdentityDocument",
        ),
        ({"trace_id": "s3cr3t"}, "trace_id must be"),
        ({"timeout": 0}, "timeout must be"),
    ],
)
async def test_refused_argument(
    method: str,
    changes: dict[str, Any],
    text: str,
    payers: Payers,
    fake_plastiq: FakePlastiq,
) -> None:
    """An invalid argument is refused by its name before anything is sent."""
    calls: dict[str, Callable[..., Awaitable[object]]] = {
        "create": payers.create,
        "update": partial(payers.update, PAYER_ID),
    }
    with pytest.raises(InvalidArgumentError, match=f"^{text}") as info:
        await calls[method](**ARGUMENTS | changes)
    assert "s3cr3t" not in str(info.value)
    assert fake_plastiq.requests == []


@pytest.mark.parametrize("payer_id", ["", "s3cr3t", "../x", None, 7])
@pytest.mark.parametrize("method", ["retrieve", "update", "delete"])
async def test_refused_id(
    method: str, payer_id: Any, payers: Payers, fake_plastiq: FakePlastiq
) -> None:
    """What is not the ID of a payer is refused before anything is sent."""
    with pytest.raises(InvalidArgumentError, match=r"^payer_id must be a UUID"):
        await calls_of(payers, payer_id)[method]()
    assert fake_plastiq.requests == []


async def test_contact_is_required(payers: Payers, fake_plastiq: FakePlastiq) -> None:
    """There is no payer without a contact."""
    with pytest.raises(InvalidArgumentError, match=r"^contact must be a Contact$"):
        await payers.create(contact=None)  # type: ignore[arg-type]
    assert fake_plastiq.requests == []


async def test_update_without_a_change(
    payers: Payers, fake_plastiq: FakePlastiq
) -> None:
    """An update changes something, and cannot remove identity documents."""
    text = "^give at least one of contact, business_name, business_address, identity_d"
    with pytest.raises(InvalidArgumentError, match=text):
        await payers.update(PAYER_ID, timeout=5)
    text = "^identity_documents must not be empty"
    with pytest.raises(InvalidArgumentError, match=text):
        await payers.update(PAYER_ID, business_name="A", identity_documents=[])
    assert fake_plastiq.requests == []


@pytest.mark.parametrize("documents", [None, []])
async def test_creation_without_documents(
    documents: list[NewIdentityDocument] | None,
    payers: Payers,
    fake_plastiq: FakePlastiq,
) -> None:
    """An empty list of identity documents is as good as none."""
    contact = ARGUMENTS["contact"]
    await payers.create(contact=contact, identity_documents=documents)
    assert json.loads(the_request(fake_plastiq).body) == {"contact": BODY["contact"]}


async def test_view(fake_plastiq: FakePlastiq) -> None:
    """A view of a session has payers, too."""
    async with fake_session(fake_plastiq) as session:
        view: PlastiqSession = session.with_options(timeout=5)
        assert (await view.payers.retrieve(fake_plastiq.payer_id)).status == "ACTIVE"
