"""The payer models: validation of identity documents, and hidden values."""

from __future__ import annotations

import pickle
from typing import Any
from uuid import UUID

import pytest

from plastiq_async.errors import InvalidArgumentError
from plastiq_async.models import (
    AddressDetails,
    Contact,
    IdentityDocument,
    NewIdentityDocument,
    Payer,
)
from plastiq_async.models.payers import check_identity_documents
from tests.support.errors import frames_of
from tests.support.models import PAYER, SECRET, make_info
from tests.support.payers import NUMBER

DOCUMENT = NewIdentityDocument(type="US_SSN", value=NUMBER)


@pytest.mark.parametrize(
    "type_",
    ["US_TIN", "US_EIN", "US_SSN", "PASSPORT_NUMBER", "ALIEN_REGISTRATION_NUMBER"],
)
def test_identity_document(type_: Any) -> None:
    """An identity document has a type of the contract, and may have a country."""
    document = NewIdentityDocument(type=type_, value="1", country_of_issuance="DE")
    assert (document.type, document.value) == (type_, "1")
    assert document.country_of_issuance == "DE"
    assert NewIdentityDocument(type=type_, value="1").country_of_issuance is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("type", "us_ssn"),
        ("type", "s3cr3t"),
        ("type", None),
        ("type", []),
        ("value", ""),
        ("value", " "),
        ("value", "s3cr3t\n"),
        ("value", "s3cr3t\ud800"),
        ("value", 123456789),
        ("value", None),
        ("country_of_issuance", "de"),
        ("country_of_issuance", "DEU"),
        ("country_of_issuance", ""),
        ("country_of_issuance", 5),
    ],
)
def test_refused_identity_document(name: str, value: Any) -> None:
    """An invalid part is named, and neither the error nor its frames show a value."""
    values = {"type": "US_SSN", "value": NUMBER, name: value}
    with pytest.raises(InvalidArgumentError, match=rf"^{name} must be ") as info:
        NewIdentityDocument(**values)
    for text in (str(info.value), *frames_of(info.value)):
        assert NUMBER not in text
        assert "s3cr3t" not in text
        assert "123456789" not in text


def test_value_is_hidden() -> None:
    """The value is not in the repr."""
    assert repr(DOCUMENT) == (
        "NewIdentityDocument(type='US_SSN', country_of_issuance=None)"
    )


@pytest.mark.parametrize("documents", [[], [DOCUMENT], (DOCUMENT, DOCUMENT)])
def test_identity_documents(documents: Any) -> None:
    """Any sequence of identity documents becomes a tuple."""
    assert check_identity_documents("it", documents) == tuple(documents)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "s3cr3t",
        b"",
        7,
        {},
        {DOCUMENT},
        DOCUMENT,
        iter([DOCUMENT]),
        [DOCUMENT, None],
        [{"type": "US_SSN", "value": "s3cr3t"}],
        [IdentityDocument(type="US_SSN")],
    ],
)
def test_refused_identity_documents(value: Any) -> None:
    """Anything but a sequence of new identity documents is refused."""
    text = "^it must be a sequence of NewIdentityDocument$"
    with pytest.raises(InvalidArgumentError, match=text):
        check_identity_documents("it", value)


def make_payer(**changes: Any) -> Payer:
    """Return a payer with everything that a payer can have."""
    values: dict[str, Any] = {
        "id": PAYER,
        "business_name": "Ada's Coffee",
        "contact": Contact(first_name="Ada", email="ada@example.com"),
        "business_address": AddressDetails(line1="1 Main Street", country="US"),
        "identity_documents": (IdentityDocument(id=UUID(int=1), type="US_EIN"),),
        "status": "ACTIVE",
        "response": make_info(),
    }
    return Payer(**values | changes)


def test_repr_of_a_payer() -> None:
    """The repr shows which personal data there are, and none of them."""
    shown = repr(make_payer())
    assert f"id={PAYER!r}, business_name=..., contact=Contact(first_name=..." in shown
    for private in ("Ada", "Main Street", SECRET):
        assert private not in shown
    assert repr(Payer(id=PAYER, response=make_info())) == (
        f"Payer(id={PAYER!r}, business_name=None, contact=None, "
        "business_address=None, identity_documents=(), status=None, created_at=None)"
    )


def test_equality_of_payers() -> None:
    """Payers are equal if their data are, whatever response they came in."""
    payer = make_payer()
    assert payer == make_payer(response=make_info(attempts=2))
    assert payer != make_payer(status="INACTIVE")
    assert pickle.loads(pickle.dumps(payer)) == payer  # noqa: S301 -- our own
