"""Payment intents: `/payment-intents`."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID, uuid4

from plastiq_async.testing._models.payers import find_of_payer, resolve_payer
from plastiq_async.testing._models.payment_intents import (
    CENT,
    PaymentIntent,
    PaymentIntents,
    money,
)
from plastiq_async.testing._models.payment_methods import PaymentMethods
from plastiq_async.testing._models.recipients import (
    Recipient,
    Recipients,
    create_recipient,
    scope_of,
)
from plastiq_async.testing._party_checks import check_texts
from plastiq_async.testing._routing import (
    ApiRequest,
    ApiResponse,
    FakeState,
    NotFoundError,
    Route,
    ValidationError,
    check_fields,
    require_object,
)

__all__ = ["ROUTES"]

REQUIRED = ("payer", "paymentMethod", "recipient", "targetAmount")
UPDATE_FIELDS = ("targetAmount", "details", "metadata")
DETAILS_FIELDS = ("accountName", "accountNumber", "memo")

LEAST = Decimal(1)
MOST = Decimal("99999999.99")


def check_amount(value: object, name: str) -> Decimal:
    """Parse an amount of the contract: in US dollars, with at most two decimals.

    Args:
        value: Value received.
        name: Dotted name of the field.

    Returns:
        The amount.

    Raises:
        ValidationError: The value is not such an amount.
    """
    amount = require_object(value, name)
    fields = ("value", "currency")
    check_fields(amount, fields, parent=name, required=fields)
    number = amount["value"]
    if isinstance(number, bool) or not isinstance(number, (int, Decimal)):
        msg = f"{name}.value must be a number"
        raise ValidationError(msg)
    exact = Decimal(number)
    if not LEAST <= exact <= MOST or exact % CENT:
        msg = f"{name}.value must be from {LEAST} to {MOST} with at most two decimals"
        raise ValidationError(msg)
    if amount["currency"] != "USD":
        msg = f"{name}.currency must be USD"
        raise ValidationError(msg)
    return exact


def check_details(value: object, name: str) -> dict[str, object]:
    """Return a value that must be the details of a payment.

    Args:
        value: Value received.
        name: Dotted name of the field.

    Returns:
        The details.

    Raises:
        ValidationError: A field is unknown or not a text.
    """
    details = require_object(value, name)
    check_texts(details, DETAILS_FIELDS, parent=name)
    return details


def resolve_recipient(state: FakeState, value: object, payer_id: UUID) -> Recipient:
    """Return the recipient that a body names, or create the one that it describes.

    Args:
        state: State of the fake.
        value: Value received.
        payer_id: Payer who is to pay.

    Returns:
        The recipient.

    Raises:
        ValidationError: The value is neither the ID of a recipient that the payer can
            pay, nor a description of one. Nothing was created.
    """
    recipient = require_object(value, "recipient")
    if "id" in recipient:
        found = state.of(Recipients).resolve(recipient, "recipient")
        if not found.payable_by(payer_id):
            msg = "recipient.id must be a recipient that the payer can pay"
            raise ValidationError(msg)
        return found
    if scope_of(state, recipient, "recipient.") not in {None, payer_id}:
        msg = "recipient.payer.id must be the payer"
        raise ValidationError(msg)
    return create_recipient(state, recipient, "recipient")


def create(request: ApiRequest, state: FakeState) -> ApiResponse:
    """Create a payment intent; that it cannot be paid is no error.

    Args:
        request: The request.
        state: State of the fake.

    Returns:
        The response with the payment intent.

    Raises:
        ValidationError: The body breaks the contract.
    """
    body = request.body
    check_fields(body, (*REQUIRED, "details", "metadata"), required=REQUIRED)
    payer = resolve_payer(state, body["payer"], "payer")
    method = state.of(PaymentMethods).resolve(body["paymentMethod"], "paymentMethod")
    if method.payer_id != payer.id:
        msg = "paymentMethod.id must be a payment method of the payer"
        raise ValidationError(msg)
    target_amount = check_amount(body["targetAmount"], "targetAmount")
    details = check_details(body.get("details", {}), "details")
    require_object(body.get("metadata", {}), "metadata")
    # Last, because it may create one.
    recipient = resolve_recipient(state, body["recipient"], payer.id)
    intent = PaymentIntent(
        id=uuid4(),
        payer_id=payer.id,
        recipient_id=recipient.id,
        payment_method_id=method.id,
        by_card=method.type == "CARD",
        target_amount=target_amount,
        details=details,
        created_at=state.now,
    )
    state.of(PaymentIntents).add(intent, limit=state.history)
    return ApiResponse(intent.to_json(state))


def retrieve(request: ApiRequest, state: FakeState) -> ApiResponse:
    """Return a payment intent to its payer.

    Args:
        request: The request.
        state: State of the fake.

    Returns:
        The response with the payment intent.

    Raises:
        NotFoundError: The payer has no such payment intent.
    """
    intent = find_of_payer(request, state, PaymentIntents)
    return ApiResponse(intent.to_json(state))


def update(request: ApiRequest, state: FakeState) -> ApiResponse:
    """Change the amount or the details of a payment intent.

    Args:
        request: The request.
        state: State of the fake.

    Returns:
        The response with the payment intent and its new fees.

    Raises:
        NotFoundError: There is no such payment intent, or its payer was deleted.
        ValidationError: It is final, or the body breaks the contract.
    """
    intent = state.of(PaymentIntents).find(request.path_uuid("id"))
    if intent.payer_id not in state.payer_ids:
        raise NotFoundError
    body = request.body
    check_fields(body, UPDATE_FIELDS)
    unchanged = money(intent.target_amount)
    target_amount = check_amount(body.get("targetAmount", unchanged), "targetAmount")
    details = check_details(body.get("details", intent.details), "details")
    require_object(body.get("metadata", {}), "metadata")
    status = intent.status(state)
    if status in {"CAPTURED", "EXPIRED"}:
        msg = f"the payment intent is {status} and cannot be changed"
        raise ValidationError(msg)
    intent.target_amount, intent.details = target_amount, details
    return ApiResponse(intent.to_json(state))


ROUTES: tuple[Route, ...] = (
    Route(
        operation="payment_intents.create",
        method="POST",
        path="/payment-intents",
        handler=create,
    ),
    Route(
        operation="payment_intents.retrieve",
        method="GET",
        path="/payment-intents/{id}",
        handler=retrieve,
        query=("payerId",),
    ),
    Route(
        operation="payment_intents.update",
        method="PATCH",
        path="/payment-intents/{id}",
        handler=update,
    ),
)
