"""Documents: `POST /documents`, which hands out a place for an upload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from plastiq_async.testing._models.documents import (
    LIFETIME,
    STORAGE_PATH,
    Documents,
    StoredDocument,
    UploadPlace,
)
from plastiq_async.testing._models.payers import resolve_payer
from plastiq_async.testing._models.payment_intents import PaymentIntents
from plastiq_async.testing._models.payments import Payments
from plastiq_async.testing._models.recipients import Recipients
from plastiq_async.testing._party_checks import (
    Check,
    check_given,
    check_text,
    matches,
)
from plastiq_async.testing._routing import (
    ApiRequest,
    ApiResponse,
    FakeState,
    Route,
    ValidationError,
    check_fields,
)
from plastiq_async.testing._store import Store

__all__ = ["ROUTES"]

FILE_TYPES = ("doc", "docx", "gif", "jpeg", "jpg", "pdf", "xls", "xlsx")
CHECKS: Mapping[str, Check] = {
    "type": matches("INVOICE", "one of: INVOICE"),
    "fileType": matches("|".join(FILE_TYPES), f"one of: {', '.join(FILE_TYPES)}"),
    "filename": check_text,
}
REQUIRED = (*CHECKS, "payer")
# What a document can belong to.
TARGETS: dict[str, type[Store[Any]]] = {
    "payment": Payments,
    "paymentIntent": PaymentIntents,
    "recipient": Recipients,
}


def create(request: ApiRequest, state: FakeState) -> ApiResponse:
    """Hand out a place to which one document can be uploaded.

    Args:
        request: The request.
        state: State of the fake.

    Returns:
        The response with the URL and the form fields.

    Raises:
        ValidationError: The body breaks the contract.
    """
    body = request.body
    check_fields(body, (*REQUIRED, *TARGETS), required=REQUIRED)
    given = check_given(body, CHECKS)
    payer = resolve_payer(state, body["payer"], "payer")
    target = _target(request, state, payer.id)
    document = StoredDocument(
        payer_id=payer.id,
        type=str(given["type"]),
        file_type=str(given["fileType"]),
        filename=str(given["filename"]),
        payment_id=target.get("payment"),
        payment_intent_id=target.get("paymentIntent"),
        recipient_id=target.get("recipient"),
        stored_at=state.now,
    )
    place = UploadPlace(id=uuid4(), document=document, expires_at=state.now + LIFETIME)
    state.of(Documents).add(place, limit=state.history)
    return ApiResponse(
        {
            "uploadURL": f"{request.origin}{STORAGE_PATH}{place.id}",
            "metadata": place.fields,
        }
    )


def _target(request: ApiRequest, state: FakeState, payer_id: UUID) -> dict[str, UUID]:
    """Return the ID of what the document belongs to, by the name of the field."""
    given = [name for name in TARGETS if name in request.body]
    if len(given) != 1:
        msg = f"exactly one of {', '.join(TARGETS)} is required"
        raise ValidationError(msg)
    (name,) = given
    target = state.of(TARGETS[name]).resolve(request.body[name], name)
    # Any payer can use a recipient without one.
    if target.payer_id not in {None, payer_id}:
        msg = f"{name}.id must be a {name} of the payer"
        raise ValidationError(msg)
    return {name: target.id}


ROUTES = (
    Route(
        operation="documents.create",
        method="POST",
        path="/documents",
        handler=create,
    ),
)
