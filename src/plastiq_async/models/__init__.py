"""Requests and results of all resources."""

from plastiq_async.models.client_secrets import (
    ClientSecret,
    ClientSecretType,
    CreateClientSecret,
)
from plastiq_async.models.common import CallOptions, EndUser, ResponseInfo
from plastiq_async.models.outcomes import Failed, Outcome, Succeeded
from plastiq_async.models.pages import Page

__all__ = [
    "CallOptions",
    "ClientSecret",
    "ClientSecretType",
    "CreateClientSecret",
    "EndUser",
    "Failed",
    "Outcome",
    "Page",
    "ResponseInfo",
    "Succeeded",
]
