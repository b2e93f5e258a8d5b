"""Payments: `/payments`, with idempotency keys, and refunds."""

from __future__ import annotations

from uuid import uuid4

from plastiq_async.testing._models.payers import (
    find_of_payer,
    query_payer,
    resolve_payer,
)
from plastiq_async.testing._models.payment_intents import PaymentIntent, PaymentIntents
from plastiq_async.testing._models.payment_methods import PaymentMethods
from plastiq_async.testing._models.payments import Payment, Payments
from plastiq_async.testing._routing import (
    LISTING_QUERY,
    ApiError,
    ApiRequest,
    ApiResponse,
    FakeState,
    Route,
    ValidationError,
    check_fields,
    idempotent,
    list_page,
    require_uuid,
)

__all__ = ["ROUTES"]

DECLINED_CARD = "4000000000000002"
# What a payment takes over from its payment intent.
TERMS = (
    *("fees", "sourceAmount", "targetAmount", "details", "deliveryDate"),
    *("paymentMethod", "recipient", "payer"),
)


def create(request: ApiRequest, state: FakeState) -> ApiResponse:
    """Pay a payment intent, once per idempotency key.

    Args:
        request: The request.
        state: State of the fake.

    Returns:
        The response with the payment.

    Raises:
        ValidationError: The body breaks the contract, or the payment intent cannot be
            paid.
        ApiError: The card was declined.
    """
    return idempotent(request, state, lambda: _pay(request, state))


def _pay(request: ApiRequest, state: FakeState) -> ApiResponse:
    intent = _find_intent(request.body, state)
    status = intent.status(state)
    if status != "CAPTURABLE":
        msg = f"paymentIntent must have the status CAPTURABLE, not {status}"
        raise ValidationError(msg)
    if state.of(PaymentMethods).find(intent.payment_method_id).number == DECLINED_CARD:
        raise ApiError(
            400, code="PAYMENT_METHOD_DECLINED", message="The card was declined"
        )
    payments = state.of(Payments)
    shown = intent.to_json(state)
    payment = Payment(
        id=uuid4(),
        payer_id=intent.payer_id,
        payment_intent_id=intent.id,
        terms={name: shown[name] for name in TERMS},
        created_at=state.now,
        status="CHARGED" if state.guide_vocabulary else "SUBMITTED",
    )
    intent.captured = True
    payments.charges += 1
    payments.add(payment, limit=state.history)
    return ApiResponse(payments.show(payment))


def _find_intent(body: dict[str, object], state: FakeState) -> PaymentIntent:
    """Return the payment intent that a body names by its ID."""
    reference = body.get("paymentIntent")
    if reference is None or (isinstance(reference, dict) and "id" not in reference):
        # The contract also has payment intents inline, here and at the top level.
        msg = "paymentIntent.id is required: FakePlastiq takes payment intents by ID"
        raise ValidationError(msg)
    check_fields(body, ("paymentIntent", "payer"), required=("payer",))
    payer = resolve_payer(state, body["payer"], "payer")
    intent = state.of(PaymentIntents).resolve(reference, "paymentIntent")
    if intent.payer_id != payer.id:
        msg = "paymentIntent.id does not exist"
        raise ValidationError(msg)
    return intent


def retrieve(request: ApiRequest, state: FakeState) -> ApiResponse:
    """Return a payment to its payer.

    Args:
        request: The request.
        state: State of the fake.

    Returns:
        The response with the payment.

    Raises:
        NotFoundError: The payer has no such payment.
    """
    payment = find_of_payer(request, state, Payments)
    return ApiResponse(state.of(Payments).show(payment))


def list_(request: ApiRequest, state: FakeState) -> ApiResponse:
    """Return the listed payments of a payer, oldest first.

    Args:
        request: The request.
        state: State of the fake.

    Returns:
        The response with a page.

    Raises:
        NotFoundError: There is no such payer.
        ValidationError: A query parameter is not valid.
    """
    payer_id = query_payer(request, state)
    payments = state.of(Payments)
    listed = payments.listed(payer_id, state.now)
    return list_page(request, [payments.show(payment) for payment in listed])


def refund(request: ApiRequest, state: FakeState) -> ApiResponse:
    """Give the money back unless it is on its way, or was given back before.

    Args:
        request: The request.
        state: State of the fake.

    Returns:
        The response with the result, which may be a failure.

    Raises:
        NotFoundError: There is no such payment.
        ValidationError: The body breaks the contract.
    """
    payments = state.of(Payments)
    payment = payments.find(request.path_uuid("id"))
    check_fields(request.body, ("payerId",), required=("payerId",))
    payer_id = require_uuid(request.body["payerId"], "payerId")
    if payer_id not in state.payer_ids or payer_id != payment.payer_id:
        msg = "payerId must be the payer of the payment"
        raise ValidationError(msg)
    refunded = payments.refund(payment)
    return ApiResponse({"status": "REFUNDED" if refunded else "REFUND_FAILED"})


ROUTES: tuple[Route, ...] = (
    Route(
        operation="payments.create",
        method="POST",
        path="/payments",
        handler=create,
    ),
    Route(
        operation="payments.list",
        method="GET",
        path="/payments",
        handler=list_,
        query=("payerId", *LISTING_QUERY),
    ),
    Route(
        operation="payments.retrieve",
        method="GET",
        path="/payments/{id}",
        handler=retrieve,
        query=("payerId",),
    ),
    Route(
        operation="payments.refund",
        method="POST",
        path="/payments/{id}/refunds",
        handler=refund,
    ),
)
