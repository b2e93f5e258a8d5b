"""The models of ``/payers``."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypeAlias, get_args
from uuid import UUID

import attrs
from attrs.validators import optional

from plastiq_async._secrets import SECRET, forget_arguments
from plastiq_async._validate import check_choice, check_country, check_text
from plastiq_async.errors import InvalidArgumentError
from plastiq_async.models.common import ResponseInfo, checked_by, show_presence
from plastiq_async.models.contacts import (
    AddressDetails,
    Contact,
    PartyStatus,
    check_contact,
)

__all__ = [
    "IdentityDocument",
    "IdentityDocumentType",
    "NewIdentityDocument",
    "Payer",
    "check_identity_documents",
    "check_payer_contact",
]

IdentityDocumentType: TypeAlias = Literal[
    "US_TIN",
    "US_EIN",
    "US_SSN",
    "PASSPORT_NUMBER",
    "ALIEN_REGISTRATION_NUMBER",
]
"""The kinds of identity documents of the public API document, version 1.0.0."""


@forget_arguments
@attrs.frozen(kw_only=True)
class NewIdentityDocument:
    """An identity document to send to the API, which never returns its value.

    Attributes:
        type: What kind of document it is.
        value: The number of the document. Not in the repr, and masked in errors.
        country_of_issuance: The country that issued it, for a passport: its code of ISO
            3166-1 alpha-2, such as ``"US"``.

    Raises:
        InvalidArgumentError: A part is not valid; the message names it.
    """

    type: IdentityDocumentType = attrs.field(
        validator=checked_by(check_choice, choices=get_args(IdentityDocumentType))
    )
    value: str = attrs.field(
        validator=checked_by(check_text), repr=False, metadata=SECRET
    )
    country_of_issuance: str | None = attrs.field(
        default=None, validator=optional(checked_by(check_country))
    )


def check_payer_contact(name: str, value: object) -> None:
    """Raise unless `value` is a contact with an email address or a phone number."""
    contact = check_contact(name, value)
    if contact.email is None and contact.phone is None:
        raise InvalidArgumentError(f"{name} must have an email or a phone")


def check_identity_documents(
    name: str, value: object
) -> tuple[NewIdentityDocument, ...]:
    """Return `value` as a tuple if it is a sequence of `NewIdentityDocument`."""
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        documents = tuple(value)
        if all(isinstance(one, NewIdentityDocument) for one in documents):
            return documents
    raise InvalidArgumentError(f"{name} must be a sequence of NewIdentityDocument")


@attrs.frozen(kw_only=True)
class IdentityDocument:
    """An identity document that the API keeps, without its value.

    Attributes:
        id: The document's ID.
        type: What kind of document it is. New ones may appear at any time.
    """

    id: UUID | None = None
    type: IdentityDocumentType | str | None = None


@attrs.frozen(kw_only=True)
class Payer:
    """Someone who pays: a person or a business.

    The repr shows only which personal data there are.

    Attributes:
        id: The payer's ID. Store it, because the API cannot list payers.
        business_name: The name of the business.
        contact: The person to reach.
        business_address: The address of the business; of a consumer, the home address.
        identity_documents: The identity documents, without their values.
        status: The status. New ones may appear at any time.
        created_at: When the payer was created, in UTC.
        response: The HTTP response behind it; in neither repr nor equality.
    """

    id: UUID
    business_name: str | None = attrs.field(default=None, repr=show_presence)
    contact: Contact | None = None
    business_address: AddressDetails | None = None
    identity_documents: tuple[IdentityDocument, ...] = ()
    status: PartyStatus | str | None = None
    created_at: datetime | None = None
    response: ResponseInfo = attrs.field(repr=False, eq=False)
