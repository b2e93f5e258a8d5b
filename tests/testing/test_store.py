"""The records of a resource."""

from __future__ import annotations

from uuid import UUID, uuid4

import attrs
import pytest

from plastiq_async.testing._errors import NotFoundError, ValidationError
from plastiq_async.testing._store import Store


@attrs.frozen
class Thing:
    """A record."""

    id: UUID


def test_find() -> None:
    """A record is found by its ID, as long as it is kept."""
    store: Store[Thing] = Store()
    things = [store.add(Thing(uuid4()), limit=2) for _ in range(3)]
    assert list(store.by_id.values()) == things[1:]
    assert store.find(things[2].id) is things[2]
    with pytest.raises(NotFoundError):
        store.find(things[0].id)


def test_resolve() -> None:
    """A reference in a body names a record."""
    store: Store[Thing] = Store()
    thing = store.add(Thing(uuid4()), limit=2)
    assert store.resolve({"id": str(thing.id)}, "thing") is thing


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "thing must be an object"),
        ("x", "thing must be an object"),
        ({}, "thing.id is required"),
        ({"id": "x"}, "thing.id must be a UUID"),
        ({"id": str(UUID(int=1))}, "thing.id does not exist"),
    ],
)
def test_no_reference(value: object, problem: str) -> None:
    """A reference to nothing is a validation error that names the field."""
    store: Store[Thing] = Store()
    with pytest.raises(ValidationError) as info:
        store.resolve(value, "thing")
    assert info.value.details == (problem,)
