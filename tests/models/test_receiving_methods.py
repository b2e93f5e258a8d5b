"""Receiving methods: limits, the form on the wire, hidden account numbers."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import attrs
import pytest

from plastiq_async import (
    Ach,
    Check,
    Eft,
    InvalidArgumentError,
    ReceivingMethod,
    RecipientAddress,
    Wire,
)
from plastiq_async._codec import encode, structure
from plastiq_async._secrets import secrets_in
from tests.support.recipients import (
    ACCOUNT_NUMBER,
    RECEIVING_METHODS,
    RECEIVING_METHODS_JSON,
)

BANK: dict[str, Any] = {
    "account_number": ACCOUNT_NUMBER,
    "routing_number": "021000021",
    "beneficiary_name": "Beans Inc.",
}
each_account = pytest.mark.parametrize("cls", [Ach, Eft, Wire])


@each_account
def test_account(cls: type[Any]) -> None:
    """The `type` follows from the class, and cannot be given."""
    method = cls(**BANK)
    assert json.loads(encode(method)) == RECEIVING_METHODS_JSON[method.type]
    with pytest.raises(TypeError, match="type"):
        cls(**BANK, type="CHECK")
    assert attrs.evolve(method, routing_number="121000248").type == method.type


@pytest.mark.parametrize(
    ("cls", "name", "valid", "invalid"),
    [
        (Ach, "account_number", ["1" * 6, "1" * 17], ["1" * 5, "1" * 18, "12345A"]),
        (Ach, "routing_number", ["1" * 9], ["1" * 8, "1" * 10, "02100002x"]),
        (Eft, "account_number", ["1", "1" * 17], ["", "1" * 18, "123-456"]),
        (Eft, "routing_number", ["1" * 8, "1" * 9], ["1" * 7, "1" * 10, "00301-094"]),
        (Wire, "account_number", ["a", "GB29" + "1" * 31], ["", "1" * 36, "12 34"]),
        (Wire, "routing_number", ["CHASUS33", "CHASUS33XXX"], ["1" * 7, "1" * 12]),
        (Wire, "country", ["US"], ["CA", "us", "", b"US"]),
    ],
)
def test_limits(
    cls: type[Any], name: str, valid: list[str], invalid: list[object]
) -> None:
    """Values within the limits are sent as given, and others are refused by name."""
    for value in valid:
        assert getattr(cls(**BANK | {name: value}), name) == value
    for wrong in (*invalid, None, 123456789, "\u0661" * 9):
        with pytest.raises(InvalidArgumentError, match=f"^{name} must be"):
            cls(**BANK | {name: wrong})


@each_account
def test_beneficiary(cls: type[Any]) -> None:
    """The name of the beneficiary has 1 to 35 characters."""
    name = "\u00e9" * 35
    assert cls(**BANK | {"beneficiary_name": name}).beneficiary_name == name
    for wrong in ("", " ", "a\nb", 7, None):
        with pytest.raises(InvalidArgumentError, match=r"^beneficiary_name must be"):
            cls(**BANK | {"beneficiary_name": wrong})
    with pytest.raises(InvalidArgumentError, match="at most 35 characters"):
        cls(**BANK | {"beneficiary_name": name + "x"})


@pytest.mark.parametrize(
    "address", [None, "1 Main St", RecipientAddress(line1="1 Main St", country="US")]
)
def test_check(address: Any) -> None:
    """A check needs a complete address."""
    with pytest.raises(InvalidArgumentError, match=r"^address must be an Address$"):
        Check(address=address)


@each_account
def test_secret(cls: type[Any]) -> None:
    """The account number is no part of the repr, and is masked in errors."""
    method = cls(**BANK)
    assert ACCOUNT_NUMBER not in repr(method)
    assert "Beans" not in repr(method)
    assert "routing_number='021000021'" in repr(method)
    assert secrets_in({"method": method}) == {ACCOUNT_NUMBER}


@pytest.mark.parametrize("method", RECEIVING_METHODS.values(), ids=RECEIVING_METHODS)
def test_pickled_request(method: object) -> None:
    """A request that a queue pickles is the same at the other end."""
    assert pickle.loads(pickle.dumps(method)) == method  # noqa: S301 -- our own


# --- results ---

REPORTED = {
    "type": "ACH",
    "accountLastFour": "4723",
    "routingNumber": "021000021",
    "beneficiaryName": "Beans Inc.",
}


@pytest.mark.parametrize("value", [{}, REPORTED, *RECEIVING_METHODS_JSON.values()])
def test_reported_method(value: dict[str, Any]) -> None:
    """Each field of any kind of receiving method is read if it is there."""
    method = structure({"colour": "red", **value}, ReceivingMethod)
    assert json.loads(encode(method)) == value


def test_new_type() -> None:
    """A type that the API adds later is no failure."""
    method = structure({"type": "RTP", "accountLastFour": "1"}, ReceivingMethod)
    assert (method.type, method.account_last_four) == ("RTP", "1")


def test_last_four() -> None:
    """Of a number that the server sends whole, the last four digits are kept."""
    for sent, kept in ((ACCOUNT_NUMBER, "4723"), ("23", "23"), (None, None)):
        method = structure({"type": "ACH", "accountLastFour": sent}, ReceivingMethod)
        assert method.account_last_four == kept


def test_reported_number() -> None:
    """An account number that the server sends is in neither repr nor pickle."""
    method = structure(RECEIVING_METHODS_JSON["ACH"], ReceivingMethod)
    assert method.account_number == ACCOUNT_NUMBER
    assert ACCOUNT_NUMBER not in repr(method)
    assert "Beans" not in repr(method)
    assert ACCOUNT_NUMBER.encode() not in pickle.dumps(method)
    kept = attrs.evolve(method, account_number=None)
    assert pickle.loads(pickle.dumps(method)) == kept  # noqa: S301 -- our own
    assert copy.copy(method) == copy.deepcopy(method) == kept
