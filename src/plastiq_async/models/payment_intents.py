"""The models of ``/payment-intents``."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Literal, TypeAlias, cast
from uuid import UUID

import attrs

from plastiq_async._codec import encode, wire
from plastiq_async._secrets import SECRET, forget_secrets_in_copies
from plastiq_async.errors import InvalidArgumentError
from plastiq_async.models.common import ResponseInfo, StatusReason, check_parts
from plastiq_async.models.money import Fee, Money

__all__ = [
    "PaymentDetails",
    "PaymentIntent",
    "PaymentIntentStatus",
    "check_details",
    "check_metadata",
]

PaymentIntentStatus: TypeAlias = Literal[
    "CAPTURABLE", "CAPTURED", "EXPIRED", "UNCAPTURABLE", "NOT_CAPTURABLE"
]
"""The known statuses of a payment intent.

``"NOT_CAPTURABLE"`` is what the vendor's guide calls the ``"UNCAPTURABLE"`` of the
public API document.
"""


@attrs.frozen(kw_only=True)
class PaymentDetails:
    """What the recipient needs to credit a payment to the right account.

    The repr shows neither the name nor the number of the account. Requests check that
    the parts are not blank.

    Attributes:
        account_name: The name of the payer's account with the recipient.
        account_number: The number of this account, such as a customer number.
        memo: A note to the recipient.
    """

    account_name: str | None = attrs.field(default=None, repr=False, metadata=SECRET)
    account_number: str | None = attrs.field(default=None, repr=False, metadata=SECRET)
    memo: str | None = None


def check_details(value: object) -> PaymentDetails:
    """Return `value` if it is `PaymentDetails` whose parts are texts."""
    return check_parts("details", value, PaymentDetails)


def check_metadata(value: object) -> Mapping[str, object]:
    """Return `value` if it is a mapping with a JSON form."""
    if isinstance(value, Mapping):
        metadata = cast("Mapping[str, object]", value)
        try:
            encode({"metadata": metadata})
        except (TypeError, ValueError):
            pass
        else:
            return metadata
    # Raised here because the first error may hold the data.
    msg = (
        "metadata must be a mapping of strings to values with a JSON form: None, "
        "booleans, finite numbers, strings, UUIDs, dates, datetimes with a time zone, "
        "and lists and mappings of these"
    )
    raise InvalidArgumentError(msg)


@forget_secrets_in_copies
@attrs.frozen(kw_only=True)
class PaymentIntent:
    """A quote for a payment: whether it can be made, what it costs, when it arrives.

    It charges nothing. It can be paid once, within minutes of its creation.

    Attributes:
        id: The payment intent's ID.
        fees: The fees that the payer pays, none for some payment methods.
        source_amount: What the payer will be charged: the target amount and the fees.
        target_amount: What the recipient will get.
        payment_method_id: The payment method that will be charged.
        recipient_id: Who will be paid. If the recipient was created with the payment
            intent, this is its ID.
        payer_id: Who will pay.
        details: What the recipient needs to credit the payment. Copies and pickles have
            its memo alone.
        status: Whether it can be paid. New statuses may appear at any time.
        status_reasons: Why it cannot be paid, if so.
        delivery_date: The day on which the recipient will get the money.
        created_at: When it was created, in UTC.
        expires_at: From when on it can no longer be paid, in UTC. The public API
            document shows five minutes after `created_at`.
        source_descriptor: The text on the payer's statement, if the server sends it.
        target_descriptor: The text on the recipient's statement, likewise.
        response: The HTTP response behind it; in neither repr nor equality.
    """

    id: UUID
    fees: tuple[Fee, ...] = ()
    source_amount: Money | None = None
    target_amount: Money | None = None
    payment_method_id: UUID | None = attrs.field(
        default=None, metadata=wire("paymentMethod.id")
    )
    recipient_id: UUID | None = attrs.field(default=None, metadata=wire("recipient.id"))
    payer_id: UUID | None = attrs.field(default=None, metadata=wire("payer.id"))
    details: PaymentDetails | None = None
    status: PaymentIntentStatus | str | None = None
    status_reasons: tuple[StatusReason, ...] = ()
    delivery_date: date | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    source_descriptor: str | None = None
    target_descriptor: str | None = None
    response: ResponseInfo = attrs.field(repr=False, eq=False)

    @property
    def is_capturable(self) -> bool:
        """Whether it could be paid when the server responded.

        False for ``"UNCAPTURABLE"``, for ``"NOT_CAPTURABLE"``, and for a status that
        this version does not know.
        """
        return self.status == "CAPTURABLE"

    def is_expired(self, now: datetime | None = None) -> bool:
        """Tell whether it has expired without being paid.

        Args:
            now: The time to compare with, aware. Default: this machine's clock, which
                may differ from the server's, which set `expires_at`.
        """
        if self.status in {"CAPTURED", "EXPIRED"}:
            return self.status == "EXPIRED"
        if self.expires_at is None:
            return False
        return (now or datetime.now(UTC)) >= self.expires_at
