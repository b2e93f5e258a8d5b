"""Client secrets: `POST /client-secrets`."""

from __future__ import annotations

from plastiq_async.testing._models.payers import resolve_payer
from plastiq_async.testing._routing import (
    ApiRequest,
    ApiResponse,
    FakeState,
    Route,
    ValidationError,
    check_fields,
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
    check_fields(request.body, ("payer", "type"), required=("payer",))
    if request.body.get("type", "CARD") not in TYPES:
        msg = f"type must be one of: {', '.join(TYPES)}"
        raise ValidationError(msg)
    payer = resolve_payer(state, request.body["payer"], "payer")
    client_secret = state.secrets.issue(
        payer_id=payer.id, trace_id=request.recorded.trace_id
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
