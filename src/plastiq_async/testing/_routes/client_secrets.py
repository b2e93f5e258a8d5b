"""Client secrets: `POST /client-secrets`."""

from __future__ import annotations

from plastiq_async.testing._routing import (
    ApiRequest,
    ApiResponse,
    FakeState,
    Route,
    ValidationError,
    require_object,
    require_uuid,
)

__all__ = ["ROUTES"]

TYPES = ("CARD",)


def create(request: ApiRequest, state: FakeState) -> ApiResponse:
    """Create a client secret for an existing payer.

    Args:
        request: The request.
        state: State of the fake.

    Returns:
        The response with the value of the secret.

    Raises:
        ValidationError: The body breaks the contract.
    """
    if request.body.get("type", "CARD") not in TYPES:
        msg = f"type must be one of: {', '.join(TYPES)}"
        raise ValidationError(msg)
    payer = require_object(request.body.get("payer"), "payer")
    payer_id = require_uuid(payer.get("id"), "payer.id")
    if payer_id not in state.payer_ids:
        msg = "payer.id must be the ID of an existing payer"
        raise ValidationError(msg)
    client_secret = state.secrets.issue(
        payer_id=payer_id, trace_id=request.recorded.trace_id
    )
    return ApiResponse({"clientSecret": client_secret})


ROUTES = (
    Route(
        operation="client_secrets.create",
        method="POST",
        path="/client-secrets",
        handler=create,
    ),
)
