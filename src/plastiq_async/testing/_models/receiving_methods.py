"""The check of the receiving method of a recipient."""

from __future__ import annotations

from plastiq_async.testing._checks import check_fields, require_object
from plastiq_async.testing._errors import ValidationError
from plastiq_async.testing._party_checks import check_address, check_pattern, check_text

__all__ = ["check_receiving_method"]

# Pattern and description of the fields that differ, by `type`.
FORMATS = {
    "ACH": {
        "accountNumber": ("[0-9]{6,17}", "6 to 17 digits"),
        "routingNumber": ("[0-9]{9}", "9 digits"),
    },
    "EFT": {
        "accountNumber": ("[0-9]{1,17}", "1 to 17 digits"),
        "routingNumber": ("[0-9]{8,9}", "8 or 9 digits"),
    },
    "WIRE": {
        "accountNumber": ("[0-9A-Za-z]{1,35}", "1 to 35 letters and digits"),
        "routingNumber": ("[0-9A-Za-z]{8,11}", "8 to 11 letters and digits"),
        "country": ("US", "US"),
    },
}
LONGEST_NAME = 35


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
    formats = FORMATS.get(kind) if isinstance(kind, str) else None
    if formats is None:
        msg = f"{name}.type must be one of: ACH, CHECK, EFT, WIRE"
        raise ValidationError(msg)
    fields = ("type", "beneficiaryName", *formats)
    check_fields(method, fields, parent=name, required=fields)
    shown: dict[str, object] = {"type": kind}
    for field, (pattern, description) in formats.items():
        text = check_pattern(
            method[field], f"{name}.{field}", pattern=pattern, kind=description
        )
        if field == "accountNumber":
            shown["accountLastFour"] = text[-4:]
        else:
            shown[field] = text
    shown["beneficiaryName"] = check_text(
        method["beneficiaryName"], f"{name}.beneficiaryName", longest=LONGEST_NAME
    )
    return shown
