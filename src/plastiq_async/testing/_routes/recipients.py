"""Recipients: `/recipients`."""

from __future__ import annotations

from uuid import UUID

from plastiq_async.testing._models.payers import query_payer
from plastiq_async.testing._models.recipients import (
    Recipient,
    Recipients,
    create_recipient,
    scope_of,
)
from plastiq_async.testing._routing import (
    LISTING_QUERY,
    ApiRequest,
    ApiResponse,
    FakeState,
    NotFoundError,
    Route,
    list_page,
)

__all__ = ["ROUTES"]


def _query_scope(request: ApiRequest, state: FakeState) -> UUID | None:
    """Return the payer that a query names, if any."""
    return query_payer(request, state) if "payerId" in request.query else None


def _find(request: ApiRequest, state: FakeState, payer_id: UUID | None) -> Recipient:
    """Return the recipient that the path names, if this payer may see it."""
    recipient = state.of(Recipients).find(request.path_uuid("id"))
    if not recipient.payable_by(payer_id):
        raise NotFoundError
    return recipient


def create(request: ApiRequest, state: FakeState) -> ApiResponse:
    """Create a recipient.

    Args:
        request: The request.
        state: State of the fake.

    Returns:
        The response with the recipient.

    Raises:
        ValidationError: The body breaks the contract.
    """
    return ApiResponse(create_recipient(state, request.body).to_json())


def retrieve(request: ApiRequest, state: FakeState) -> ApiResponse:
    """Return a recipient.

    Args:
        request: The request.
        state: State of the fake.

    Returns:
        The response with the recipient.

    Raises:
        NotFoundError: The recipient does not exist, or is scoped to another payer.
    """
    recipient = _find(request, state, _query_scope(request, state))
    return ApiResponse(recipient.to_json())


def update(request: ApiRequest, state: FakeState) -> ApiResponse:
    """Change a recipient; a contact or an address replaces the old one.

    Args:
        request: The request. A payer in it names the scope and changes nothing.
        state: State of the fake.

    Returns:
        The response with the changed recipient.

    Raises:
        NotFoundError: The recipient does not exist, or is scoped to another payer.
        ValidationError: The body breaks the contract. Nothing has changed.
    """
    body = request.body
    recipient = _find(request, state, scope_of(state, body))
    recipient.change(body)
    return ApiResponse(recipient.to_json())


def delete(request: ApiRequest, state: FakeState) -> ApiResponse:
    """Delete a recipient.

    Args:
        request: The request.
        state: State of the fake.

    Returns:
        An empty response.

    Raises:
        NotFoundError: The recipient does not exist, or is scoped to another payer.
    """
    recipient = _find(request, state, _query_scope(request, state))
    del state.of(Recipients).by_id[recipient.id]
    return ApiResponse(status=204)


def list_(request: ApiRequest, state: FakeState) -> ApiResponse:
    """List the recipients of a payer and then the unscoped ones, oldest first.

    Args:
        request: The request. Without a payer, only the unscoped ones are listed.
        state: State of the fake.

    Returns:
        The response with a page of recipients.

    Raises:
        NotFoundError: The payer does not exist.
        ValidationError: A query parameter is not valid.
    """
    payer_id = _query_scope(request, state)
    # A stable sort, for which False comes first.
    listed = sorted(
        (r for r in state.of(Recipients).by_id.values() if r.payable_by(payer_id)),
        key=lambda recipient: recipient.payer_id is None,
    )
    return list_page(request, [recipient.to_json() for recipient in listed])


ROUTES = (
    Route(
        operation="recipients.create",
        method="POST",
        path="/recipients",
        handler=create,
    ),
    Route(
        operation="recipients.list",
        method="GET",
        path="/recipients",
        handler=list_,
        query=("payerId", *LISTING_QUERY),
    ),
    Route(
        operation="recipients.retrieve",
        method="GET",
        path="/recipients/{id}",
        handler=retrieve,
        query=("payerId",),
    ),
    Route(
        operation="recipients.update",
        method="PATCH",
        path="/recipients/{id}",
        handler=update,
    ),
    Route(
        operation="recipients.delete",
        method="DELETE",
        path="/recipients/{id}",
        handler=delete,
        query=("payerId",),
    ),
)
