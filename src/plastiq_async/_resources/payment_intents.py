"""`PaymentIntents`: ``/payment-intents`` of the public API document, version 1.0.0."""

from collections.abc import Mapping
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
from plastiq_async._secrets import encode_body
from plastiq_async._validate import check_uuid
from plastiq_async.models.common import CallOptions
from plastiq_async.models.money import Money, check_amount
from plastiq_async.models.payment_intents import (
    PaymentDetails,
    PaymentIntent,
    check_details,
    check_metadata,
)
from plastiq_async.models.recipients import CreateRecipient, recipient_body


def _recipient(recipient: UUID | str | CreateRecipient) -> Mapping[str, object]:
    """Return the object that names a recipient in a request body, or describes one."""
    if isinstance(recipient, CreateRecipient):
        return recipient_body(recipient)
    return reference("recipient", recipient)


def _purpose(
    details: PaymentDetails | None, metadata: Mapping[str, object] | None
) -> dict[str, object]:
    """Return the members of a request body that say what a payment is for."""
    return {
        "details": None if details is None else check_details(details),
        "metadata": None if metadata is None else check_metadata(metadata),
    }


class PaymentIntents(Resource):
    """Payment intents: quotes, which say what a payment costs before it is made."""

    async def create(
        self,
        *,
        payer_id: UUID | str,
        recipient: UUID | str | CreateRecipient,
        payment_method_id: UUID | str,
        target_amount: Money,
        details: PaymentDetails | None = None,
        metadata: Mapping[str, object] | None = None,
        **options: Unpack[CallOptions],
    ) -> PaymentIntent:
        """Ask what a payment costs, and whether it can be made.

        It charges nothing. Success does not mean that the payment can be made: check
        `PaymentIntent.is_capturable`, and show the payer the fees and the source amount
        before you pay with `payments.create`. A payment intent expires after minutes,
        so create none ahead of time. After it has expired, create a new one and show
        its amounts again.

        The call is retried after transient errors, because a spare payment intent
        expires. With a `CreateRecipient` it is retried only if it was never sent,
        because each request may create a recipient: if the error has `outcome_unknown`,
        look for the recipient with `recipients.list`, and pass its ID.

        Args:
            payer_id: The UUID of the payer, who is charged.
            recipient: The UUID of the recipient, or a `CreateRecipient` to create one,
                whose ID is in `PaymentIntent.recipient_id`.
            payment_method_id: The UUID of one of the payer's payment methods.
            target_amount: What the recipient gets, 1 to 99999999.99 with at most two
                decimals.
            details: What the recipient needs to credit the payment.
            metadata: A JSON object of your own. The API never returns it.
            options: `CallOptions`.

        Returns:
            The payment intent.

        Raises:
            InvalidArgumentError: An argument is not valid. Nothing was sent.
            SessionStateError: The session is closed, or belongs to another event loop.
            APITimeoutError: The deadline passed.
            APIConnectionError: There was no response, retries included.
            BadRequestError: The API refused a value, such as a payment method that is
                not the payer's.
            APIStatusError: The API refused; there is a subclass for each status.
            APIResponseError: The response violates the contract, or is about another
                payer.
        """
        payer = reference("payer_id", payer_id)
        operation = Operation(
            name="payment_intents.create",
            method="POST",
            path="/payment-intents",
            body=encode_body(
                {
                    "payer": payer,
                    "recipient": _recipient(recipient),
                    "paymentMethod": reference("payment_method_id", payment_method_id),
                    "targetAmount": check_amount("target_amount", target_amount),
                    **_purpose(details, metadata),
                }
            ),
            # A spare payment intent expires, but a spare recipient stays.
            harmless=not isinstance(recipient, CreateRecipient),
            result=PaymentIntent,
            expected={"payer_id": payer["id"]},
        )
        return await self._pipeline.run(operation, options)

    async def retrieve(
        self,
        payment_intent_id: UUID | str,
        payer_id: UUID | str,
        **options: Unpack[CallOptions],
    ) -> PaymentIntent:
        """Return a payment intent, with its status as it is now.

        The call is retried after transient errors.

        Args:
            payment_intent_id: The payment intent's UUID.
            payer_id: The payer's UUID, which the API requires.
            options: `CallOptions`.

        Returns:
            The payment intent.

        Raises:
            InvalidArgumentError: An argument is not valid. Nothing was sent.
            SessionStateError: The session is closed, or belongs to another event loop.
            APITimeoutError: The deadline passed.
            APIConnectionError: There was no response, retries included.
            NotFoundError: The payer has no such payment intent.
            APIStatusError: The API refused; there is a subclass for each status.
            APIResponseError: The response violates the contract, or is about another
                payment intent or payer.
        """
        payment_intent_id = check_uuid("payment_intent_id", payment_intent_id)
        payer_id = check_uuid("payer_id", payer_id)
        operation = Operation(
            name="payment_intents.retrieve",
            method="GET",
            path="/payment-intents/{id}",
            path_params=path_id(payment_intent_id),
            query=payer_query(payer_id),
            harmless=True,
            result=PaymentIntent,
            expected={
                "id": payment_intent_id,
                "payer_id": payer_id,
            },
        )
        return await self._pipeline.run(operation, options)

    async def update(
        self,
        payment_intent_id: UUID | str,
        *,
        target_amount: Money | None = None,
        details: PaymentDetails | None = None,
        metadata: Mapping[str, object] | None = None,
        **options: Unpack[CallOptions],
    ) -> PaymentIntent:
        """Change what a payment will be about, and get its new fees.

        It changes what a later payment charges, so show the payer the new amounts. Two
        updates at the same time overwrite each other. The API does not say whether
        `details` and `metadata` replace those of before or are merged with them: pass
        them complete.

        The call is retried only if it was never sent, because a late second request
        could undo the change of somebody else. If an error has `outcome_unknown`, read
        the amounts with `retrieve` before you pay.

        Args:
            payment_intent_id: The payment intent's UUID.
            target_amount: What the recipient gets, 1 to 99999999.99 with at most two
                decimals.
            details: What the recipient needs to credit the payment.
            metadata: A JSON object of your own. The API never returns it.
            options: `CallOptions`.

        Returns:
            The payment intent with its new fees and amounts.

        Raises:
            InvalidArgumentError: An argument is not valid, or none of `target_amount`,
                `details` and `metadata` is given. Nothing was sent.
            SessionStateError: The session is closed, or belongs to another event loop.
            APITimeoutError: The deadline passed.
            APIConnectionError: There was no response.
            BadRequestError: The API refused a value, or the payment intent was paid or
                has expired: create a new one.
            NotFoundError: There is no such payment intent.
            APIStatusError: The API refused; there is a subclass for each status.
            APIResponseError: The response violates the contract, or is about another
                payment intent. The change may have been made.
        """
        amount = None
        if target_amount is not None:
            amount = check_amount("target_amount", target_amount)
        changes = {"target_amount": amount, "details": details, "metadata": metadata}
        check_change(changes)
        payment_intent_id = check_uuid("payment_intent_id", payment_intent_id)
        operation = Operation(
            name="payment_intents.update",
            method="PATCH",
            path="/payment-intents/{id}",
            path_params=path_id(payment_intent_id),
            body=encode_body({"targetAmount": amount, **_purpose(details, metadata)}),
            harmless=False,
            result=PaymentIntent,
            expected={"id": payment_intent_id},
        )
        return await self._pipeline.run(operation, options)
