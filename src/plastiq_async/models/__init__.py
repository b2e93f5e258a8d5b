"""What users annotate with: the requests and the answers of every resource."""

from plastiq_async.models.client_secrets import (
    ClientSecret,
    ClientSecretType,
    CreateClientSecret,
)
from plastiq_async.models.common import EndUser, ResponseInfo
from plastiq_async.models.outcomes import Failed, Outcome, Succeeded

__all__ = [
    "ClientSecret",
    "ClientSecretType",
    "CreateClientSecret",
    "EndUser",
    "Failed",
    "Outcome",
    "ResponseInfo",
    "Succeeded",
]
