"""The check of the receiving method of a recipient."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from plastiq_async.testing._checks import check_fields, require_object
from plastiq_async.testing._errors import ValidationError
from plastiq_async.testing._party_checks import (
    Check,
    check_address,
    check_given,
    check_text,
    matches,
)

__all__ = ["check_receiving_method"]

check_name = partial(check_text, longest=35)

# Check of each field besides `type`, by `type`.
CHECKS: Mapping[str, Mapping[str, Check]] = {
    "ACH": {
        "accountNumber": matches("[0-9]{6,17}", "6 to 17 digits"),
        "routingNumber": matches("[0-9]{9}", "9 digits"),
        "beneficiaryName": check_name,
    },
    "EFT": {
        "accountNumber": matches("[0-9]{1,17}", "1 to 17 digits"),
        "routingNumber": matches("[0-9]{8,9}", "8 or 9 digits"),
        "beneficiaryName": check_name,
    },
    "WIRE": {
        "accountNumber": matches("[0-9A-Za-z]{1,35}", "1 to 35 letters and digits"),
        "routingNumber": matches("[0-9A-Za-z]{8,11}", "8 to 11 letters and digits"),
        "country": matches("US", "US"),
        "beneficiaryName": check_name,
    },
}


def check_receiving_method(value: object, name: str) -> dict[str, object]:
    """Return the receiving method as the API shows it, without the account number.

    Args:
        value: Value received.
        name: Dotted name of the field.

    Returns:
        The fields of the method, with `accountLastFour` for the account number.

    Raises:
        ValidationError: The value is not a receiving method, or its fields are not
            those of its `type`.
    """
    method = require_object(value, name)
    kind = method.get("type")
    if kind == "CHECK":
        address = {field: method[field] for field in method if field != "type"}
        return {"type": kind, **check_address(address, name)}
    checks = CHECKS.get(kind) if isinstance(kind, str) else None
    if checks is None:
        msg = f"{name}.type must be one of: ACH, CHECK, EFT, WIRE"
        raise ValidationError(msg)
    fields = ("type", *checks)
    check_fields(method, fields, parent=name, required=fields)
    shown = check_given(method, checks, f"{name}.")
    number = str(shown.pop("accountNumber"))
    return {"type": kind, "accountLastFour": number[-4:], **shown}
