"""Payers: `/payers`."""

from __future__ import annotations

from uuid import uuid4

from plastiq_async.testing._models.payers import (
    Payer,
    Payers,
    ensure_payer,
    forget_payer,
)
from plastiq_async.testing._routing import (
    ApiRequest,
    ApiResponse,
    FakeState,
    NotFoundError,
    Route,
)

__all__ = ["ROUTES"]


def create(request: ApiRequest, state: FakeState) -> ApiResponse:
    """Create a payer, and forget the oldest created one beyond the history.

    Args:
        request: The request.
        state: State of the fake.

    Returns:
        The response with the payer.

    Raises:
        ValidationError: The body breaks the contract.
    """
    payer = Payer(id=uuid4(), created_at=state.now)
    payer.change(request.body, required=("contact",))
    payers = state.of(Payers)
    payers.by_id[payer.id] = payer
    state.payer_ids.add(payer.id)
    payers.created.append(payer.id)
    if len(payers.created) > state.history:
        forget_payer(state, payers.created.popleft())
    return ApiResponse(payer.to_json())


def retrieve(request: ApiRequest, state: FakeState) -> ApiResponse:
    """Return a payer.

    Args:
        request: The request.
        state: State of the fake.

    Returns:
        The response with the payer.

    Raises:
        ApiError: The ID is not one, or there is no such payer.
    """
    return ApiResponse(_find(request, state).to_json())


def update(request: ApiRequest, state: FakeState) -> ApiResponse:
    """Change what a request gives of a payer.

    Args:
        request: The request.
        state: State of the fake.

    Returns:
        The response with the payer.

    Raises:
        ApiError: The body breaks the contract, or there is no such payer.
    """
    payer = _find(request, state)
    payer.change(request.body)
    return ApiResponse(payer.to_json())


def delete(request: ApiRequest, state: FakeState) -> ApiResponse:
    """Delete a payer.

    Args:
        request: The request.
        state: State of the fake.

    Returns:
        The response without a body.

    Raises:
        ApiError: The ID is not one, or there is no such payer.
    """
    forget_payer(state, _find(request, state).id)
    return ApiResponse(status=204)


def _find(request: ApiRequest, state: FakeState) -> Payer:
    payer_id = request.path_uuid("id")
    if payer_id not in state.payer_ids:
        raise NotFoundError
    return ensure_payer(state, payer_id)


ROUTES = (
    Route(operation="payers.create", method="POST", path="/payers", handler=create),
    Route(
        operation="payers.retrieve",
        method="GET",
        path="/payers/{id}",
        handler=retrieve,
    ),
    Route(
        operation="payers.update",
        method="PATCH",
        path="/payers/{id}",
        handler=update,
    ),
    Route(
        operation="payers.delete",
        method="DELETE",
        path="/payers/{id}",
        handler=delete,
    ),
)
