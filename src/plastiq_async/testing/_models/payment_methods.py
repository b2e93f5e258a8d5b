"""`PaymentMethod` and `PaymentMethods`, the payment methods of a fake."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import attrs

from plastiq_async.testing._checks import check_fields, require_object
from plastiq_async.testing._errors import ApiError
from plastiq_async.testing._json import write_time
from plastiq_async.testing._models.payers import ensure_payer, resolve_payer
from plastiq_async.testing._models.payment_method_data import (
    check_data,
    check_expiry,
    find_kind,
)
from plastiq_async.testing._rate_limit import count_event
from plastiq_async.testing._state import FakeState
from plastiq_async.testing._store import Store

__all__ = [
    "FIELDS",
    "PaymentMethod",
    "PaymentMethods",
    "add_card",
    "create_payment_method",
]

FIELDS = ("type", "data", "payer")
"""The fields that creating and changing a payment method both require."""

CARDS_PER_DAY = 30
DAY = timedelta(days=1)
# By the first digit of the number.
BRANDS = {
    "2": "Mastercard",
    "3": "American Express",
    "4": "Visa",
    "5": "Mastercard",
    "6": "Discover",
}

TEST_CARD: Mapping[str, object] = {
    "cardHolderName": "Ada Lovelace",
    "accountNumber": "4242424242424242",
    "cvv": "123",
    "expirationMonth": "12",
    "billingAddress": {
        "line1": "1 Main St",
        "city": "San Francisco",
        "state": "CA",
        "postalCode": "94105",
        "country": "US",
    },
}


@attrs.define(kw_only=True)
class PaymentMethod:
    """A payment method.

    Attributes:
        id: ID of the payment method.
        payer_id: Payer that it belongs to.
        type: `"CARD"` or `"BANK_ACCOUNT"`.
        number: Number of the card or account. Not in the repr.
        data: The other fields of the request, without the `cvv`. Not in the repr.
        created_at: Time of creation by the fake's clock, in UTC.
    """

    id: UUID
    payer_id: UUID
    type: str
    number: str = attrs.field(repr=False)
    data: dict[str, object] = attrs.field(repr=False)
    created_at: datetime

    def requires_tin(self, state: FakeState) -> bool:
        """Return whether the payer has to add an identity document first.

        Args:
            state: State of the fake.

        Returns:
            Whether it is a card of Texas, and the payer has no document.
        """
        address = require_object(self.data["billingAddress"], "billingAddress")
        place = str(address["state"]).strip().upper()
        in_texas = self.type == "CARD" and place in {"TX", "TEXAS"}
        return in_texas and not ensure_payer(state, self.payer_id).identity_documents

    def to_json(self, state: FakeState) -> dict[str, object]:
        """Return the payment method as the API shows it.

        Args:
            state: State of the fake.

        Returns:
            The JSON value, which never has the number.
        """
        data = {**self.data, "createdAt": write_time(self.created_at)}
        last_four = self.number[-4:]
        if self.type == "CARD":
            del data["cardHolderName"]
            brand = BRANDS.get(self.number[0], "Unknown")
            data |= {"last4": last_four, "brand": brand, "subType": "CREDIT"}
        else:
            data |= {"accountLastFour": last_four}
        waits = self.requires_tin(state)
        reason = {
            "code": "PAYMENT_METHOD_REQUIRES_TIN",
            "message": "The payer needs an identity document",
        }
        return {
            "id": str(self.id),
            "type": self.type,
            "data": data,
            "status": "INACTIVE" if waits else "ACTIVE",
            "statusReasons": [reason] if waits else [],
        }


@attrs.define
class PaymentMethods(Store[PaymentMethod]):
    """The payment methods of one fake.

    Attributes:
        cards_added: Times at which each payer added the last cards, oldest first.
    """

    cards_added: dict[UUID, deque[datetime]] = attrs.field(factory=dict, init=False)

    def count_card(self, payer_id: UUID, state: FakeState) -> None:
        """Count a card that a payer adds.

        Args:
            payer_id: The payer.
            state: State of the fake.

        Raises:
            ApiError: The payer has added 30 cards in the last 24 hours.
        """
        times = self.cards_added.setdefault(payer_id, deque(maxlen=CARDS_PER_DAY))
        if len(self.cards_added) > state.history:
            del self.cards_added[next(iter(self.cards_added))]
        msg = f"payer has added {CARDS_PER_DAY} cards in 24 hours"
        count_event(times, state.now, DAY, msg)


def create_payment_method(
    state: FakeState, body: Mapping[str, object]
) -> PaymentMethod:
    """Create a payment method.

    Args:
        state: State of the fake.
        body: Body of the request.

    Returns:
        The payment method.

    Raises:
        ApiError: The body breaks the contract, the card has expired, or the payer has
            added too many.
    """
    check_fields(body, FIELDS, required=FIELDS)
    payer = resolve_payer(state, body["payer"], "payer")
    kind = find_kind(body)
    required = tuple(name for name in kind.create if name not in kind.optional)
    data = check_data(body["data"], kind.create, required)
    methods = state.of(PaymentMethods)
    if body["type"] == "CARD":
        check_expiry(data, state)
        methods.count_card(payer.id, state)
        del data["cvv"]
    method = PaymentMethod(
        id=uuid4(),
        payer_id=payer.id,
        type=str(body["type"]),
        number=str(data.pop("accountNumber")),
        data=data,
        created_at=state.now,
    )
    return methods.add(method, limit=state.history)


def add_card(state: FakeState, payer_id: UUID, card: Mapping[str, object]) -> UUID:
    """Add a card to an existing payer, without a request.

    Args:
        state: State of the fake.
        payer_id: The payer.
        card: Fields of the card that differ from the test card, which is valid until
            the end of the next year.

    Returns:
        The ID of the payment method.

    Raises:
        ValueError: A route would refuse the card.
    """
    data = {**TEST_CARD, "expirationYear": str(state.now.year + 1), **card}
    body = {"type": "CARD", "data": data, "payer": {"id": str(payer_id)}}
    try:
        return create_payment_method(state, body).id
    except ApiError as error:
        msg = "; ".join(error.details)
    raise ValueError(msg)
