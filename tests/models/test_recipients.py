"""`CreateRecipient` and `Recipient`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import attrs
import pytest

from plastiq_async import (
    Address,
    AddressDetails,
    Contact,
    CreateRecipient,
    InvalidArgumentError,
    ReceivingMethod,
    Recipient,
)
from plastiq_async._codec import DecodeError, encode, structure_result
from plastiq_async.models.recipients import recipient_body
from tests.support.models import PAYER, make_info
from tests.support.recipients import (
    ACCOUNT_NUMBER,
    CATEGORY,
    RECEIVING_METHODS,
    RECEIVING_METHODS_JSON,
    RECIPIENT,
    RECIPIENT_JSON,
    make_create_recipient,
)

ID = UUID("a8d4a3c6-0f0b-4f0e-9f2e-0c1b7f3d5a11")
OTHER_CLASS = type("Other", (), {})()


@pytest.mark.parametrize("kind", RECEIVING_METHODS)
def test_body(kind: str) -> None:
    """A request has the API's names, and the address of a check is flat."""
    request = make_create_recipient(receiving_method=RECEIVING_METHODS[kind])
    assert json.loads(encode(recipient_body(request))) == {
        **RECIPIENT_JSON,
        "receivingMethod": RECEIVING_METHODS_JSON[kind],
    }


def test_scoped_body() -> None:
    """The payer is a reference, unlike the category."""
    request = make_create_recipient(payer_id=str(PAYER), category_id=UUID(CATEGORY))
    assert (request.payer_id, request.category_id) == (PAYER, UUID(CATEGORY))
    body = json.loads(encode(recipient_body(request)))
    assert body == {**RECIPIENT_JSON, "payer": {"id": str(PAYER)}}


def test_complete_address() -> None:
    """A complete address is an address of a recipient, too."""
    address = Address(
        line1="1 Main St",
        line2="Floor 2",
        city="Austin",
        state="TX",
        postal_code="78701",
        country="US",
    )
    request = make_create_recipient(business_address=address)
    body = json.loads(encode(recipient_body(request)))
    assert body["businessAddress"]["line2"] == "Floor 2"


@pytest.mark.parametrize(
    ("name", "values", "problem"),
    [
        ("business_name", ["", " ", "a\nb", 7, None], "must be a string"),
        ("category_id", ["s3cr3t", "", 7, None], "must be a UUID"),
        ("payer_id", ["s3cr3t", "", 7], "must be a UUID"),
        (
            "business_address",
            [None, "s3cr3t", {"line1": "s3cr3t"}, AddressDetails(line1="s3cr3t")],
            "must be a RecipientAddress or an Address",
        ),
        ("contact", [None, "s3cr3t", {"email": "s3cr3t"}], "must be a Contact"),
        (
            "receiving_method",
            [None, "ACH", {"type": "ACH"}, ReceivingMethod(type="ACH"), OTHER_CLASS],
            "must be an Ach, a Check, an Eft or a Wire",
        ),
    ],
)
def test_refused(name: str, values: list[Any], problem: str) -> None:
    """An invalid value is refused by name, and the error does not repeat it."""
    for value in values:
        with pytest.raises(InvalidArgumentError, match=f"^{name} {problem}") as info:
            make_create_recipient(**{name: value})
        assert "s3cr3t" not in str(info.value)


@pytest.mark.parametrize(
    ("contact", "problem"),
    [
        (Contact(), "contact.email must be given"),
        (Contact(phone="4155550100"), "contact.email must be given"),
        (Contact(email=" "), "contact.email must be a string that is not blank"),
        (Contact(email="a@b.example", phone=""), "contact.phone must be a string"),
    ],
)
def test_contact(contact: Contact, problem: str) -> None:
    """A recipient needs an email address, also with a phone number."""
    with pytest.raises(InvalidArgumentError, match=f"^{problem}"):
        make_create_recipient(contact=contact)


def test_required() -> None:
    """All but the payer is required."""
    for name in RECIPIENT:
        rest = {key: value for key, value in RECIPIENT.items() if key != name}
        with pytest.raises(TypeError, match=name):
            CreateRecipient(**rest)


def test_repr() -> None:
    """The repr shows no name, contact, address or account number."""
    for method in RECEIVING_METHODS.values():
        shown = repr(make_create_recipient(receiving_method=method, payer_id=PAYER))
        assert str(PAYER) in shown
        for private in (ACCOUNT_NUMBER, "Beans", "Bob", "bob@", "Main St", "Austin"):
            assert private not in shown


# --- results ---


def read(**fields: object) -> Recipient:
    """Decode a recipient from a response."""
    return structure_result({"id": str(ID), **fields}, Recipient, make_info())


def test_recipient() -> None:
    """Every field of the contract is read, with references flat."""
    recipient = read(
        **RECIPIENT_JSON,
        payer={"id": str(PAYER)},
        createdAt="2020-11-19T01:35:53.096Z",
        status="ACTIVE",
        colour="red",
    )
    method = recipient.receiving_method
    assert method
    assert method.account_number == ACCOUNT_NUMBER
    assert recipient == Recipient(
        id=ID,
        business_name="Beans Inc.",
        category_id=UUID(CATEGORY),
        business_address=AddressDetails(line1="1 Main St", country="US"),
        contact=Contact(first_name="Bob", email="bob@example.com"),
        receiving_method=ReceivingMethod(
            type="ACH",
            account_number=ACCOUNT_NUMBER,
            routing_number="021000021",
            beneficiary_name="Beans Inc.",
        ),
        payer_id=PAYER,
        created_at=datetime(2020, 11, 19, 1, 35, 53, 96_000, tzinfo=UTC),
        status="ACTIVE",
        response=make_info(),
    )
    shown = repr(recipient)
    assert str(ID) in shown
    for private in (ACCOUNT_NUMBER, "Beans", "Bob", "bob@", "Main St"):
        assert private not in shown


@pytest.mark.parametrize("value", ["missing", None])
def test_least_recipient(value: object) -> None:
    """Only the ID is required; null is the same as absence."""
    names = [*RECIPIENT_JSON, "payer", "createdAt", "status"]
    recipient = read(**dict.fromkeys(names) if value is None else {})
    rest = attrs.asdict(recipient, filter=lambda field, _: field.name != "response")
    assert {name for name, value in rest.items() if value is not None} == {"id"}


def test_new_values() -> None:
    """A status that the API adds later, and a null in an address, are no failure."""
    address = {"line1": "1 Main St", "line2": None, "country": "US"}
    recipient = read(status="SLEEPING", businessAddress=address)
    assert recipient.status == "SLEEPING"
    assert recipient.business_address == AddressDetails(line1="1 Main St", country="US")


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"id": None}, r"\$\.id"),
        ({"id": "s3cr3t"}, r"\$\.id"),
        ({"categoryId": "s3cr3t"}, r"\$\.categoryId"),
        ({"payer": {}}, r"payer\.id is missing @ \$"),
        ({"createdAt": "yesterday"}, r"\$\.createdAt"),
        ({"contact": {"email": 7}}, r"\$\.contact\.email"),
        ({"businessAddress": []}, r"\$\.businessAddress"),
        ({"receivingMethod": {"accountNumber": 7}}, r"\.accountNumber"),
        ({"status": 7}, r"\$\.status"),
    ],
)
def test_invalid_recipient(fields: dict[str, object], path: str) -> None:
    """A field of another type is an error with its path and without its value."""
    with pytest.raises(DecodeError, match=path) as info:
        read(**fields)
    assert "s3cr3t" not in str(info.value)
