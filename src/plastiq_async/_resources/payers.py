"""`Payers`: ``/payers`` of the public API document, version 1.0.0."""

from collections.abc import Sequence
from types import NoneType
from typing import Unpack
from uuid import UUID

from plastiq_async._operation import Operation
from plastiq_async._resources.base import Resource, check_change, path_id
from plastiq_async._secrets import Body, encode_body
from plastiq_async._validate import check_text, check_uuid
from plastiq_async.errors import InvalidArgumentError
from plastiq_async.models.common import CallOptions
from plastiq_async.models.contacts import Address, Contact, check_address
from plastiq_async.models.payers import (
    NewIdentityDocument,
    Payer,
    check_identity_documents,
    check_payer_contact,
)


class Payers(Resource):
    """Payers, who pay."""

    async def create(
        self,
        *,
        contact: Contact,
        business_name: str | None = None,
        business_address: Address | None = None,
        identity_documents: Sequence[NewIdentityDocument] | None = None,
        **options: Unpack[CallOptions],
    ) -> Payer:
        """Create a payer.

        Store the payer's ID, because the API cannot list payers.

        Each call creates another payer, and the API takes no idempotency key here. So
        the call is retried only if it was never sent. If an error has
        `outcome_unknown`, there may be a payer whose ID is not known. It is charged
        nothing, so calling again does no more than add a second one.

        Args:
            contact: The person to reach. It needs an email or a phone, better both.
            business_name: The name of the business.
            business_address: The address of the business; of a consumer, the home
                address.
            identity_documents: Identity documents. Some payment methods are inactive
                until their payer has one.
            options: `CallOptions`.

        Returns:
            The payer.

        Raises:
            InvalidArgumentError: An argument is not valid.
            SessionStateError: The session is closed, or belongs to another event loop.
            APITimeoutError: The deadline passed.
            APIConnectionError: There was no response.
            APIStatusError: The API refused; there is a subclass for each status.
            APIResponseError: The response violates the contract.
        """
        check_payer_contact("contact", contact)
        operation = Operation(
            name="payers.create",
            method="POST",
            path="/payers",
            body=_body(contact, business_name, business_address, identity_documents),
            # There would be two payers.
            harmless=False,
            result=Payer,
        )
        return await self._pipeline.run(operation, options)

    async def retrieve(
        self, payer_id: UUID | str, **options: Unpack[CallOptions]
    ) -> Payer:
        """Return a payer. The call is retried after transient errors.

        Args:
            payer_id: The payer's UUID.
            options: `CallOptions`.

        Returns:
            The payer.

        Raises:
            InvalidArgumentError: An argument is not valid.
            SessionStateError: The session is closed, or belongs to another event loop.
            APITimeoutError: The deadline passed.
            APIConnectionError: There was no response, retries included.
            NotFoundError: There is no such payer.
            APIStatusError: The API refused; there is a subclass for each status.
            APIResponseError: The response violates the contract, or is another payer's.
        """
        payer_id = check_uuid("payer_id", payer_id)
        operation = Operation(
            name="payers.retrieve",
            method="GET",
            path="/payers/{id}",
            path_params=path_id(payer_id),
            harmless=True,
            # The contract lists no Trace-Id on responses to GET, PATCH and DELETE.
            traced=False,
            result=Payer,
            expected={"id": payer_id},
        )
        return await self._pipeline.run(operation, options)

    async def update(
        self,
        payer_id: UUID | str,
        *,
        contact: Contact | None = None,
        business_name: str | None = None,
        business_address: Address | None = None,
        identity_documents: Sequence[NewIdentityDocument] | None = None,
        **options: Unpack[CallOptions],
    ) -> Payer:
        """Change what is given of a payer, and leave the rest as it is.

        Give contacts and addresses whole: the contract does not say whether the API
        replaces them or merges them, nor whether it adds identity documents to those it
        has or replaces them. It has no means against concurrent changes, so that the
        last one wins.

        An identity document activates the payer's payment methods that wait for one
        (``"PAYMENT_METHOD_REQUIRES_TIN"``).

        The call is retried only if it was never sent, because a late second one could
        undo another change. If an error has `outcome_unknown`, retrieve the payer
        before you call again.

        Args:
            payer_id: The payer's UUID.
            contact: The person to reach. It needs an email or a phone, better both.
            business_name: The name of the business.
            business_address: The address of the business; of a consumer, the home
                address.
            identity_documents: Identity documents, at least one if given.
            options: `CallOptions`.

        Returns:
            The payer after the change.

        Raises:
            InvalidArgumentError: An argument is not valid, or there is no change.
            SessionStateError: The session is closed, or belongs to another event loop.
            APITimeoutError: The deadline passed.
            APIConnectionError: There was no response.
            NotFoundError: There is no such payer.
            APIStatusError: The API refused; there is a subclass for each status.
            APIResponseError: The response violates the contract, or is another payer's.
        """
        check_change(
            {
                "contact": contact,
                "business_name": business_name,
                "business_address": business_address,
                "identity_documents": identity_documents,
            }
        )
        if contact is not None:
            check_payer_contact("contact", contact)
        if identity_documents is not None and not identity_documents:
            msg = "identity_documents must not be empty: none can be removed"
            raise InvalidArgumentError(msg)
        payer_id = check_uuid("payer_id", payer_id)
        operation = Operation(
            name="payers.update",
            method="PATCH",
            path="/payers/{id}",
            path_params=path_id(payer_id),
            body=_body(contact, business_name, business_address, identity_documents),
            # A second one could undo another writer's change.
            harmless=False,
            traced=False,
            result=Payer,
            expected={"id": payer_id},
        )
        return await self._pipeline.run(operation, options)

    async def delete(
        self, payer_id: UUID | str, **options: Unpack[CallOptions]
    ) -> None:
        """Delete a payer.

        The contract does not say what becomes of the payer's payment methods,
        recipients and payments.

        The call is retried after transient errors. If an attempt with an unknown
        outcome is followed by a 404, that attempt has deleted the payer, and the call
        succeeds.

        Args:
            payer_id: The payer's UUID.
            options: `CallOptions`.

        Raises:
            InvalidArgumentError: An argument is not valid.
            SessionStateError: The session is closed, or belongs to another event loop.
            APITimeoutError: The deadline passed.
            APIConnectionError: There was no response, retries included.
            NotFoundError: There is no such payer.
            APIStatusError: The API refused; there is a subclass for each status.
        """
        payer_id = check_uuid("payer_id", payer_id)
        operation = Operation(
            name="payers.delete",
            method="DELETE",
            path="/payers/{id}",
            path_params=path_id(payer_id),
            harmless=True,
            traced=False,
            result=NoneType,
        )
        await self._pipeline.run(operation, options)


def _body(
    contact: Contact | None,
    business_name: str | None,
    business_address: Address | None,
    identity_documents: Sequence[NewIdentityDocument] | None,
) -> Body:
    """Return the request body of what is given; the contact was checked before."""
    if business_name is not None:
        check_text("business_name", business_name)
    if business_address is not None:
        check_address("business_address", business_address)
    documents: tuple[NewIdentityDocument, ...] = ()
    if identity_documents is not None:
        documents = check_identity_documents("identity_documents", identity_documents)
    return encode_body(
        {
            "contact": contact,
            "businessName": business_name,
            "businessAddress": business_address,
            "identityDocuments": documents or None,
        }
    )
