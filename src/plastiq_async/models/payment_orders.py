"""`PaymentOrder`, a decision to pay that is stored before the payment; its outcomes."""

import json
import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal, Self, TypeAlias
from uuid import UUID

import attrs

from plastiq_async._validate import check_uuid, check_uuid4
from plastiq_async.errors import InvalidArgumentError
from plastiq_async.models.payments import Payment

__all__ = [
    "Charged",
    "NotCharged",
    "NotYet",
    "PaymentOrder",
    "PaymentOutcome",
    "Unclear",
    "check_order",
]

# An order in JSON has about 230 characters. A database may write more whitespace.
_LONGEST = 1000
# What `to_json` writes. `datetime.fromisoformat` accepts many more forms.
_TIME = re.compile(r"(?a)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{6})?\+00:00")


def _idempotency_key(value: UUID | str) -> UUID:
    return check_uuid4("idempotency_key", value)


def _payment_intent_id(value: UUID | str) -> UUID:
    return check_uuid("payment_intent_id", value)


def _payer_id(value: UUID | str) -> UUID:
    return check_uuid("payer_id", value)


def _created_at(value: datetime) -> datetime:
    given: object = value
    if isinstance(given, datetime) and given.utcoffset() is not None:
        with suppress(OverflowError):  # in UTC, it is not in the years 1 to 9999
            return given.astimezone(UTC)
    msg = "created_at must be a datetime with a time zone"
    raise InvalidArgumentError(msg)


@attrs.frozen(kw_only=True)
class PaymentOrder:
    """A decision to pay a payment intent once, made by `payments.prepare`.

    Store it, as JSON or as a pickle, before `payments.submit` sends it. After a crash,
    submit the stored order again: all submissions of one order charge at most once,
    because they carry the same idempotency key.

    Attributes:
        idempotency_key: The key of each submission, a UUID of version 4.
        payment_intent_id: The payment intent to pay.
        payer_id: Who pays.
        created_at: When it was made, in UTC, by this machine's clock.

    Raises:
        InvalidArgumentError: A value is not valid, such as a time without a time zone.
    """

    idempotency_key: UUID = attrs.field(converter=_idempotency_key)
    payment_intent_id: UUID = attrs.field(converter=_payment_intent_id)
    payer_id: UUID = attrs.field(converter=_payer_id)
    created_at: datetime = attrs.field(converter=_created_at)

    def to_json(self) -> str:
        """Return the order as a JSON object of four strings, for `from_json`."""
        texts = {name: str(value) for name, value in attrs.asdict(self).items()}
        return json.dumps({**texts, "created_at": self.created_at.isoformat()})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the order that `to_json` wrote; it is equal to the one written.

        Args:
            text: The JSON text. The members may be in any order, as a database may
                write them.

        Raises:
            InvalidArgumentError: The text is not an order in JSON: a member is not
                valid, missing or unknown, for example.
        """
        values = _parse_object(text)
        if values.keys() != attrs.fields_dict(PaymentOrder).keys():
            names = ", ".join(attrs.fields_dict(PaymentOrder))
            msg = f"the JSON of an order must have exactly the members {names}"
            raise InvalidArgumentError(msg)
        return cls(**{**values, "created_at": _parse_time(values["created_at"])})


def _parse_object(text: object) -> dict[str, Any]:
    """Return the members of a JSON object, each of which occurs once."""
    if isinstance(text, str) and len(text) <= _LONGEST:
        try:
            # As a tuple of pairs, since a dict would hide that a member occurs twice.
            members = json.loads(text, object_pairs_hook=tuple)
        except (ValueError, RecursionError):
            members = None
        if isinstance(members, tuple) and len(values := dict(members)) == len(members):
            return values
    # Raised here because the error of `json` holds the text.
    msg = f"an order must be a JSON object in at most {_LONGEST} characters of text"
    raise InvalidArgumentError(msg)


def _parse_time(value: object) -> datetime:
    if isinstance(value, str) and _TIME.fullmatch(value):
        with suppress(ValueError):  # such as for February 30
            return datetime.fromisoformat(value)
    msg = "created_at must be a time in UTC, such as 2026-01-02T03:04:05.000006+00:00"
    raise InvalidArgumentError(msg)


def check_order(value: object) -> PaymentOrder:
    """Return `value` if it is a `PaymentOrder`, else raise InvalidArgumentError."""
    if isinstance(value, PaymentOrder):
        return value
    msg = "order must be a PaymentOrder, as payments.prepare returns it"
    raise InvalidArgumentError(msg)


@attrs.frozen(kw_only=True)
class Charged:
    """The payment intent of the order was paid, and this is its payment.

    Its status tells what became of it since: `is_failed` if the payer could not be
    charged after all, `is_returned` if the payer has the money back.

    Attributes:
        payment: The payment.
        matched_by: How it was found. ``"payment_intent_id"`` is exact.
            ``"amount_and_time"`` is a conclusion, for a server that does not report the
            payment intents of payments: of the payments listed so far, it is the only
            one with the payer, the recipient and the amount of the payment intent that
            was made while the intent could be paid, give or take a minute. It may be
            the payment of another order, if the server lists the right one late. So do
            not rely on it while the order is young, and make sure that no other order
            of yours has this payment.
    """

    payment: Payment
    matched_by: Literal["payment_intent_id", "amount_and_time"]


@attrs.frozen(kw_only=True)
class NotYet:
    """The payment intent is not paid, but may still be, by an earlier request, too.

    Submit the same order again. Do not prepare another one before `NotCharged`.
    """


@attrs.frozen(kw_only=True)
class NotCharged:
    """The payment intent has expired without being paid.

    Submit the same order again before you rely on it: an earlier request may still be
    processed, and if so, the API responds with a `ConflictError`. For the same reason,
    do not rely on it within a minute of the payment intent's `expires_at`.
    """


@attrs.frozen(kw_only=True)
class Unclear:
    """What is reported does not tell the outcome: ask again later, then the vendor.

    Do not prepare another order meanwhile, because the payer may have been charged.

    Attributes:
        candidates: The payments that may be that of the order. Empty if the server does
            not list any, maybe not yet, or if this version does not know the status of
            the payment intent.
    """

    candidates: tuple[Payment, ...] = ()


PaymentOutcome: TypeAlias = Charged | NotYet | NotCharged | Unclear
"""What `payments.outcome_of` returns; tell them apart with `match`."""
