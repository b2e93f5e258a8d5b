"""The fake's checks of texts, contacts and addresses."""

from __future__ import annotations

import pytest

from plastiq_async.testing._errors import ValidationError
from plastiq_async.testing._party_checks import (
    ADDRESS,
    RECIPIENT_ADDRESS,
    check_address,
    check_contact,
    check_country,
    check_given,
    check_text,
    matches,
)

WHOLE: dict[str, object] = {
    "line1": "1 Main Street",
    "line2": "Floor 2",
    "city": "Springfield",
    "state": "IL",
    "postalCode": "62701",
    "country": "US",
}


def detail_of(error: ValidationError) -> str:
    """Return the one detail of an error."""
    (detail,) = error.details
    return detail


@pytest.mark.parametrize("value", [None, 7, True, "", " \t", [], {}])
def test_text_that_is_none(value: object) -> None:
    """Only a string that is not blank is a text."""
    with pytest.raises(ValidationError) as info:
        check_text(value, "name")
    assert detail_of(info.value) == "name must be a string that is not blank"


def test_length_of_a_text() -> None:
    """A text has a limit if the contract says so."""
    assert check_text("abc", "name", longest=3) == "abc"
    with pytest.raises(ValidationError) as info:
        check_text("abcd", "name", longest=3)
    assert detail_of(info.value) == "name must have at most 3 characters"


@pytest.mark.parametrize("value", [None, 7, "", "us", "USA", "U1", "US\n", "ÄÖ"])
def test_country_that_is_none(value: object) -> None:
    """A country is two capital letters."""
    assert check_country("CA", "country") == "CA"
    with pytest.raises(ValidationError) as info:
        check_country(value, "country")
    assert detail_of(info.value) == "country must be two capital letters"


@pytest.mark.parametrize("required", [ADDRESS, RECIPIENT_ADDRESS])
def test_address(required: tuple[str, ...]) -> None:
    """An address needs what is required, and may have the rest."""
    least = {field: WHOLE[field] for field in required}
    for address in (least, WHOLE):
        assert check_address(address, "address", required=required) is address
    for field in required:
        with pytest.raises(ValidationError) as info:
            check_address(
                {name: value for name, value in least.items() if name != field},
                "address",
                required=required,
            )
        assert detail_of(info.value) == f"address.{field} is required"


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"line2": None}, "address.line2 must be a string that is not blank"),
        ({"city": ""}, "address.city must be a string that is not blank"),
        ({"country": "usa"}, "address.country must be two capital letters"),
        ({"zip": "62701"}, "address.zip is unknown"),
    ],
)
def test_wrong_address(changes: dict[str, object], detail: str) -> None:
    """A wrong part of an address is named."""
    with pytest.raises(ValidationError) as info:
        check_address({**WHOLE, **changes}, "address")
    assert detail_of(info.value) == detail


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (None, "contact must be an object"),
        ({"phone": "+1 202 555 0100"}, "contact.email is required"),
        ({"email": None}, "contact.email must be a string that is not blank"),
        ({"email": "a@example.com", "fax": "1"}, "contact.fax is unknown"),
    ],
)
def test_wrong_contact(value: object, detail: str) -> None:
    """A wrong part of a contact is named."""
    with pytest.raises(ValidationError) as info:
        check_contact(value, "contact", required=("email",))
    assert detail_of(info.value) == detail


def test_contact() -> None:
    """A contact may have any of its parts if none is required."""
    assert check_contact({}, "contact") == {}
    names = ("firstName", "lastName", "email", "phone")
    whole = dict.fromkeys(names, "x")
    assert check_contact(whole, "contact", required=names) is whole


def test_given_fields() -> None:
    """Only fields that are given and in the table are checked and returned."""
    checks = {"name": check_text, "code": matches("[0-9]{3}", "3 digits")}
    body = {"code": "123", "other": None}
    assert check_given(body, checks) == {"code": "123"}
    with pytest.raises(ValidationError) as info:
        check_given({"code": "12"}, checks, "data.")
    assert detail_of(info.value) == "data.code must be 3 digits"
