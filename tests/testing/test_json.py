"""Exact numbers in the JSON of the fake."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plastiq_async.testing._json import read_json, write_json

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.decimals("-1000", "1000", places=2)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(values)
def test_round_trip(value: object) -> None:
    """What is written is JSON, and is read as it was."""
    text = write_json(value)
    json.loads(text)
    assert read_json(text) == value


@pytest.mark.parametrize("text", ["100.10", "0.1", "99999999.99", "-0.50"])
def test_digits(text: str) -> None:
    """The digits of an amount stay as they were sent."""
    value = read_json(text)
    assert value == Decimal(text)
    assert write_json(value) == text


@pytest.mark.parametrize("text", ["", "NaN", "-Infinity", "{", "[1,]", f"1e{10**18}"])
def test_no_json(text: str) -> None:
    """Anything else is refused, also what only Python accepts."""
    with pytest.raises(ValueError):  # noqa: PT011 -- json has many messages
        read_json(text)
