"""All operations, with private values in every argument and result that can hold one.

A new operation is a line in `ARGUMENTS`, and a new request class with a secret field is
one in `PRIVATE_REQUESTS`. A test holds that neither is forgotten.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from functools import partial
from operator import attrgetter
from textwrap import wrap
from typing import Any

import attrs

from plastiq_async import (
    Ach,
    BankAccount,
    Card,
    CardUpdate,
    CreateRecipient,
    Eft,
    Money,
    NewIdentityDocument,
    PaymentDetails,
    PlastiqSession,
    Wire,
)
from tests.support import documents, payers, recipients
from tests.support.payment_methods import (
    ACCOUNT_NUMBER,
    CARD_NUMBER,
    CVV,
    make_address,
    make_bank_account,
    make_card,
)
from tests.support.private_texts import END_USER, SECRET
from tests.support.sessions import PAYER
from tests.support.socket_server import Connection, Request
from tests.support.steps import response

DETAILS = {"account_name": "Ada-&-Sons", "account_number": "CUST-77-0815"}
NUMBERS = [CARD_NUMBER, ACCOUNT_NUMBER, recipients.ACCOUNT_NUMBER, payers.NUMBER]
_DIGITS = [number.replace("-", "") for number in NUMBERS]
HEADER_VALUE = "k3y-of-the-gateway/7"
PRIVATE_VALUES = [
    HEADER_VALUE,
    *NUMBERS,
    *_DIGITS,
    *(f"{digits[:4]} {digits[4:8]}" for digits in _DIGITS),
    *(f"{digits[:4]}-{digits[4:8]}" for digits in _DIGITS),
    payers.PASSPORT,
    documents.BUCKET,
    *documents.PRIVATE_FIELDS,
    *DETAILS.values(),
    # In quotes, because many other numbers have these three digits.
    f"'{CVV}'",
    f'"{CVV}"',
    f'{CVV}\\"',
]
"""Texts that nothing may show."""

_BANK = {"routing_number": "021000021", "beneficiary_name": "Beans"}
_TRANSFER = {"account_number": recipients.ACCOUNT_NUMBER, **_BANK}
PRIVATE_REQUESTS: dict[type[Any], dict[str, Any]] = {
    Ach: _TRANSFER,
    BankAccount: {
        "account_holder_name": "Ada",
        "account_number": ACCOUNT_NUMBER,
        "routing_number": "021000021",
        "billing_address": make_address(),
    },
    Card: {
        "card_holder_name": "Ada",
        "account_number": CARD_NUMBER,
        "cvv": CVV,
        "expiration_month": "01",
        "expiration_year": "2099",
        "billing_address": make_address(),
    },
    CardUpdate: {"cvv": CVV, "expiration_year": "2099"},
    CreateRecipient: recipients.RECIPIENT,
    Eft: _TRANSFER,
    NewIdentityDocument: {"type": "US_SSN", "value": payers.NUMBER},
    PaymentDetails: DETAILS,
    Wire: _TRANSFER,
}
"""Valid arguments of each request class with secrets."""

_PAYER = {"payer_id": PAYER}
_CHANGE = CardUpdate(cvv=CVV, card_holder_name="Ada")
_DETAILS = PaymentDetails(**DETAILS, memo="October")
_METHOD = {"payment_method_id": PAYER, **_PAYER}
_INTENT = {"payment_intent_id": PAYER, **_PAYER}
_PAYMENT = {"payment_id": PAYER, **_PAYER}
_RECIPIENT = {"recipient_id": PAYER, **_PAYER}
_QUOTE = {
    **_METHOD,
    "recipient": PAYER,
    "target_amount": Money(100),
    "details": _DETAILS,
    "metadata": {"order": 7},
}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "categories.list": {},
    "client_secrets.create": _PAYER,
    "documents.create": {**_PAYER, "filename": "a.pdf", "payment_id": PAYER},
    "payers.create": payers.ARGUMENTS,
    "payers.retrieve": _PAYER,
    "payers.update": {**_PAYER, **payers.ARGUMENTS},
    "payers.delete": _PAYER,
    "payment_intents.create": _QUOTE,
    "payment_intents.create, with a recipient": {
        **_QUOTE,
        "recipient": recipients.make_create_recipient(),
    },
    "payment_intents.retrieve": _INTENT,
    "payment_intents.update": {"payment_intent_id": PAYER, "details": _DETAILS},
    "payment_methods.create": {**_PAYER, "data": make_card()},
    "payment_methods.create, a bank account": {**_PAYER, "data": make_bank_account()},
    "payment_methods.retrieve": _METHOD,
    "payment_methods.update": {**_METHOD, "data": _CHANGE},
    "payment_methods.delete": {"payment_method_id": PAYER},
    "payment_methods.list": {**_PAYER, "limit": 5, "offset": 0},
    "payments.create": _INTENT,
    "payments.retrieve": _PAYMENT,
    "payments.refund": _PAYMENT,
    "payments.list": {**_PAYER, "limit": 5, "offset": 0},
    **{
        f"recipients.create, {name}": recipients.RECIPIENT
        | {"receiving_method": method}
        for name, method in recipients.RECEIVING_METHODS.items()
    },
    "recipients.retrieve": _RECIPIENT,
    "recipients.update": {**_RECIPIENT, "business_name": "Beans"},
    "recipients.delete": _RECIPIENT,
    "recipients.list": {**_PAYER, "limit": 5, "offset": 0},
    "request": {
        "method": "POST",
        "path": "/things/{id}",
        "path_params": {"id": PAYER},
        "query": {"payerId": PAYER},
        "body": {"data": make_card(), "details": _DETAILS},
        "retry": "always",
    },
}
"""Valid arguments of each operation, by its name."""

Call = Callable[[PlastiqSession], Awaitable[object]]


def method_of(name: str, session: PlastiqSession) -> Callable[..., Awaitable[object]]:
    """Return the method of the operation called `name` in `ARGUMENTS`."""
    found: Callable[..., Awaitable[object]]
    found = attrgetter(name.partition(",")[0])(session)
    return found


# No local variable, because crash reporters collect those of this frame, too.
OPTIONS: dict[str, Any] = {
    "end_user": END_USER,
    "extra_headers": {"API-Key": HEADER_VALUE},
}


async def perform(
    name: str, arguments: Mapping[str, Any], session: PlastiqSession
) -> object:
    """Perform the operation called `name` in `ARGUMENTS`, with other arguments."""
    return await method_of(name, session)(**{**OPTIONS, **arguments})


CALLS: dict[str, Call] = {
    name: partial(perform, name, arguments) for name, arguments in ARGUMENTS.items()
}
"""The calls of all operations."""


def has_secrets(value: object) -> bool:
    """Tell whether `value` is or holds an instance of one of `PRIVATE_REQUESTS`."""
    parts = value.values() if isinstance(value, dict) else [value]
    parts = value if isinstance(value, list) else parts
    return any(type(part) in PRIVATE_REQUESTS for part in parts)


PRIVATE_CALLS = {
    name: call
    for name, call in CALLS.items()
    if any(map(has_secrets, ARGUMENTS[name].values()))
    and "CHECK" not in name  # a check is mailed to an address
}
"""The calls that send secrets."""

_OBJECT: dict[str, object] = {
    "id": PAYER,
    "clientSecret": SECRET,
    "type": "CARD",
    "status": "REFUNDED",
    # Only the last four digits are to be kept.
    "receivingMethod": {
        "type": "ACH",
        "accountNumber": recipients.ACCOUNT_NUMBER,
        "accountLastFour": recipients.ACCOUNT_NUMBER,
    },
    "details": {
        "accountName": DETAILS["account_name"],
        "accountNumber": DETAILS["account_number"],
    },
    "identityDocuments": [{"id": PAYER, "value": payers.NUMBER}],
    "uploadURL": f"https://{documents.BUCKET}/",
    "metadata": documents.FIELDS,
}
_NUMBERS = {"last4": CARD_NUMBER, "accountNumber": CARD_NUMBER, "cvv": CVV}


def answer_in_full(connection: Connection, request: Request) -> None:
    """Send a success whose body has every secret that a result can hold, and others.

    Where the server explains a status, and in a header, it quotes the request.
    """
    item = {**_OBJECT, "data": _NUMBERS}
    quotes = [*_quotes(request)]
    reasons = [{"code": text, "message": text} for text in quotes]
    # All listings, and they alone, lead to a path without an ID.
    listing = re.match(r"GET [^ ?]*/api/[a-z-]+[? ]", request.line)
    body = {"data": [item]} if listing else {**item, "statusReasons": reasons}
    headers = [("X-Echo", _in_ascii(text)) for text in quotes]
    encoded = json.dumps(body).encode()
    connection.send(response(request, 200, encoded, headers))


def answer_otherwise(connection: Connection, request: Request) -> None:
    """Send a success that is no result of any operation, and quotes the request."""
    body = {"id": request.body.decode(), "data": request.body.decode()}
    connection.send(response(request, 200, json.dumps(body).encode()))


def quote_request(connection: Connection, request: Request) -> None:
    """Send a validation error that repeats the body, and its numbers in groups."""
    quotes = list(_quotes(request))
    body = quotes[0]
    details = [{"details": text} for text in quotes]
    said = {"code": body, "message": body, "errors": details}
    # HTTP libraries refuse a second one of the headers that may stand once.
    once = zip(["Content-Type", "Retry-After", "Location"], quotes, strict=True)
    named = [*once, *(("X-Echo", text) for text in quotes)]
    headers = [(name, _in_ascii(text)) for name, text in named]
    whole = response(request, 400, json.dumps(said).encode(), headers)
    connection.send(whole.replace(b"Whatever", _in_ascii(body).encode()))


def _quotes(request: Request) -> Iterator[str]:
    """Yield the body of a request, whole and with its numbers as people write them."""
    body = request.body.decode()
    yield body
    for separator in " -":
        yield re.sub("[0-9][0-9-]{7,}", partial(_in_groups, separator), body)


def _in_ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()


def _in_groups(separator: str, found: re.Match[str]) -> str:
    return separator.join(wrap(found[0].replace("-", ""), 4))


def secrets_of(value: Any) -> Iterator[tuple[type[Any], object]]:
    """Yield class and value of each secret field in a result, at any depth."""
    if isinstance(value, tuple):
        for item in value:
            yield from secrets_of(item)
    elif attrs.has(type(value)):
        for field in attrs.fields(type(value)):
            part = getattr(value, field.name)
            if is_secret(field):
                yield type(value), part
            yield from secrets_of(part)


def is_secret(field: attrs.Attribute[Any]) -> bool:
    """Tell whether a field is marked as a secret."""
    return "plastiq_async.secret" in field.metadata


def classes_with_secrets(classes: Iterable[object]) -> set[type[Any]]:
    """Return those of `classes` that have a secret field of their own."""
    return {
        one
        for one in classes
        if isinstance(one, type)
        and attrs.has(one)
        and any(map(is_secret, attrs.fields(one)))
    }
