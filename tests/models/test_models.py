"""Properties of every model: frozen, keyword-only, copyable."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import attrs
import pytest

from plastiq_async.models import (
    AddressDetails,
    BankAccountDetails,
    BankAccountUpdate,
    CardDetails,
    CardUpdate,
    Category,
    Charged,
    CreateClientSecret,
    EndUser,
    IdentityDocument,
    NewIdentityDocument,
    NotCharged,
    NotYet,
    Payer,
    Payment,
    PaymentDetails,
    PaymentIntent,
    PaymentMethod,
    PaymentOrder,
    PaymentRefund,
    RawResponse,
    ReceivingMethod,
    Recipient,
    StatusReason,
    Unclear,
)
from tests.support.models import NOW, PAYER, TRACE_ID, make_info, make_secret
from tests.support.payment_methods import make_address, make_bank_account, make_card
from tests.support.recipients import RECEIVING_METHODS, make_create_recipient

MODELS = [
    EndUser(user_agent="Mozilla/5.0", ip="::1", device_id="a1"),
    make_info(),
    make_secret(),
    CreateClientSecret(payer_id=PAYER, end_user=EndUser(ip="::1"), trace_id=TRACE_ID),
    PaymentDetails(account_name="Ada", account_number="7", memo="October"),
    PaymentIntent(
        id=TRACE_ID, details=PaymentDetails(memo="October"), response=make_info()
    ),
    Payment(id=TRACE_ID, details=PaymentDetails(memo="x"), response=make_info()),
    PaymentRefund(status="REFUNDED", response=make_info()),
    Charged(
        payment=Payment(id=TRACE_ID, response=make_info()),
        matched_by="payment_intent_id",
    ),
    NotYet(),
    NotCharged(),
    Unclear(candidates=(Payment(id=TRACE_ID, response=make_info()),)),
    PaymentOrder(
        idempotency_key=TRACE_ID,
        payment_intent_id=PAYER,
        payer_id=PAYER,
        created_at=NOW,
    ),
    make_card(),
    make_bank_account(),
    CardUpdate(cvv="123", billing_address=make_address()),
    BankAccountUpdate(routing_number="021000021"),
    PaymentMethod(
        id=PAYER,
        type="CARD",
        data=CardDetails(last4="4242", billing_address=AddressDetails(country="US")),
        status="INACTIVE",
        status_reasons=(StatusReason(code="PAYMENT_METHOD_REQUIRES_TIN"),),
        response=make_info(),
    ),
    BankAccountDetails(account_last_four="6789"),
    Category(id=PAYER, display_name="Rent", response=make_info()),
    IdentityDocument(id=PAYER, type="US_EIN"),
    NewIdentityDocument(type="US_EIN", value="1", country_of_issuance="US"),
    Payer(id=PAYER, business_name="A", response=make_info()),
    *RECEIVING_METHODS.values(),
    make_create_recipient(payer_id=PAYER),
    Recipient(
        id=PAYER,
        receiving_method=ReceivingMethod(type="ACH", account_last_four="4723"),
        response=make_info(),
    ),
    ReceivingMethod(type="ACH", account_last_four="4723"),
    RawResponse(data=None, response=make_info()),  # its copies have no data
]
each_model = pytest.mark.parametrize(
    "model", MODELS, ids=lambda model: type(model).__name__
)


@each_model
def test_frozen_and_slotted(model: Any) -> None:
    """No attribute can be changed or added."""
    for field in attrs.fields(type(model)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(model, field.name, None)
    assert not hasattr(model, "__dict__")


@each_model
def test_keyword_only(model: Any) -> None:
    """Arguments are keyword-only, so that fields may be added anywhere."""
    with pytest.raises(TypeError, match="positional"):
        type(model)(*attrs.astuple(model, recurse=False), None)


@each_model
@pytest.mark.parametrize(
    "twin_of",
    [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))],  # noqa: S301 -- our own,
)
def test_survives_copying(model: Any, twin_of: Any) -> None:
    """Copies and pickles of a model are equal to it."""
    assert twin_of(model) == model
