"""`Money` and `Fee`."""

import re
from decimal import Decimal
from typing import Literal, TypeAlias

import attrs

from plastiq_async._codec import REQUIRED
from plastiq_async.errors import InvalidArgumentError

__all__ = ["Currency", "Fee", "FeeType", "Money", "check_amount"]

Currency: TypeAlias = Literal["USD", "CAD"]
"""The known currencies. The public API document has USD alone."""

FeeType: TypeAlias = Literal[
    "PLASTIQ_SERVICE_FEE",
    "PLASTIQ_CROSS_BORDER_FEE",
    "PLASTIQ_US_WIRE_FEE",
    "PLASTIQ_INTL_WIRE_FEE",
    "EXPEDITED_BASE_FEE",
    "EXPEDITED_HANDLING_FEE",
    "EXPEDITED_PROCESSING_FEE",
    "EXPEDITED_SHIPPING_FEE",
    "DELIVERY_FEE",
]
"""The known fees, of the public API document and of the vendor's guide."""

# Of `amountDetails`, in prose.
_LEAST = Decimal(1)
_MOST = Decimal("99999999.99")
_DECIMALS = 2


def _to_decimal(given: Decimal | int | str) -> Decimal:
    value: object = given
    if isinstance(value, str):
        # Decimal() also accepts exponents, underscores and digits of other scripts.
        if re.fullmatch(r"-?[0-9]{1,20}(\.[0-9]{1,20})?", value):
            return Decimal(value)
    elif isinstance(value, Decimal):
        if value.is_finite():
            return value
    elif isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    msg = 'value must be a finite Decimal, an int, or a string such as "100.10"'
    raise InvalidArgumentError(msg)


@attrs.frozen
class Money:
    """An amount of money in major units, such as dollars: ``Money("100.10")``.

    It is exact: a float is refused, because it cannot hold 100.10.

    Args:
        value: The amount: a `decimal.Decimal`, an int, or a string such as
            ``"100.10"``.
        currency: The currency's code of ISO 4217.

    Attributes:
        value: The amount.
        currency: The currency's code. A server may return any.

    Raises:
        InvalidArgumentError: `value` is a float, a bool, not finite or no number.
    """

    value: Decimal = attrs.field(converter=_to_decimal)
    currency: Currency | str = attrs.field(default="USD", metadata=REQUIRED)

    def __str__(self) -> str:
        """Return the amount with its currency, such as ``100.10 USD``."""
        return f"{self.value:f} {self.currency}"


def check_amount(name: str, value: object) -> Money:
    """Return `value` if it is an amount that the API accepts.

    By the public API document that is 1 to 99999999.99, with at most two decimals.
    """
    if not isinstance(value, Money):
        raise InvalidArgumentError(f'{name} must be a Money, such as Money("100.10")')
    if not _LEAST <= value.value <= _MOST:
        raise InvalidArgumentError(f"{name} must be from {_LEAST} to {_MOST}")
    exponent = value.value.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -_DECIMALS:
        raise InvalidArgumentError(f"{name} must have at most {_DECIMALS} decimals")
    currency: object = value.currency
    if not isinstance(currency, str) or not re.fullmatch("[A-Z]{3}", currency):
        msg = f'the currency of {name} must be three capital letters, such as "USD"'
        raise InvalidArgumentError(msg)
    return value


@attrs.frozen(kw_only=True)
class Fee:
    """One of the fees that a payment costs.

    Attributes:
        amount: The amount.
        type: What the fee is for. New ones may appear at any time.
        rate: The rate as the server writes it, such as ``"2.85%"``. None for a fee that
            does not depend on the amount.
    """

    amount: Money | None = None
    type: FeeType | str | None = None
    rate: str | None = None

    @property
    def rate_percent(self) -> Decimal | None:
        """The rate in percent, such as ``Decimal("2.85")``, or None if it has none."""
        found = re.fullmatch(
            r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*%\s*", self.rate or ""
        )
        return Decimal(found[1]) if found else None
