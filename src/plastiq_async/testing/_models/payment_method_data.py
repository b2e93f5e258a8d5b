"""Checks of the `data` of a payment method."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from plastiq_async.testing._checks import check_fields, require_object
from plastiq_async.testing._errors import ApiError, ValidationError
from plastiq_async.testing._party_checks import (
    Check,
    check_address,
    check_given,
    check_text,
    matches,
)
from plastiq_async.testing._state import FakeState

__all__ = ["Kind", "check_data", "check_expiry", "find_kind"]


@attrs.frozen(kw_only=True)
class Kind:
    """The fields that `data` of one type has.

    Attributes:
        create: Check of each field of a creation.
        update: Names of the fields that can be changed.
        optional: Names of the fields that a creation may leave out.
        change_needs: Names of the fields that a change needs, which are no change.
    """

    create: Mapping[str, Check]
    update: tuple[str, ...]
    optional: tuple[str, ...] = ()
    change_needs: tuple[str, ...] = ()


KINDS = {
    "CARD": Kind(
        create={
            "cardHolderName": check_text,
            "accountNumber": matches("[0-9]{12,19}", "12 to 19 digits"),
            "cvv": matches("[0-9]{3,4}", "3 or 4 digits"),
            "expirationMonth": matches("0[1-9]|1[0-2]", "two digits from 01 to 12"),
            "expirationYear": matches("[0-9]{4}", "four digits"),
            "billingAddress": check_address,
        },
        update=(
            "cardHolderName",
            "expirationMonth",
            "expirationYear",
            "billingAddress",
        ),
        change_needs=("cvv",),
    ),
    "BANK_ACCOUNT": Kind(
        create={
            "accountHolderName": check_text,
            "accountNumber": matches("[0-9]{4,17}", "4 to 17 digits"),
            "routingNumber": matches("[0-9]{8,9}", "8 or 9 digits"),
            "accountType": matches("CHECKING|SAVINGS", "one of: CHECKING, SAVINGS"),
            "billingAddress": check_address,
        },
        update=("accountHolderName", "routingNumber"),
        optional=("accountType",),
    ),
}


def find_kind(body: Mapping[str, object]) -> Kind:
    """Return the fields of the type that a body names.

    Args:
        body: Object with `type`.

    Returns:
        The fields.

    Raises:
        ValidationError: The type is unknown.
    """
    kind = KINDS.get(str(body["type"]))
    if kind is None:
        msg = f"type must be one of: {', '.join(KINDS)}"
        raise ValidationError(msg)
    return kind


def check_data(
    value: object, checks: Mapping[str, Check], required: tuple[str, ...]
) -> dict[str, object]:
    """Return a value that must be the `data` of a payment method.

    Args:
        value: Value received.
        checks: Check of each field that it may have.
        required: Names of the fields that it must have.

    Returns:
        The data.

    Raises:
        ValidationError: The data breaks the contract.
    """
    data = require_object(value, "data")
    check_fields(data, checks, parent="data", required=required)
    return check_given(data, checks, "data.")


def check_expiry(data: Mapping[str, object], state: FakeState) -> None:
    """Check that a card has not expired, which it does at the end of its month.

    Args:
        data: Fields of the card.
        state: State of the fake.

    Raises:
        ApiError: The card has expired by the fake's clock.
    """
    expires = f"{data['expirationYear']}-{data['expirationMonth']}"
    if expires < f"{state.now:%Y-%m}":
        msg = "data.expirationYear and data.expirationMonth are in the past"
        raise ApiError(
            400,
            msg,
            code="CREATE_PAYMENT_METHOD_FAILED",
            message="The card has expired",
        )
