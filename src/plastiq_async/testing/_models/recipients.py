"""`Recipient` and `Recipients`, the recipients of a fake."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from uuid import UUID, uuid4

import attrs

from plastiq_async.testing._checks import check_fields, require_uuid
from plastiq_async.testing._errors import ValidationError
from plastiq_async.testing._json import write_time
from plastiq_async.testing._models.categories import Categories
from plastiq_async.testing._models.payers import resolve_payer
from plastiq_async.testing._models.receiving_methods import check_receiving_method
from plastiq_async.testing._party_checks import (
    RECIPIENT_ADDRESS,
    Check,
    check_address,
    check_contact,
    check_given,
    check_text,
)
from plastiq_async.testing._state import FakeState
from plastiq_async.testing._store import Store

__all__ = ["Recipient", "Recipients", "create_recipient", "scope_of"]

# Check of each field that can be changed later.
CHANGEABLE: Mapping[str, Check] = {
    "businessName": check_text,
    "businessAddress": partial(check_address, required=RECIPIENT_ADDRESS),
    "contact": partial(check_contact, required=("email",)),
}


@attrs.define(kw_only=True)
class Recipient:
    """A recipient.

    Attributes:
        id: ID of the recipient.
        payer_id: The only payer who can pay the recipient, or None for any.
        category_id: ID of the category.
        details: The name, the address and the contact, as they were sent. Not in the
            repr.
        receiving_method: Receiving method, without its account number. Not in the
            repr.
        created_at: Time of creation by the fake's clock, in UTC.
    """

    id: UUID
    payer_id: UUID | None = None
    category_id: UUID
    details: dict[str, object] = attrs.field(repr=False)
    receiving_method: dict[str, object] = attrs.field(repr=False)
    created_at: datetime

    def payable_by(self, payer_id: UUID | None) -> bool:
        """Return whether a payer can see and pay the recipient.

        Args:
            payer_id: ID of the payer, or None if a request names none.

        Returns:
            Whether the recipient is for any payer, or for this one.
        """
        return self.payer_id in {None, payer_id}

    def change(self, body: Mapping[str, object]) -> None:
        """Adopt what a body gives; a contact or an address replaces the old one.

        Args:
            body: The body. A payer in it changes nothing.

        Raises:
            ValidationError: The body breaks the contract. Nothing has changed.
        """
        check_fields(body, (*CHANGEABLE, "payer"))
        self.details.update(check_given(body, CHANGEABLE))

    def to_json(self) -> dict[str, object]:
        """Return the recipient as the API shows it."""
        scope = {} if self.payer_id is None else {"payer": {"id": str(self.payer_id)}}
        return {
            "id": str(self.id),
            **self.details,
            "categoryId": str(self.category_id),
            "receivingMethod": self.receiving_method,
            "createdAt": write_time(self.created_at),
            "status": "ACTIVE",
            **scope,
        }


class Recipients(Store[Recipient]):
    """The recipients of one fake."""


def create_recipient(
    state: FakeState, body: dict[str, object], parent: str = ""
) -> Recipient:
    """Create a recipient, which a payment intent may contain, too.

    Args:
        state: State of the fake.
        body: Object that describes the recipient.
        parent: Dotted name of the object, if it is not the whole body.

    Returns:
        The recipient.

    Raises:
        ValidationError: The object breaks the contract. Nothing was created.
    """
    prefix = f"{parent}." if parent else ""
    required = (*CHANGEABLE, "categoryId", "receivingMethod")
    check_fields(body, (*required, "payer"), parent=parent, required=required)
    recipient = Recipient(
        id=uuid4(),
        payer_id=scope_of(state, body, prefix),
        category_id=_category_id(state, body, prefix),
        receiving_method=check_receiving_method(
            body["receivingMethod"], f"{prefix}receivingMethod"
        ),
        details=check_given(body, CHANGEABLE, prefix),
        created_at=state.now,
    )
    return state.of(Recipients).add(recipient, limit=state.history)


def _category_id(state: FakeState, body: Mapping[str, object], prefix: str) -> UUID:
    """Return the category that a body names, which must exist."""
    category_id = require_uuid(body["categoryId"], f"{prefix}categoryId")
    if category_id not in state.of(Categories).by_id:
        msg = f"{prefix}categoryId must be the ID of an existing category"
        raise ValidationError(msg)
    return category_id


def scope_of(
    state: FakeState, body: Mapping[str, object], prefix: str = ""
) -> UUID | None:
    """Return the payer that a body names.

    Args:
        state: State of the fake.
        body: Object that may have a `payer`.
        prefix: What precedes the name of the field in an error.

    Returns:
        The ID of the payer, or None if there is none in the body.

    Raises:
        ValidationError: The payer does not exist.
    """
    if "payer" not in body:
        return None
    return resolve_payer(state, body["payer"], f"{prefix}payer").id
