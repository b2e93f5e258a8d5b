"""The models of ``/recipients``: `CreateRecipient` and `Recipient`."""

from datetime import datetime
from typing import Any
from uuid import UUID

import attrs

from plastiq_async._codec import wire
from plastiq_async._codec.fields import wire_fields
from plastiq_async._secrets import forget_arguments, forget_secrets_in_copies
from plastiq_async._validate import check_text, check_uuid
from plastiq_async.errors import InvalidArgumentError
from plastiq_async.models.common import ResponseInfo, checked_by, show_presence
from plastiq_async.models.contacts import (
    AddressDetails,
    Contact,
    PartyStatus,
    RecipientAddress,
    check_contact,
)
from plastiq_async.models.receiving_methods import (
    Ach,
    Check,
    Eft,
    ReceivingMethod,
    Wire,
)

__all__ = [
    "CreateRecipient",
    "Recipient",
    "check_recipient_address",
    "check_recipient_contact",
    "recipient_body",
]


def check_recipient_address(name: str, value: object) -> None:
    """Raise unless `value` is an address of a recipient."""
    if not isinstance(value, RecipientAddress):
        raise InvalidArgumentError(f"{name} must be a RecipientAddress or an Address")


def check_recipient_contact(name: str, value: object) -> None:
    """Raise unless `value` is a contact with an email address.

    The public API document, version 1.0.0, requires one of every recipient.
    """
    if check_contact(name, value).email is None:
        raise InvalidArgumentError(f"{name}.email must be given for a recipient")


def _check_method(name: str, value: object) -> None:
    if not isinstance(value, (Ach, Check, Eft, Wire)):
        raise InvalidArgumentError(f"{name} must be an Ach, a Check, an Eft or a Wire")


def _category_id(value: UUID | str) -> UUID:
    return check_uuid("category_id", value)


def _payer_id(value: UUID | str | None) -> UUID | None:
    return None if value is None else check_uuid("payer_id", value)


@forget_arguments
@attrs.frozen(kw_only=True)
class CreateRecipient:
    """The request for a recipient, also one that is created with a payment intent.

    Attributes:
        business_name: The recipient's name. The repr shows only whether it is set.
        category_id: The ID of the recipient's category.
        business_address: The recipient's address; an `Address` will do, too.
        contact: Whom to reach; `Contact.email` is required.
        receiving_method: How the recipient receives the money. It cannot be changed
            later.
        payer_id: The only payer who can pay this recipient. Default: any payer can.

    Raises:
        InvalidArgumentError: A value is not valid; the message names it.
    """

    business_name: str = attrs.field(
        validator=checked_by(check_text), repr=show_presence
    )
    category_id: UUID = attrs.field(converter=_category_id)
    business_address: RecipientAddress = attrs.field(
        validator=checked_by(check_recipient_address)
    )
    contact: Contact = attrs.field(validator=checked_by(check_recipient_contact))
    receiving_method: Ach | Check | Eft | Wire = attrs.field(
        validator=checked_by(_check_method)
    )
    payer_id: UUID | None = attrs.field(default=None, converter=_payer_id)


def recipient_body(request: CreateRecipient) -> dict[str, object]:
    """Return the object that describes a new recipient in a request body."""
    method: object = request.receiving_method
    if isinstance(method, Check):
        # The parts of the address stand beside the type, without an object around them.
        kind: Any = type(method.address)
        parts = {n: getattr(method.address, a) for a, n, _ in wire_fields(kind) or ()}
        method = {"type": method.type, **parts}
    payer_id = request.payer_id
    return {
        "businessName": request.business_name,
        "categoryId": request.category_id,
        "businessAddress": request.business_address,
        "contact": request.contact,
        "receivingMethod": method,
        "payer": None if payer_id is None else {"id": payer_id},
    }


@forget_secrets_in_copies
@attrs.frozen(kw_only=True)
class Recipient:
    """Somebody who is paid.

    Attributes:
        id: The recipient's ID.
        business_name: The recipient's name. The repr shows only whether it is set.
        category_id: The ID of the recipient's category.
        business_address: The recipient's address.
        contact: Whom to reach.
        receiving_method: How the recipient receives the money.
        payer_id: The only payer who can pay this recipient, if the server reported one.
        created_at: When the recipient was created, in UTC.
        status: The status. Nothing is documented on what changes it.
        response: The HTTP response behind it; in neither repr nor equality.
    """

    id: UUID
    business_name: str | None = attrs.field(default=None, repr=show_presence)
    category_id: UUID | None = None
    business_address: AddressDetails | None = None
    contact: Contact | None = None
    receiving_method: ReceivingMethod | None = None
    payer_id: UUID | None = attrs.field(default=None, metadata=wire("payer.id"))
    created_at: datetime | None = None
    status: PartyStatus | str | None = None
    response: ResponseInfo = attrs.field(repr=False, eq=False)
