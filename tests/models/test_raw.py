"""`RawResponse`: hidden data, copies and equality."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from plastiq_async import RawResponse, to_jsonable
from tests.support.models import make_info

DATA = {"clientSecret": "s3cr3t"}
RESULT = RawResponse(data=DATA, response=make_info())


def test_hidden() -> None:
    """The data are neither in the repr nor in what a web framework gets."""
    assert repr(RESULT) == "RawResponse()"
    assert to_jsonable(RESULT) == {}
    assert to_jsonable(RESULT.data) == DATA


@pytest.mark.parametrize(
    "twin_of",
    [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))],  # noqa: S301 -- our own
)
def test_copies(twin_of: Any) -> None:
    """Copies and pickles have no data, because it may hold secrets."""
    twin = twin_of(RESULT)
    assert (twin.data, twin.response) == (None, RESULT.response)
    assert b"s3cr3t" not in pickle.dumps(RESULT)


def test_equality() -> None:
    """Responses are equal if their data are."""
    assert RawResponse(data=dict(DATA), response=make_info(attempts=2)) == RESULT
    assert RawResponse(data=None, response=make_info()) != RESULT
