"""`Store`, the records of one resource."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar
from uuid import UUID

import attrs

from plastiq_async.testing._checks import require_reference
from plastiq_async.testing._errors import NotFoundError, ValidationError

__all__ = ["Record", "Store"]


class Record(Protocol):
    """A record with an ID."""

    @property
    def id(self) -> UUID:
        """The ID."""


R = TypeVar("R", bound=Record)


@attrs.define
class Store(Generic[R]):
    """The records of one resource, oldest first.

    Attributes:
        by_id: The records that exist.
    """

    by_id: dict[UUID, R] = attrs.field(factory=dict, init=False)

    def add(self, record: R, *, limit: int) -> R:
        """Add a record, and drop the oldest beyond `limit`.

        Args:
            record: The record.
            limit: Number of records to keep.

        Returns:
            The record.
        """
        self.by_id[record.id] = record
        if len(self.by_id) > limit:
            del self.by_id[next(iter(self.by_id))]
        return record

    def find(self, record_id: UUID) -> R:
        """Return the record that a path names.

        Args:
            record_id: ID of the record.

        Returns:
            The record.

        Raises:
            NotFoundError: There is no such record.
        """
        record = self.by_id.get(record_id)
        if record is None:
            raise NotFoundError
        return record

    def resolve(self, value: object, name: str) -> R:
        """Return the record that a reference in a body, `{"id": ...}`, names.

        Args:
            value: Value received.
            name: Dotted name of the field.

        Returns:
            The record.

        Raises:
            ValidationError: The value is not a reference to a record.
        """
        record = self.by_id.get(require_reference(value, name))
        if record is None:
            msg = f"{name}.id does not exist"
            raise ValidationError(msg)
        return record
