"""Amounts of money and fees."""

from __future__ import annotations

import pickle
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plastiq_async import Fee, InvalidArgumentError, Money
from plastiq_async._codec import DecodeError, decode_json, encode, structure
from plastiq_async.models.money import check_amount


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("100.10", "100.10"),
        (Decimal("100.10"), "100.10"),
        (100, "100"),
        ("0", "0"),
        ("-0.5", "-0.5"),
        (Decimal("1E+2"), "100"),
    ],
)
def test_money(value: Any, shown: str) -> None:
    """An amount keeps its exact digits."""
    money = Money(value)
    assert str(money) == f"{shown} USD"
    assert encode(money) == f'{{"value":{shown},"currency":"USD"}}'.encode()
    assert money == Money(Decimal(shown), "USD") != Money(value, "CAD")
    assert pickle.loads(pickle.dumps(money)) == money  # noqa: S301 -- our own


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        float("nan"),
        True,
        None,
        b"1",
        "",
        "1,5",
        "1_000",
        "1e3",
        " 1",
        "1.",
        ".5",
        "NaN",
        "Infinity",
        "\u0661",
        "1" * 21,
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("-Infinity"),
    ],
)
def test_no_money(value: Any) -> None:
    """A float, a bool and anything that is no plain number is refused."""
    with pytest.raises(InvalidArgumentError, match=r"^value must be a finite Decimal"):
        Money(value)


@given(st.decimals("1", "99999999.99", places=2))
def test_any_money(value: Decimal) -> None:
    """No amount that the API accepts changes on the wire and back."""
    money = check_amount("target_amount", Money(value))
    assert structure(decode_json(encode(money)), Money) == money


@pytest.mark.parametrize("value", ["1", "1.00", "99999999.99", "99999999.9"])
def test_amount(value: str) -> None:
    """The limits themselves are accepted."""
    assert check_amount("target_amount", Money(value)).value == Decimal(value)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (Money("0.99"), "target_amount must be from 1 to 99999999.99"),
        (Money("-1"), "target_amount must be from 1 to 99999999.99"),
        (Money("100000000"), "target_amount must be from 1 to 99999999.99"),
        (Money("100.005"), "target_amount must have at most 2 decimals"),
        (Money("100.000"), "target_amount must have at most 2 decimals"),
        (Money(1, "usd"), "the currency of target_amount must be three capital"),
        (Money(1, ""), "the currency of target_amount must be three capital"),
        (Money(1, 5), "the currency of target_amount must be three capital"),  # type: ignore[arg-type]
        (Decimal(1), "target_amount must be a Money"),
        (1, "target_amount must be a Money"),
        ("1.00", "target_amount must be a Money"),
        (None, "target_amount must be a Money"),
    ],
)
def test_no_amount(value: object, problem: str) -> None:
    """An amount that the API would refuse or round is refused by name."""
    with pytest.raises(InvalidArgumentError) as info:
        check_amount("target_amount", value)
    assert str(info.value).startswith(problem)


def test_amount_of_the_server() -> None:
    """A response may have any amount, in any currency, but must have both."""
    value = decode_json(b'{"value": 0.3, "currency": "XYZ"}')
    assert structure(value, Money) == Money("0.3", "XYZ")
    with pytest.raises(DecodeError, match=r"^currency is missing @ \$$"):
        structure({"value": 1}, Money)
    with pytest.raises(DecodeError, match=r"^missing @ \$\.value$"):
        structure({"currency": "USD"}, Money)
    with pytest.raises(DecodeError, match=r"^unexpected value @ \$\.value$"):
        structure({"value": "1", "currency": "USD"}, Money)


@pytest.mark.parametrize(
    ("rate", "percent"),
    [
        ("2.85%", "2.85"),
        (" 3 % ", "3"),
        ("2.85", None),
        ("%", None),
        ("1e2%", None),
        ("", None),
        (None, None),
    ],
)
def test_rate(rate: str | None, percent: str | None) -> None:
    """The rate of a fee can be read as a number, if it is one."""
    expected = None if percent is None else Decimal(percent)
    assert Fee(rate=rate).rate_percent == expected


def test_fee_of_the_server() -> None:
    """Any part of a fee may be missing, and its type may be new."""
    assert structure({}, Fee) == Fee()
    value = decode_json(
        b'{"amount": {"value": 2.85, "currency": "USD"}, "type": "NEW", "rate": null}'
    )
    assert structure(value, Fee) == Fee(amount=Money("2.85"), type="NEW")
