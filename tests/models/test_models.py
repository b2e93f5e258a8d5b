"""Properties of every model: frozen, keyword-only, copyable."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import attrs
import pytest

from plastiq_async.models import CreateClientSecret, EndUser
from tests.support.models import PAYER, TRACE_ID, make_info, make_secret

MODELS = [
    EndUser(user_agent="Mozilla/5.0", ip="::1", device_id="a1"),
    make_info(),
    make_secret(),
    CreateClientSecret(payer_id=PAYER, end_user=EndUser(ip="::1"), trace_id=TRACE_ID),
]
each_model = pytest.mark.parametrize(
    "model", MODELS, ids=lambda model: type(model).__name__
)


@each_model
def test_frozen_and_slotted(model: Any) -> None:
    """No attribute can be changed or added."""
    for field in attrs.fields(type(model)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(model, field.name, None)
    assert not hasattr(model, "__dict__")


@each_model
def test_keyword_only(model: Any) -> None:
    """Arguments are keyword-only, so that fields may be added anywhere."""
    with pytest.raises(TypeError, match="positional"):
        type(model)(*attrs.astuple(model, recurse=False))


@each_model
@pytest.mark.parametrize(
    "twin_of",
    [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))],  # noqa: S301 -- our own,
)
def test_survives_copying(model: Any, twin_of: Any) -> None:
    """Copies and pickles of a model are equal to it."""
    assert twin_of(model) == model
