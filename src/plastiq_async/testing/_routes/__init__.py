"""The routes of the API, one module per resource."""

from __future__ import annotations

from plastiq_async.testing._routes import (
    categories,
    client_secrets,
    documents,
    payers,
    payment_intents,
    payment_methods,
    payments,
    recipients,
)
from plastiq_async.testing._routing import Route

__all__ = ["ROUTES"]

ROUTES: tuple[Route, ...] = (
    *categories.ROUTES,
    *client_secrets.ROUTES,
    *documents.ROUTES,
    *payers.ROUTES,
    *payment_intents.ROUTES,
    *payment_methods.ROUTES,
    *payments.ROUTES,
    *recipients.ROUTES,
)
