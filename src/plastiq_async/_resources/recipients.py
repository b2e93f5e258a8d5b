"""`Recipients`: ``/recipients`` of the public API document, version 1.0.0."""

from types import NoneType
from typing import Unpack
from uuid import UUID

from plastiq_async._operation import Operation
from plastiq_async._resources.base import (
    Resource,
    check_change,
    path_id,
    payer_query,
    reference,
)
from plastiq_async._resources.paginator import LARGEST_PAGE, Paginator
from plastiq_async._secrets import encode_body
from plastiq_async._validate import check_text, check_uuid
from plastiq_async.models.common import CallOptions
from plastiq_async.models.contacts import Contact, RecipientAddress
from plastiq_async.models.pages import Page
from plastiq_async.models.receiving_methods import Ach, Check, Eft, Wire
from plastiq_async.models.recipients import (
    CreateRecipient,
    Recipient,
    check_recipient_address,
    check_recipient_contact,
    recipient_body,
)


def _scope(payer_id: UUID | str | None) -> dict[str, str]:
    return {} if payer_id is None else payer_query(check_uuid("payer_id", payer_id))


class Recipients(Resource):
    """Recipients, who are paid.

    A recipient is scoped to one payer, who alone can pay it, or can be paid by any. The
    API may hide a scoped recipient from calls that do not name its payer.
    """

    async def create(
        self,
        *,
        business_name: str,
        category_id: UUID | str,
        business_address: RecipientAddress,
        contact: Contact,
        receiving_method: Ach | Check | Eft | Wire,
        payer_id: UUID | str | None = None,
        **options: Unpack[CallOptions],
    ) -> Recipient:
        """Create a recipient (``POST /recipients``).

        No money moves. The API takes no idempotency key here, so a second request would
        create a second recipient. The call is therefore retried only if it was never
        sent. If an error has `outcome_unknown`, look for the recipient in `list` before
        you call again.

        Args:
            business_name: The recipient's name.
            category_id: The ID of the recipient's category, one of `categories.list`.
            business_address: The recipient's address; an `Address` will do, too.
            contact: Whom to reach; `Contact.email` is required.
            receiving_method: How the recipient receives the money. It cannot be changed
                later.
            payer_id: The only payer who can pay this recipient. Default: any payer can.
            options: `CallOptions`.

        Returns:
            The recipient. Its receiving method has no account number; the API may
            report the last four digits.

        Raises:
            InvalidArgumentError: An argument is not valid. Nothing was sent.
            SessionStateError: The session is closed, or belongs to another event loop.
            APITimeoutError: The deadline passed.
            APIConnectionError: There was no response.
            BadRequestError: The API refused a value, such as the category or the payer.
                Nothing was created.
            APIStatusError: The API refused; there is a subclass for each status.
            APIResponseError: The response violates the contract; the recipient may
                exist.
        """
        request = CreateRecipient(
            business_name=business_name,
            category_id=category_id,
            business_address=business_address,
            contact=contact,
            receiving_method=receiving_method,
            payer_id=payer_id,
        )
        operation = Operation(
            name="recipients.create",
            method="POST",
            path="/recipients",
            body=encode_body(recipient_body(request)),
            harmless=False,
            result=Recipient,
        )
        return await self._pipeline.run(operation, options)

    async def retrieve(
        self,
        recipient_id: UUID | str,
        payer_id: UUID | str | None = None,
        **options: Unpack[CallOptions],
    ) -> Recipient:
        """Return a recipient (``GET /recipients/{id}``).

        The call is retried after transient errors.

        Args:
            recipient_id: The recipient's ID.
            payer_id: The payer whom the recipient is scoped to. Without it, the API may
                not find a scoped recipient.
            options: `CallOptions`.

        Returns:
            The recipient.

        Raises:
            InvalidArgumentError: An argument is not valid. Nothing was sent.
            SessionStateError: The session is closed, or belongs to another event loop.
            APITimeoutError: The deadline passed.
            APIConnectionError: There was no response, retries included.
            NotFoundError: There is no such recipient, or it is scoped to another payer.
            APIStatusError: The API refused; there is a subclass for each status.
            APIResponseError: The response violates the contract, or is about another
                recipient.
        """
        recipient_id = check_uuid("recipient_id", recipient_id)
        operation = Operation(
            name="recipients.retrieve",
            method="GET",
            path="/recipients/{id}",
            path_params=path_id(recipient_id),
            query=_scope(payer_id),
            harmless=True,
            result=Recipient,
            expected={"id": recipient_id},
        )
        return await self._pipeline.run(operation, options)

    async def update(
        self,
        recipient_id: UUID | str,
        *,
        business_name: str | None = None,
        business_address: RecipientAddress | None = None,
        contact: Contact | None = None,
        payer_id: UUID | str | None = None,
        **options: Unpack[CallOptions],
    ) -> Recipient:
        """Change a recipient (``PATCH /recipients/{id}``).

        Only what is given is sent. The API does not say whether it merges or replaces
        an address or a contact, so give all of their parts. Neither category nor
        receiving method can be changed: create a new recipient instead.

        The call is retried only if it was never sent, because a late second request
        could undo the change of another writer. If an error has `outcome_unknown`, read
        the recipient with `retrieve` before you call again.

        Args:
            recipient_id: The recipient's ID.
            business_name: The new name.
            business_address: The new address; an `Address` will do, too.
            contact: The new contact; `Contact.email` is required.
            payer_id: The payer whom the recipient is scoped to. Without it, the API may
                not find a scoped recipient. It changes nothing.
            options: `CallOptions`.

        Returns:
            The changed recipient.

        Raises:
            InvalidArgumentError: An argument is not valid, or there is no change.
                Nothing was sent.
            SessionStateError: The session is closed, or belongs to another event loop.
            APITimeoutError: The deadline passed.
            APIConnectionError: There was no response.
            NotFoundError: There is no such recipient, or it is scoped to another payer.
            APIStatusError: The API refused; there is a subclass for each status.
            APIResponseError: The response violates the contract, or is about another
                recipient; the change may have been made.
        """
        check_change(
            {
                "business_name": business_name,
                "business_address": business_address,
                "contact": contact,
            }
        )
        if business_name is not None:
            check_text("business_name", business_name)
        if business_address is not None:
            check_recipient_address("business_address", business_address)
        if contact is not None:
            check_recipient_contact("contact", contact)
        body = {
            "businessName": business_name,
            "businessAddress": business_address,
            "contact": contact,
            "payer": None if payer_id is None else reference("payer_id", payer_id),
        }
        recipient_id = check_uuid("recipient_id", recipient_id)
        operation = Operation(
            name="recipients.update",
            method="PATCH",
            path="/recipients/{id}",
            path_params=path_id(recipient_id),
            body=encode_body(body),
            harmless=False,
            result=Recipient,
            expected={"id": recipient_id},
        )
        return await self._pipeline.run(operation, options)

    async def delete(
        self,
        recipient_id: UUID | str,
        payer_id: UUID | str | None = None,
        **options: Unpack[CallOptions],
    ) -> None:
        """Delete a recipient (``DELETE /recipients/{id}``).

        The call is retried after transient errors. A 404 to a retry means that an
        earlier attempt deleted the recipient, and is no error.

        Args:
            recipient_id: The recipient's ID.
            payer_id: The payer whom the recipient is scoped to. Without it, the API may
                not find a scoped recipient.
            options: `CallOptions`.

        Raises:
            InvalidArgumentError: An argument is not valid. Nothing was sent.
            SessionStateError: The session is closed, or belongs to another event loop.
            APITimeoutError: The deadline passed.
            APIConnectionError: There was no response, retries included.
            NotFoundError: There is no such recipient, or it is scoped to another payer.
            APIStatusError: The API refused; there is a subclass for each status.
        """
        recipient_id = check_uuid("recipient_id", recipient_id)
        operation = Operation(
            name="recipients.delete",
            method="DELETE",
            path="/recipients/{id}",
            path_params=path_id(recipient_id),
            query=_scope(payer_id),
            harmless=True,
            result=NoneType,
        )
        await self._pipeline.run(operation, options)

    def list(
        self,
        payer_id: UUID | str | None = None,
        *,
        limit: int = LARGEST_PAGE,
        offset: int = 0,
        **options: Unpack[CallOptions],
    ) -> Paginator[Recipient]:
        """List recipients (``GET /recipients``).

        ::

            async for recipient in plastiq.recipients.list(payer_id):
                ...

        Each page is a call, which is retried after transient errors.

        Args:
            payer_id: List the recipients that are associated with this payer. Without
                it, the API may leave scoped recipients out.
            limit: The most recipients on a page, 1 to 100.
            offset: The number of recipients to skip.
            options: `CallOptions`, for each page.

        Returns:
            The listing. Await it for its first page, or iterate over all recipients.

        Raises:
            InvalidArgumentError: An argument is not valid. Nothing was sent.
            PlastiqError: The listing is awaited or iterated over, and a page fails, as
                `retrieve` may. `NotFoundError` means that there is no such payer.
        """
        operation = Operation(
            name="recipients.list",
            method="GET",
            path="/recipients",
            query=_scope(payer_id),
            harmless=True,
            result=Page[Recipient],
        )
        return Paginator(self._pipeline, operation, options, limit=limit, offset=offset)
