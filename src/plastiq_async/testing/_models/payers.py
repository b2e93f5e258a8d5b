"""`Payer` and `Payers`, the payers of a fake, and how requests refer to them."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID, uuid4

import attrs

from plastiq_async.testing._checks import (
    check_fields,
    require_object,
    require_reference,
)
from plastiq_async.testing._errors import NotFoundError, ValidationError
from plastiq_async.testing._json import write_time
from plastiq_async.testing._messages import ApiRequest
from plastiq_async.testing._party_checks import (
    Check,
    check_address,
    check_contact,
    check_country,
    check_given,
    check_text,
)
from plastiq_async.testing._state import FakeState
from plastiq_async.testing._store import Record, Store

__all__ = [
    "Payer",
    "Payers",
    "ensure_payer",
    "find_of_payer",
    "forget_payer",
    "query_payer",
    "resolve_payer",
]

DOCUMENT_TYPES = (
    "US_TIN",
    "US_EIN",
    "US_SSN",
    "PASSPORT_NUMBER",
    "ALIEN_REGISTRATION_NUMBER",
)
MAX_DOCUMENTS = 100


@attrs.define(kw_only=True)
class Payer:
    """A payer.

    Attributes:
        id: ID of the payer.
        details: The contact, the name and the address, as they were sent. Not in the
            repr.
        identity_documents: The type and ID of each identity document.
        created_at: Time of creation by the fake's clock, in UTC.
    """

    id: UUID
    details: dict[str, object] = attrs.field(factory=dict, repr=False)
    identity_documents: list[dict[str, object]] = attrs.field(factory=list)
    created_at: datetime

    def change(
        self, body: Mapping[str, object], *, required: Collection[str] = ()
    ) -> None:
        """Adopt what a request gives.

        A contact or an address replaces the one before, identity documents are added.
        The contract leaves both open.

        Args:
            body: The body of the request.
            required: Names of the fields that it must have.

        Raises:
            ValidationError: The body breaks the contract. Then nothing changes.
        """
        check_fields(body, (*CHECKS, "identityDocuments"), required=required)
        details = check_given(body, CHECKS)
        documents = _read_documents(body.get("identityDocuments", []))
        self.details.update(details)
        self.identity_documents += documents
        del self.identity_documents[:-MAX_DOCUMENTS]

    def to_json(self) -> dict[str, object]:
        """Return the payer as the API shows it."""
        return {
            "id": str(self.id),
            **self.details,
            "identityDocuments": list(self.identity_documents),
            "createdAt": write_time(self.created_at),
            "status": "ACTIVE",
        }


@attrs.define
class Payers:
    """The records of payers. Which payers exist is in `FakeState.payer_ids`.

    Attributes:
        by_id: The records so far. A payer that was added by its ID alone gets one when
            `ensure_payer` is called.
        created: IDs of the payers that requests created, oldest first, deleted ones
            included.
    """

    by_id: dict[UUID, Payer] = attrs.field(factory=dict, init=False)
    created: deque[UUID] = attrs.field(factory=deque, init=False)


class Owned(Record, Protocol):
    """A record that belongs to a payer."""

    @property
    def payer_id(self) -> UUID:
        """The ID of the payer."""


T = TypeVar("T", bound=Owned)


def ensure_payer(state: FakeState, payer_id: UUID) -> Payer:
    """Return the record of an existing payer, and create it if there is none yet.

    Args:
        state: State of the fake.
        payer_id: ID of the payer.

    Returns:
        The record.
    """
    payers = state.of(Payers).by_id
    if payer_id not in payers:
        email = f"payer-{payer_id.hex[:8]}@example.com"
        payers[payer_id] = Payer(
            id=payer_id, details={"contact": {"email": email}}, created_at=state.now
        )
    return payers[payer_id]


def resolve_payer(state: FakeState, value: object, name: str) -> Payer:
    """Return the payer that a reference in a body, `{"id": ...}`, names.

    Args:
        state: State of the fake.
        value: Value received.
        name: Dotted name of the field.

    Returns:
        The payer.

    Raises:
        ValidationError: The value is not a reference to an existing payer.
    """
    payer_id = require_reference(value, name)
    if payer_id not in state.payer_ids:
        msg = f"{name}.id must be the ID of an existing payer"
        raise ValidationError(msg)
    return ensure_payer(state, payer_id)


def query_payer(request: ApiRequest, state: FakeState) -> UUID:
    """Return the payer that the query of a request names.

    Args:
        request: A request of a route that accepts `payerId`.
        state: State of the fake.

    Returns:
        The ID of the payer.

    Raises:
        ValidationError: `payerId` is missing or not a UUID.
        NotFoundError: There is no such payer.
    """
    payer_id = request.require_query_uuid("payerId")
    if payer_id not in state.payer_ids:
        raise NotFoundError
    return payer_id


def find_of_payer(request: ApiRequest, state: FakeState, kind: type[Store[T]]) -> T:
    """Return the record that the path names, if it is that of the payer in the query.

    Args:
        request: A request of a route that has `{id}` and accepts `payerId`.
        state: State of the fake.
        kind: Class of the records.

    Returns:
        The record.

    Raises:
        ValidationError: An ID is missing or not a UUID.
        NotFoundError: There is no such payer, or the payer has no such record.
    """
    payer_id = query_payer(request, state)
    record = state.of(kind).find(request.path_uuid("id"))
    if record.payer_id != payer_id:
        raise NotFoundError
    return record


def forget_payer(state: FakeState, payer_id: UUID) -> None:
    """Let a payer no longer exist, if it does.

    Args:
        state: State of the fake.
        payer_id: ID of the payer.
    """
    state.payer_ids.discard(payer_id)
    state.of(Payers).by_id.pop(payer_id, None)


def _check_contact(value: object, name: str) -> dict[str, object]:
    contact = check_contact(value, name)
    if "email" not in contact and "phone" not in contact:
        msg = f"{name}.email or {name}.phone is required"
        raise ValidationError(msg)
    return contact


def _read_documents(value: object) -> list[dict[str, object]]:
    """Return the type and a new ID of each document, and never its value."""
    if not isinstance(value, list):
        msg = "identityDocuments must be a list"
        raise ValidationError(msg)
    documents: list[dict[str, object]] = []
    for index, item in enumerate(value):
        name = f"identityDocuments[{index}]"
        document = require_object(item, name)
        check_fields(
            document,
            ("type", "value", "countryOfIssuance"),
            parent=name,
            required=("type", "value"),
        )
        kind = document["type"]
        if kind not in DOCUMENT_TYPES:
            msg = f"{name}.type must be one of: {', '.join(DOCUMENT_TYPES)}"
            raise ValidationError(msg)
        check_text(document["value"], f"{name}.value")
        if "countryOfIssuance" in document:
            check_country(document["countryOfIssuance"], f"{name}.countryOfIssuance")
        documents.append({"type": kind, "id": str(uuid4())})
    return documents


CHECKS: Mapping[str, Check] = {
    "contact": _check_contact,
    "businessName": check_text,
    "businessAddress": check_address,
}
