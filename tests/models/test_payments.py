"""Payments and refunds, decoded from the responses of either vocabulary."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, get_args
from uuid import uuid4

import attrs
import pytest

from plastiq_async import Fee, Money, Page, Payment, PaymentDetails, PaymentRefund
from plastiq_async._codec import DecodeError, structure_result
from plastiq_async.models import PaymentRefundStatus, PaymentStatus
from tests.support.models import make_info

IDS = {name: uuid4() for name in ("id", "payer", "recipient", "method", "intent")}
INFO = make_info(idempotency_key=uuid4(), replayed=True)

# As in the public API document, but for the payment intent, which the guide has.
WHOLE: dict[str, Any] = {
    "id": str(IDS["id"]),
    "fees": [
        {
            "amount": {"value": Decimal("2.85"), "currency": "USD"},
            "type": "PLASTIQ_SERVICE_FEE",
            "rate": "2.85%",
        }
    ],
    "sourceAmount": {"value": Decimal("102.85"), "currency": "USD"},
    "targetAmount": {"value": 100, "currency": "USD"},
    "paymentMethod": {"id": str(IDS["method"])},
    "recipient": {"id": str(IDS["recipient"])},
    "payer": {"id": str(IDS["payer"])},
    "paymentIntent": {"id": str(IDS["intent"])},
    "details": {"accountName": "Ada", "accountNumber": "s3cr3t", "memo": "October"},
    "deliveryDate": "2020-11-20",
    "createdAt": "2020-11-19T01:35:53.096Z",
    "status": "SUBMITTED",
    "sourceDescriptor": "PLASTIQ*BEANS",
    "targetDescriptor": "ADA",
}


def read(value: object) -> Payment:
    """Decode a payment."""
    return structure_result(value, Payment, INFO)


def test_whole_payment() -> None:
    """Every field of the contract is read, exact and with flat references."""
    payment = read(WHOLE)
    assert attrs.asdict(payment, recurse=False) | {"details": None} == {
        "id": IDS["id"],
        "status": "SUBMITTED",
        "payer_id": IDS["payer"],
        "recipient_id": IDS["recipient"],
        "payment_method_id": IDS["method"],
        "payment_intent_id": IDS["intent"],
        "target_amount": Money(100),
        "fees": (Fee(amount=Money("2.85"), type="PLASTIQ_SERVICE_FEE", rate="2.85%"),),
        "source_amount": Money("102.85"),
        "details": None,
        "delivery_date": date(2020, 11, 20),
        "created_at": datetime(2020, 11, 19, 1, 35, 53, 96000, UTC),
        "source_descriptor": "PLASTIQ*BEANS",
        "target_descriptor": "ADA",
        "response": INFO,
    }
    assert payment.details
    assert payment.details.memo == "October"
    assert payment.details.account_number == "s3cr3t"


@pytest.mark.parametrize("rest", [{}, dict.fromkeys(WHOLE.keys() - {"id", "fees"})])
def test_missing_fields(rest: dict[str, None]) -> None:
    """Only the ID is required: everything else may be missing or null."""
    payment = read({"id": str(IDS["id"]), **rest})
    values = attrs.asdict(payment, recurse=False)
    assert (values.pop("id"), values.pop("fees")) == (IDS["id"], ())
    assert values.pop("response") is INFO
    assert set(values.values()) == {None}
    assert not any(
        (payment.is_final, payment.is_deposited, payment.is_returned, payment.is_failed)
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"id": None}, "@ $.id"),
        ({"payer": {}}, "payer.id is missing @ $"),
        ({"paymentIntent": "7"}, "paymentIntent.id is missing @ $"),
        ({"sourceAmount": {"currency": "USD"}}, "@ $.sourceAmount"),
        ({"createdAt": "s3cr3t"}, "@ $.createdAt"),
        ({"deliveryDate": "2020-11-19T01:35:53Z"}, "@ $.deliveryDate"),
        ({"fees": {}}, "@ $.fees"),
        ({"status": 7}, "@ $.status"),
    ],
    ids=str,
)
def test_invalid_payment(change: dict[str, object], problem: str) -> None:
    """What is there must have its form, and an error says where it has not."""
    with pytest.raises(DecodeError) as info:
        read(WHOLE | change)
    assert problem in str(info.value)
    assert "s3cr3t" not in str(info.value)


# Whether each is final, deposited, returned and failed.
STATES: dict[str, tuple[bool, bool, bool, bool]] = {
    "SUBMITTED": (False, False, False, False),
    "COMMITTED": (False, False, False, False),
    "DEPOSITED": (True, True, False, False),
    "CANCELLED": (True, False, True, False),
    "CHARGED": (False, False, False, False),
    "UNDER_REVIEW": (False, False, False, False),
    "IN_TRANSIT": (False, False, False, False),
    "REFUNDED": (True, False, True, False),
    "NOT_CAPTURED": (True, False, False, True),
    "SOMETHING_NEW": (False, False, False, False),
}


def test_states_are_complete() -> None:
    """The table of states has all that are known, and a new one."""
    assert STATES.keys() == {*get_args(PaymentStatus), "SOMETHING_NEW"}


@pytest.mark.parametrize("status", STATES)
def test_states(status: str) -> None:
    """The properties know the states of both vocabularies; a new one is none."""
    payment = read(WHOLE | {"status": status})
    assert payment.status == status
    assert STATES[status] == (
        payment.is_final,
        payment.is_deposited,
        payment.is_returned,
        payment.is_failed,
    )


def test_call_behind_it() -> None:
    """The key and the replay are those of the response, and not of the payment."""
    payment = read(WHOLE)
    assert (payment.idempotency_key, payment.replayed) == (INFO.idempotency_key, True)
    other = structure_result(WHOLE, Payment, make_info())
    assert (other.idempotency_key, other.replayed) == (None, False)
    assert payment == other


def test_page() -> None:
    """The payments of a page have its response."""
    page = structure_result({"data": [WHOLE]}, Page[Payment], INFO)
    assert page.data == (read(WHOLE),)
    assert page.data[0].response is INFO


def test_repr_of_a_payment() -> None:
    """The repr shows neither an account nor a header."""
    text = repr(read(WHOLE))
    assert "s3cr3t" not in text
    assert "XYZCLIENTSECRET123" not in text
    assert str(IDS["id"]) in text


def test_copies_without_the_account() -> None:
    """Copies and pickles have everything but the account."""
    payment = read(WHOLE)
    pickled = pickle.dumps(payment)
    assert b"s3cr3t" not in pickled
    expected = attrs.evolve(payment, details=PaymentDetails(memo="October"))
    for twin in (copy.deepcopy(payment), pickle.loads(pickled)):  # noqa: S301 -- ours
        assert twin == expected
        assert twin.response == INFO


@pytest.mark.parametrize(
    ("status", "succeeded"),
    [("REFUNDED", True), ("REFUND_FAILED", False), ("SOMETHING_NEW", False)],
)
def test_refund(status: str, succeeded: bool) -> None:
    """Only the one known status is a success."""
    refund = structure_result({"status": status}, PaymentRefund, INFO)
    assert (refund.status, refund.succeeded) == (status, succeeded)
    assert set(get_args(PaymentRefundStatus)) == {"REFUNDED", "REFUND_FAILED"}


@pytest.mark.parametrize("body", [{}, {"status": None}, {"status": True}, []])
def test_refund_without_a_status(body: object) -> None:
    """A refund without a status says nothing, and is refused."""
    with pytest.raises(DecodeError):
        structure_result(body, PaymentRefund, INFO)
