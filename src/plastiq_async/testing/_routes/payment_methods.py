"""Payment methods: `/payment-methods`."""

from __future__ import annotations

from plastiq_async.testing._models.payers import (
    find_of_payer,
    query_payer,
    resolve_payer,
)
from plastiq_async.testing._models.payment_method_data import (
    check_data,
    check_expiry,
    find_kind,
)
from plastiq_async.testing._models.payment_methods import (
    FIELDS,
    PaymentMethods,
    create_payment_method,
)
from plastiq_async.testing._routing import (
    LISTING_QUERY,
    ApiRequest,
    ApiResponse,
    FakeState,
    Route,
    ValidationError,
    check_fields,
    list_page,
)

__all__ = ["ROUTES"]


def create(request: ApiRequest, state: FakeState) -> ApiResponse:
    """Add a payment method to a payer.

    Args:
        request: The request.
        state: State of the fake.

    Returns:
        The response with the payment method, which may be `INACTIVE`.

    Raises:
        ApiError: The body breaks the contract, the card has expired, or the payer has
            added too many.
    """
    return ApiResponse(create_payment_method(state, request.body).to_json(state))


def retrieve(request: ApiRequest, state: FakeState) -> ApiResponse:
    """Return a payment method to its payer.

    Args:
        request: The request.
        state: State of the fake.

    Returns:
        The response with the payment method.

    Raises:
        ValidationError: An ID is missing or not a UUID.
        NotFoundError: The payer does not exist or has no such payment method.
    """
    method = find_of_payer(request, state, PaymentMethods)
    return ApiResponse(method.to_json(state))


def update(request: ApiRequest, state: FakeState) -> ApiResponse:
    """Change a payment method of a payer.

    Args:
        request: The request.
        state: State of the fake.

    Returns:
        The response with the payment method.

    Raises:
        ApiError: The body breaks the contract, or the card has expired.
        NotFoundError: There is no such payment method.
    """
    method = state.of(PaymentMethods).find(request.path_uuid("id"))
    check_fields(request.body, FIELDS, required=FIELDS)
    payer = resolve_payer(state, request.body["payer"], "payer")
    if payer.id != method.payer_id:
        msg = "payer.id must be the payer of the payment method"
        raise ValidationError(msg)
    kind = find_kind(request.body)
    if request.body["type"] != method.type:
        msg = "type must be that of the payment method"
        raise ValidationError(msg)
    checks = {name: kind.create[name] for name in (*kind.update, *kind.change_needs)}
    data = check_data(request.body["data"], checks, kind.change_needs)
    for name in kind.change_needs:
        del data[name]
    if not data:
        msg = f"data must have at least one of: {', '.join(kind.update)}"
        raise ValidationError(msg)
    changed = {**method.data, **data}
    if method.type == "CARD":
        check_expiry(changed, state)
    method.data = changed
    return ApiResponse(method.to_json(state))


def delete(request: ApiRequest, state: FakeState) -> ApiResponse:
    """Delete a payment method, whoever its payer is.

    Args:
        request: The request.
        state: State of the fake.

    Returns:
        An empty response.

    Raises:
        NotFoundError: There is no such payment method.
    """
    methods = state.of(PaymentMethods)
    del methods.by_id[methods.find(request.path_uuid("id")).id]
    return ApiResponse(status=204)


def list_(request: ApiRequest, state: FakeState) -> ApiResponse:
    """List the payment methods of a payer.

    Args:
        request: The request.
        state: State of the fake.

    Returns:
        The response with the page.

    Raises:
        ValidationError: A parameter is missing or not valid.
        NotFoundError: The payer does not exist.
    """
    payer_id = query_payer(request, state)
    methods = state.of(PaymentMethods).by_id.values()
    return list_page(
        request,
        [method.to_json(state) for method in methods if method.payer_id == payer_id],
    )


ROUTES: tuple[Route, ...] = (
    Route(
        operation="payment_methods.create",
        method="POST",
        path="/payment-methods",
        handler=create,
    ),
    Route(
        operation="payment_methods.list",
        method="GET",
        path="/payment-methods",
        handler=list_,
        query=("payerId", *LISTING_QUERY),
    ),
    Route(
        operation="payment_methods.retrieve",
        method="GET",
        path="/payment-methods/{id}",
        handler=retrieve,
        query=("payerId",),
    ),
    Route(
        operation="payment_methods.update",
        method="PATCH",
        path="/payment-methods/{id}",
        handler=update,
    ),
    Route(
        operation="payment_methods.delete",
        method="DELETE",
        path="/payment-methods/{id}",
        handler=delete,
    ),
)
