"""Contacts and addresses."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from plastiq_async import (
    Address,
    AddressDetails,
    Contact,
    InvalidArgumentError,
    RecipientAddress,
)
from plastiq_async._codec import encode, structure
from plastiq_async.models.contacts import check_contact

PARTS: dict[str, Any] = {
    "line1": "1 Main St",
    "line2": "Floor 2",
    "city": "Austin",
    "state": "TX",
    "postal_code": "78701",
    "country": "US",
}
ON_THE_WIRE = (
    b'{"line1":"1 Main St","line2":"Floor 2","country":"US","city":"Austin",'
    b'"state":"TX","postalCode":"78701"}'
)


def test_address() -> None:
    """All parts go out in the API's spelling."""
    assert encode(Address(**PARTS)) == ON_THE_WIRE
    assert structure(PARTS | {"postalCode": "78701"}, AddressDetails) == (
        AddressDetails(**PARTS)
    )


def test_least_address() -> None:
    """The address of a recipient needs a line and a country."""
    address = RecipientAddress(line1="1 Main St", country="US")
    assert encode(address) == b'{"line1":"1 Main St","country":"US"}'
    with pytest.raises(TypeError, match="city"):
        Address(line1="1 Main St", country="US")  # type: ignore[call-arg]
    assert isinstance(Address(**PARTS), RecipientAddress)


@pytest.mark.parametrize("cls", [Address, RecipientAddress])
@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("value", ["", " ", "a\nb", 5])
def test_no_address(cls: type, name: str, value: object) -> None:
    """A part that is not valid is refused by name."""
    with pytest.raises(InvalidArgumentError, match=f"^{name} must be"):
        cls(**PARTS | {name: value})


def test_any_address_of_the_server() -> None:
    """In a result any part may be missing or empty."""
    value = {"line1": "", "line2": None, "country": "usa", "planet": "Earth"}
    assert structure(value, AddressDetails) == AddressDetails(line1="", country="usa")


@pytest.mark.parametrize(
    "value",
    [
        Contact(first_name="Ada", email="ada@example.com"),
        Address(**PARTS),
        RecipientAddress(**PARTS),
        AddressDetails(**PARTS),
    ],
)
def test_personal_data_is_hidden(value: Any) -> None:
    """The repr shows which parts are set, and none of them but the country."""
    shown = repr(value)
    for field in attrs.fields(type(value)):
        part = getattr(value, field.name)
        assert f"{field.name}=" in shown
        assert part is None or part not in shown or field.name == "country"


def test_contact() -> None:
    """A contact of texts passes, whichever parts it has."""
    for contact in (Contact(), Contact(email="a"), Contact(first_name="a", phone="b")):
        assert check_contact("contact", contact) is contact


@pytest.mark.parametrize("name", ["first_name", "last_name", "email", "phone"])
@pytest.mark.parametrize("value", ["", " ", "a\x00", 5])
def test_no_contact(name: str, value: Any) -> None:
    """A part that is no text is refused by its whole name."""
    with pytest.raises(InvalidArgumentError, match=rf"^contact\.{name} must be"):
        check_contact("contact", Contact(**{name: value}))


@pytest.mark.parametrize("value", [None, {"email": "a"}, "ada@example.com"])
def test_another_contact(value: object) -> None:
    """Anything else than a contact is refused."""
    with pytest.raises(InvalidArgumentError, match=r"^contact must be a Contact$"):
        check_contact("contact", value)
