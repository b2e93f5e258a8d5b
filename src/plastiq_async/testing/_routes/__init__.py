"""The routes of the API, one module per resource."""

from __future__ import annotations

from plastiq_async.testing._routes import client_secrets

__all__ = ["ROUTES"]

ROUTES = (*client_secrets.ROUTES,)
