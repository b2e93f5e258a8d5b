"""`PaymentMethods`: ``/payment-methods`` of the public API document, version 1.0.0."""

from types import NoneType
from typing import Any, Unpack
from uuid import UUID

import attrs

from plastiq_async._operation import Operation
from plastiq_async._resources.base import (
    Resource,
    check_change,
    path_id,
    payer_query,
    reference,
)
from plastiq_async._resources.paginator import LARGEST_PAGE, Paginator
from plastiq_async._secrets import Body, encode_body
from plastiq_async._validate import check_uuid
from plastiq_async.errors import InvalidArgumentError
from plastiq_async.models.common import CallOptions
from plastiq_async.models.pages import Page
from plastiq_async.models.payment_methods import (
    BankAccount,
    BankAccountUpdate,
    Card,
    CardUpdate,
    PaymentMethod,
)

# The type in a request body follows from the class of its data, so they always agree.
_TYPES: dict[type[Any], str] = {
    Card: "CARD",
    CardUpdate: "CARD",
    BankAccount: "BANK_ACCOUNT",
    BankAccountUpdate: "BANK_ACCOUNT",
}


def _type_of(data: object, *kinds: type[Any]) -> str | None:
    """Return the type in a request body with `data`, or None if it is of no kind."""
    return next((_TYPES[kind] for kind in kinds if isinstance(data, kind)), None)


def _encode(kind: str, data: object, payer_id: UUID | str) -> Body:
    payer = reference("payer_id", payer_id)
    return encode_body({"type": kind, "data": data, "payer": payer})


class PaymentMethods(Resource):
    """Payment methods, with which a payer pays: cards and bank accounts."""

    async def create(
        self,
        payer_id: UUID | str,
        *,
        data: Card | BankAccount,
        **options: Unpack[CallOptions],
    ) -> PaymentMethod:
        """Add a card or a bank account to a payer.

        The API may have the issuer verify it, and accepts about 30 cards of a payer in
        24 hours. So the call is retried only if it was never sent. If an error has
        `outcome_unknown`, look for the payment method with `list` before you try again,
        or the payer may have it twice.

        A result need not be usable. A card in Texas is `INACTIVE` until its payer has
        an identity document: check `PaymentMethod.is_active`.

        To keep card numbers out of your servers, let the payer's browser send the card,
        with a client secret.

        Args:
            payer_id: The payer's UUID.
            data: The card or the bank account.
            options: `CallOptions`.

        Returns:
            The payment method.

        Raises:
            InvalidArgumentError: An argument is not valid.
            SessionStateError: The session is closed, or belongs to another event loop.
            APITimeoutError: The deadline passed.
            APIConnectionError: There was no response.
            BadRequestError: The API refused, such as an expired card, with
                ``CREATE_PAYMENT_METHOD_FAILED`` among others.
            RateLimitError: The payer added too many cards, or you sent too many
                requests.
            APIStatusError: The API refused; there is a subclass for each status.
            APIResponseError: The response violates the contract.
        """
        kind = _type_of(data, Card, BankAccount)
        if kind is None:
            raise InvalidArgumentError("data must be a Card or a BankAccount")
        operation = Operation(
            name="payment_methods.create",
            method="POST",
            path="/payment-methods",
            body=_encode(kind, data, payer_id),
            harmless=False,
            own_limit=True,  # the cards of a payer in 24 hours
            result=PaymentMethod,
        )
        return await self._pipeline.run(operation, options)

    async def retrieve(
        self,
        payment_method_id: UUID | str,
        payer_id: UUID | str,
        **options: Unpack[CallOptions],
    ) -> PaymentMethod:
        """Return a payment method of a payer.

        The call is retried after transient errors.

        Args:
            payment_method_id: The payment method's UUID.
            payer_id: The UUID of the payer whom it belongs to.
            options: `CallOptions`.

        Returns:
            The payment method.

        Raises:
            InvalidArgumentError: An argument is not valid.
            SessionStateError: The session is closed, or belongs to another event loop.
            APITimeoutError: The deadline passed.
            APIConnectionError: There was no response, retries included.
            NotFoundError: The payer has no such payment method.
            APIStatusError: The API refused; there is a subclass for each status.
            APIResponseError: The response violates the contract.
        """
        payment_method_id = check_uuid("payment_method_id", payment_method_id)
        payer_id = check_uuid("payer_id", payer_id)
        operation = Operation(
            name="payment_methods.retrieve",
            method="GET",
            path="/payment-methods/{id}",
            path_params=path_id(payment_method_id),
            query=payer_query(payer_id),
            harmless=True,
            result=PaymentMethod,
            expected={"id": payment_method_id},
        )
        return await self._pipeline.run(operation, options)

    async def update(
        self,
        payment_method_id: UUID | str,
        payer_id: UUID | str,
        *,
        data: CardUpdate | BankAccountUpdate,
        **options: Unpack[CallOptions],
    ) -> PaymentMethod:
        """Change a payment method of a payer.

        Only what is set in `data` is sent, and a billing address replaces the whole old
        one. The API has no means against two writers who overwrite each other, and it
        may have the issuer verify the card again. So the call is retried only if it was
        never sent. If an error has `outcome_unknown`, read the current values with
        `retrieve`, which does not show a card holder's name.

        Args:
            payment_method_id: The payment method's UUID.
            payer_id: The UUID of the payer whom it belongs to.
            data: The changes, of the class for its type; one at least. The `cvv` of a
                card is not a change.
            options: `CallOptions`.

        Returns:
            The payment method as it is now.

        Raises:
            InvalidArgumentError: An argument is not valid, or there is no change.
            SessionStateError: The session is closed, or belongs to another event loop.
            APITimeoutError: The deadline passed.
            APIConnectionError: There was no response.
            BadRequestError: The API refused, such as changes of a bank account to a
                card.
            NotFoundError: The payer has no such payment method.
            APIStatusError: The API refused; there is a subclass for each status.
            APIResponseError: The response violates the contract.
        """
        kind = _type_of(data, CardUpdate, BankAccountUpdate)
        if kind is None:
            raise InvalidArgumentError("data must be a CardUpdate or BankAccountUpdate")
        names = [field.name for field in attrs.fields(type(data))]
        check_change({name: getattr(data, name) for name in names if name != "cvv"})
        payment_method_id = check_uuid("payment_method_id", payment_method_id)
        operation = Operation(
            name="payment_methods.update",
            method="PATCH",
            path="/payment-methods/{id}",
            path_params=path_id(payment_method_id),
            body=_encode(kind, data, payer_id),
            harmless=False,
            result=PaymentMethod,
            expected={"id": payment_method_id},
        )
        return await self._pipeline.run(operation, options)

    async def delete(
        self, payment_method_id: UUID | str, **options: Unpack[CallOptions]
    ) -> None:
        """Delete a payment method.

        The API asks for no payer here, so check first that it is your payer's. The call
        is retried after transient errors. If the payment method is gone after an
        attempt whose outcome is unknown, the call has succeeded.

        Args:
            payment_method_id: The payment method's UUID.
            options: `CallOptions`.

        Raises:
            InvalidArgumentError: An argument is not valid.
            SessionStateError: The session is closed, or belongs to another event loop.
            APITimeoutError: The deadline passed.
            APIConnectionError: There was no response, retries included.
            NotFoundError: There was no such payment method before the call.
            APIStatusError: The API refused; there is a subclass for each status.
            APIResponseError: The response violates the contract.
        """
        payment_method_id = check_uuid("payment_method_id", payment_method_id)
        operation = Operation(
            name="payment_methods.delete",
            method="DELETE",
            path="/payment-methods/{id}",
            path_params=path_id(payment_method_id),
            harmless=True,
            # The contract lists no Trace-Id for its responses.
            traced=False,
            result=NoneType,
        )
        await self._pipeline.run(operation, options)

    def list(
        self,
        payer_id: UUID | str,
        *,
        limit: int = LARGEST_PAGE,
        offset: int = 0,
        **options: Unpack[CallOptions],
    ) -> Paginator[PaymentMethod]:
        """List the payment methods of a payer, whether active or not.

        Args:
            payer_id: The payer's UUID.
            limit: The most items on a page, 1 to 100.
            offset: The number of items to skip, 0 or more.
            options: `CallOptions`, for the call of each page.

        Returns:
            The listing: await it for its first page, or iterate over all of its items.

        Raises:
            InvalidArgumentError: An argument is not valid.
        """
        payer_id = check_uuid("payer_id", payer_id)
        operation = Operation(
            name="payment_methods.list",
            method="GET",
            path="/payment-methods",
            query=payer_query(payer_id),
            harmless=True,
            result=Page[PaymentMethod],
        )
        return Paginator(self._pipeline, operation, options, limit=limit, offset=offset)
