"""The payment intent models: decoding, checks, both vocabularies, hidden values."""

from __future__ import annotations

import copy
import pickle
import traceback
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, get_args
from uuid import UUID

import attrs
import pytest

from plastiq_async._codec import DecodeError, structure_result
from plastiq_async.errors import InvalidArgumentError
from plastiq_async.models import (
    Fee,
    Money,
    PaymentDetails,
    PaymentIntent,
    PaymentIntentStatus,
    StatusReason,
)
from plastiq_async.models.payment_intents import check_details, check_metadata
from tests.support.models import A_SECOND, NOW, PAYER, make_info

INTENT = UUID("1f0b0a35-5c1e-4d8e-b8a8-3f6b0a5d2c11")
METHOD = UUID("6f0e9f5e-0f0e-4bb9-8d0a-0d0d3c2f4f7e")
RECIPIENT = UUID("a8d4c2de-4a5f-4f44-9f4e-2b8a6f3f9a10")
JSON: dict[str, Any] = {
    "id": str(INTENT),
    "fees": [
        {
            "amount": {"value": Decimal("2.85"), "currency": "USD"},
            "type": "PLASTIQ_SERVICE_FEE",
            "rate": "2.85%",
        }
    ],
    "sourceAmount": {"value": Decimal("102.85"), "currency": "USD"},
    "targetAmount": {"value": 100, "currency": "USD"},
    "paymentMethod": {"id": str(METHOD)},
    "recipient": {"id": str(RECIPIENT)},
    "payer": {"id": str(PAYER)},
    "details": {"accountName": "Ada", "accountNumber": "s3cr3t", "memo": "October"},
    "status": "UNCAPTURABLE",
    "statusReasons": [{"code": "CARD_BRAND_BLOCK", "message": "Not this brand"}],
    "deliveryDate": "2020-11-23",
    "createdAt": "2020-11-19T01:35:53.096Z",
    "expiresAt": "2020-11-19T01:40:53.096Z",
    "sourceDescriptor": "PLASTIQ*BEANS",
    "targetDescriptor": "ADA",
    "isExpedited": False,
}
INFO = make_info()


def read(**changes: object) -> PaymentIntent:
    """Decode a payment intent, with some of its members changed."""
    return structure_result({**JSON, **changes}, PaymentIntent, INFO)


def make_intent(**values: Any) -> PaymentIntent:
    """Return a payment intent with these values."""
    return PaymentIntent(id=INTENT, response=INFO, **values)


# --- decoding ---


def test_every_field() -> None:
    """Each field is decoded to its type, amounts exactly and references to IDs."""
    created = datetime(2020, 11, 19, 1, 35, 53, 96000, tzinfo=UTC)
    fee = Fee(amount=Money("2.85"), type="PLASTIQ_SERVICE_FEE", rate="2.85%")
    assert read() == make_intent(
        fees=(fee,),
        source_amount=Money("102.85"),
        target_amount=Money(100),
        payment_method_id=METHOD,
        recipient_id=RECIPIENT,
        payer_id=PAYER,
        details=PaymentDetails(
            account_name="Ada", account_number="s3cr3t", memo="October"
        ),
        status="UNCAPTURABLE",
        status_reasons=(
            StatusReason(code="CARD_BRAND_BLOCK", message="Not this brand"),
        ),
        delivery_date=date(2020, 11, 23),
        created_at=created,
        expires_at=created + timedelta(minutes=5),
        source_descriptor="PLASTIQ*BEANS",
        target_descriptor="ADA",
    )
    assert read().response is INFO


def test_only_an_id() -> None:
    """Every other field may be missing, or null."""
    least = structure_result({"id": str(INTENT)}, PaymentIntent, INFO)
    assert least == make_intent()
    assert (least.fees, least.status_reasons, least.details) == ((), (), None)
    assert read(**dict.fromkeys(JSON.keys() - {"id"})) == least


def test_lenient_details() -> None:
    """Details in a response may be blank, although those of a request may not."""
    intent = read(details={"accountName": "", "memo": "\x07", "other": 1})
    assert intent.details == PaymentDetails(account_name="", memo="\x07")


@pytest.mark.parametrize("status", ["CAPTURABLE", "NOT_CAPTURABLE", "SHINY"])
def test_any_status(status: str) -> None:
    """A status of the vendor's guide and a new one are kept as they are."""
    assert read(status=status).status == status


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"id": None}, "$.id"),
        ({"payer": {}}, "payer.id is missing"),
        ({"payer": {"id": "s3cr3t"}}, "$.payer.id"),
        ({"recipient": "s3cr3t"}, "recipient.id is missing"),
        ({"targetAmount": {"currency": "USD"}}, "$.targetAmount"),
        ({"targetAmount": {"value": "1", "currency": "USD"}}, "$.targetAmount.value"),
        ({"fees": [{"amount": {"value": True, "currency": "USD"}}]}, "$.fees[0]"),
        ({"details": {"accountNumber": 7}}, "$.details.accountNumber"),
        ({"statusReasons": ["s3cr3t"]}, "$.statusReasons[0]"),
        ({"deliveryDate": "2020-11-23T00:00:00Z"}, "$.deliveryDate"),
        ({"expiresAt": "soon"}, "$.expiresAt"),
    ],
)
def test_invalid(changes: dict[str, object], path: str) -> None:
    """An error names the place in the response, and no value."""
    with pytest.raises(DecodeError) as info:
        read(**changes)
    assert path in str(info.value)
    assert "s3cr3t" not in str(info.value)


# --- status and expiry ---


@pytest.mark.parametrize("status", [*get_args(PaymentIntentStatus), "SHINY", None])
def test_is_capturable(status: str | None) -> None:
    """Only one status means that the payment can be made."""
    assert make_intent(status=status).is_capturable is (status == "CAPTURABLE")


@pytest.mark.parametrize("status", ["CAPTURABLE", "UNCAPTURABLE", "SHINY", None])
@pytest.mark.parametrize(
    ("now", "expired"),
    [
        (NOW - A_SECOND, False),
        (NOW, True),
        (NOW + A_SECOND, True),
        ((NOW - A_SECOND).astimezone(timezone(timedelta(hours=5))), False),
    ],
)
def test_is_expired_at(now: datetime, expired: bool, status: str | None) -> None:
    """A payment intent is expired from its expiry time on, in any time zone."""
    assert make_intent(status=status, expires_at=NOW).is_expired(now) is expired


@pytest.mark.parametrize(
    ("status", "expired"), [("EXPIRED", True), ("CAPTURED", False)]
)
@pytest.mark.parametrize("expires_at", [NOW, None])
def test_final_status(status: str, expired: bool, expires_at: datetime | None) -> None:
    """A final status counts more than the time."""
    intent = make_intent(status=status, expires_at=expires_at)
    assert intent.is_expired(NOW - A_SECOND) is expired
    assert intent.is_expired(NOW + A_SECOND) is expired


def test_no_expiry_time() -> None:
    """A payment intent without an expiry time does not expire here."""
    assert make_intent(status="CAPTURABLE").is_expired(NOW) is False


@pytest.mark.parametrize(("minutes", "expired"), [(-1, True), (9, False)])
def test_is_expired_now(minutes: int, expired: bool) -> None:
    """Without a given time, the machine's clock is used."""
    expires_at = datetime.now(UTC) + timedelta(minutes=minutes)
    assert make_intent(expires_at=expires_at).is_expired() is expired


# --- hidden values ---


@pytest.mark.parametrize("show", [repr, str, "{}".format])
def test_account_is_hidden(show: Any) -> None:
    """No text form shows the account; the memo and the amounts are there."""
    for shown in (show(read()), show(read().details)):
        assert "s3cr3t" not in shown
        assert "Ada" not in shown.replace("ADA", "")
        assert "October" in shown


@pytest.mark.parametrize(
    "twin_of",
    [
        copy.copy,
        copy.deepcopy,
        lambda intent: pickle.loads(pickle.dumps(intent)),  # noqa: S301 -- our own
    ],
)
def test_copies_without_the_account(twin_of: Any) -> None:
    """Copies and pickles have everything but the account."""
    intent = read()
    twin = twin_of(intent)
    assert twin == attrs.evolve(intent, details=PaymentDetails(memo="October"))
    assert twin.response == INFO
    assert b"s3cr3t" not in pickle.dumps(intent)
    assert twin_of(make_intent()) == make_intent()


def test_details_survive_pickling() -> None:
    """The details of a request keep the account, so that a queue can hold them."""
    details = PaymentDetails(account_name="Ada", account_number="7")
    assert pickle.loads(pickle.dumps(details)) == details  # noqa: S301 -- our own


# --- checks of requests ---


def test_check_details() -> None:
    """Details may have any of their parts."""
    for details in (PaymentDetails(), PaymentDetails(account_number="7", memo="é")):
        assert check_details(details) is details


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({"memo": "s3cr3t"}, "details"),
        ("s3cr3t", "details"),
        (PaymentDetails(memo=" "), "details.memo"),
        (PaymentDetails(account_name=""), "details.account_name"),
        (PaymentDetails(account_name="s3cr3t\x00"), "details.account_name"),
        (PaymentDetails(account_number="s3cr3t\n"), "details.account_number"),
        (PaymentDetails(account_number=7), "details.account_number"),  # type: ignore[arg-type]
        (PaymentDetails(account_name="\ud800s3cr3t"), "details.account_name"),
    ],
)
def test_details_refused(value: object, name: str) -> None:
    """An invalid part is refused by name, and the error does not show it."""
    with pytest.raises(InvalidArgumentError, match=rf"^{name} must be") as info:
        check_details(value)
    assert "s3cr3t" not in str(info.value)


class Odd(Mapping[str, object]):
    """A mapping that is no dict."""

    def __getitem__(self, key: str) -> object:
        return key

    def __iter__(self) -> Iterator[str]:
        return iter("ab")

    def __len__(self) -> int:
        return 2


@pytest.mark.parametrize(
    "value",
    [
        {},
        Odd(),
        {"a": None, "b": [1, 2.5, True, {"c": Decimal("1.10")}], "d": NOW, "e": PAYER},
    ],
)
def test_check_metadata(value: Mapping[str, object]) -> None:
    """Metadata may be any mapping that has a JSON form."""
    assert check_metadata(value) is value


LOOP: dict[str, object] = {}
LOOP["s3cr3t"] = LOOP


@pytest.mark.parametrize(
    "value",
    [
        [],
        "s3cr3t",
        7,
        PaymentDetails(memo="s3cr3t"),
        {7: "s3cr3t"},
        {"a": {None: "s3cr3t"}},
        {"a": b"s3cr3t"},
        {"a": {"s3cr3t"}},
        {"s3cr3t": object()},
        {"a": float("nan")},
        {"a": [float("inf")]},
        {"a": Decimal("NaN")},
        {"a": datetime(2026, 1, 2)},  # noqa: DTZ001 -- without a time zone
        {"a": "\ud800s3cr3t"},
        LOOP,
    ],
)
def test_metadata_refused(value: object) -> None:
    """What has no JSON form is refused, and the error shows nothing of it."""
    with pytest.raises(InvalidArgumentError, match=r"^metadata must be") as info:
        check_metadata(value)
    assert "s3cr3t" not in "".join(traceback.format_exception(info.value))
    assert info.value.__context__ is None
