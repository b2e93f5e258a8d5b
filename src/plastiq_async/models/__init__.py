"""Requests and results of all resources."""

from plastiq_async.models.categories import Category
from plastiq_async.models.client_secrets import (
    ClientSecret,
    ClientSecretType,
    CreateClientSecret,
)
from plastiq_async.models.common import CallOptions, EndUser, ResponseInfo, StatusReason
from plastiq_async.models.contacts import (
    Address,
    AddressDetails,
    Contact,
    PartyStatus,
    RecipientAddress,
)
from plastiq_async.models.documents import (
    DocumentFileType,
    DocumentType,
    DocumentUpload,
)
from plastiq_async.models.money import Currency, Fee, FeeType, Money
from plastiq_async.models.outcomes import Failed, Outcome, Succeeded
from plastiq_async.models.pages import Page
from plastiq_async.models.payers import (
    IdentityDocument,
    IdentityDocumentType,
    NewIdentityDocument,
    Payer,
)
from plastiq_async.models.payment_intents import (
    PaymentDetails,
    PaymentIntent,
    PaymentIntentStatus,
)
from plastiq_async.models.payment_methods import (
    BankAccount,
    BankAccountDetails,
    BankAccountType,
    BankAccountUpdate,
    Card,
    CardDetails,
    CardSubType,
    CardUpdate,
    PaymentMethod,
    PaymentMethodStatus,
    PaymentMethodType,
)
from plastiq_async.models.payment_orders import (
    Charged,
    NotCharged,
    NotYet,
    PaymentOrder,
    PaymentOutcome,
    Unclear,
)
from plastiq_async.models.payments import (
    Payment,
    PaymentRefund,
    PaymentRefundStatus,
    PaymentStatus,
)
from plastiq_async.models.raw import RawResponse
from plastiq_async.models.receiving_methods import (
    Ach,
    Check,
    Eft,
    ReceivingMethod,
    ReceivingMethodType,
    Wire,
)
from plastiq_async.models.recipients import CreateRecipient, Recipient

__all__ = [
    "Ach",
    "Address",
    "AddressDetails",
    "BankAccount",
    "BankAccountDetails",
    "BankAccountType",
    "BankAccountUpdate",
    "CallOptions",
    "Card",
    "CardDetails",
    "CardSubType",
    "CardUpdate",
    "Category",
    "Charged",
    "Check",
    "ClientSecret",
    "ClientSecretType",
    "Contact",
    "CreateClientSecret",
    "CreateRecipient",
    "Currency",
    "DocumentFileType",
    "DocumentType",
    "DocumentUpload",
    "Eft",
    "EndUser",
    "Failed",
    "Fee",
    "FeeType",
    "IdentityDocument",
    "IdentityDocumentType",
    "Money",
    "NewIdentityDocument",
    "NotCharged",
    "NotYet",
    "Outcome",
    "Page",
    "PartyStatus",
    "Payer",
    "Payment",
    "PaymentDetails",
    "PaymentIntent",
    "PaymentIntentStatus",
    "PaymentMethod",
    "PaymentMethodStatus",
    "PaymentMethodType",
    "PaymentOrder",
    "PaymentOutcome",
    "PaymentRefund",
    "PaymentRefundStatus",
    "PaymentStatus",
    "RawResponse",
    "ReceivingMethod",
    "ReceivingMethodType",
    "Recipient",
    "RecipientAddress",
    "ResponseInfo",
    "StatusReason",
    "Succeeded",
    "Unclear",
    "Wire",
]
