"""`to_jsonable`: results as plain values, without secrets."""

from __future__ import annotations

import enum
import json
import pickle
import traceback
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal, NamedTuple
from uuid import UUID

import attrs
import pytest
from aiohttp import web
from fastapi.responses import JSONResponse
from hypothesis import given
from hypothesis import strategies as st

from plastiq_async import (
    BadRequestError,
    Failed,
    InvalidArgumentError,
    Page,
    ResponseInfo,
    Succeeded,
    to_jsonable,
)
from plastiq_async._codec import derived
from plastiq_async._secrets import SECRET as SECRET_FIELD
from plastiq_async.testing import FakePlastiq
from tests._resources.widgets import Widget
from tests.support.models import NOW, PAYER, SECRET, TRACE_ID, make_info, make_secret
from tests.support.sessions import fake_session

CARD = "4111111111111111"
INFO = make_info()
DIGITS = "a Decimal must be finite and at most 1000 digits long"
NOON = datetime(2020, 11, 19, 12, 0, 0, 96_000, tzinfo=UTC)


class Colour(enum.StrEnum):
    """A string enumeration with its own `str`."""

    RED = "RED"

    def __str__(self) -> str:
        """Return another text than the value."""
        return "Colour.RED"


class Level(enum.IntEnum):
    """An integer enumeration."""

    HIGH = 3


class Share(float, enum.Enum):
    """An enumeration of floats."""

    HALF = 0.5


class Shade(enum.Enum):
    """An enumeration whose members are of no type that JSON has."""

    DARK = "DARK"


class Pair(NamedTuple):
    """A tuple with names."""

    first: int
    second: str


@attrs.frozen(kw_only=True)
class Contact:
    """Personal data, which reprs do not show."""

    email: str = attrs.field(repr=False)
    phone: str | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class Account:
    """An object with secrets of each kind."""

    type: Literal["CARD"] = "CARD"
    number: str = attrs.field(default=CARD, repr=False, metadata=SECRET_FIELD)
    keys: Mapping[str, str] = attrs.field(
        factory=lambda: {"Policy": CARD}, repr=False, metadata=SECRET_FIELD
    )
    owner: Contact | None = attrs.field(
        default=Contact(email=CARD), repr=False, metadata=SECRET_FIELD
    )


@attrs.frozen(kw_only=True)
class Result:
    """A result with a nested object of each kind."""

    _payer: Contact | None = attrs.field(default=None, repr=False)
    amount: Decimal | None = None
    contact: Contact | None = None
    account: Account | None = None
    accounts: tuple[Account, ...] = ()
    metadata: Mapping[str, object] = attrs.field(factory=dict)
    amount_again: Decimal | None = derived(lambda self: self.amount)
    response: ResponseInfo = attrs.field(default=INFO, repr=False, eq=False)

    @property
    def is_large(self) -> bool:
        """A property, which is not shown."""
        return True


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (0.5, 0.5),
        ("\u00e9\n", "\u00e9\n"),
        (Colour.RED, "RED"),
        (Level.HIGH, 3),
        (Share.HALF, 0.5),
        (Decimal("100.10"), "100.10"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1E-7"), "0.0000001"),
        (Decimal("-12345678901234567890.123456789"), "-12345678901234567890.123456789"),
        (PAYER, str(PAYER)),
        (NOON, "2020-11-19T12:00:00.096Z"),
        (
            datetime(2020, 1, 1, 2, tzinfo=timezone(timedelta(hours=3))),
            "2019-12-31T23:00:00.000Z",
        ),
        (date(2020, 11, 20), "2020-11-20"),
        ((), []),
        ([1, (None, [Decimal(1)])], [1, [None, ["1"]]]),
        (Pair(1, "a"), [1, "a"]),
        (MappingProxyType({"a_b": {"cD": PAYER}}), {"a_b": {"cD": str(PAYER)}}),
        (OrderedDict({Colour.RED: None}), {"RED": None}),
        (
            Contact(email="ada@example.com"),
            {"email": "ada@example.com", "phone": None},
        ),
    ],
)
def test_values(value: object, expected: object) -> None:
    """A value of each kind becomes one of exactly the types of JSON, at any depth."""
    for wrap in (lambda one: one, lambda one: [one], lambda one: {"a": one}):
        converted = to_jsonable(wrap(value))
        assert converted == wrap(expected)
        # A subclass would survive neither pickle nor repr unchanged.
        assert repr(converted) == repr(wrap(expected))
        assert json.loads(json.dumps(converted)) == converted


def test_result() -> None:
    """A result has its public attributes in their order, and no properties."""
    result = Result(amount=Decimal("1.50"), metadata={"response": 1, "_a": None})
    converted = to_jsonable(result)
    assert [*converted.items()] == [
        ("amount", "1.50"),
        ("contact", None),
        ("account", None),
        ("accounts", []),
        ("metadata", {"response": 1, "_a": None}),
        ("amount_again", "1.50"),
    ]


def test_client_secret() -> None:
    """A client secret is left out, so that a handler must name it."""
    secret = make_secret()
    assert to_jsonable(secret) == {
        "trace_id": str(TRACE_ID),
        "issued_at": "2026-01-02T03:04:05.000Z",
        "expires_at": "2026-01-02T03:05:05.000Z",
    }
    assert SECRET not in json.dumps(to_jsonable([{"a": (secret,)}]))
    form = {**to_jsonable(secret), "client_secret": secret.client_secret}
    assert json.loads(json.dumps(form))["client_secret"] == SECRET


def test_secrets_at_any_depth() -> None:
    """Fields marked as secret are left out wherever they are; personal data is not."""
    result = Result(
        contact=Contact(email="ada@example.com"),
        account=Account(),
        accounts=(Account(), Account()),
        metadata={"account": [Account()]},
    )
    page = Page(data=(result,), response=INFO)
    text = json.dumps(to_jsonable({"pages": [page]}))
    assert CARD not in text
    assert text.count('{"type": "CARD"}') == 4
    assert "ada@example.com" in text


def test_page() -> None:
    """A page has its items and its position, and `response` is nowhere."""
    values: dict[str, Any] = {
        "payer": None,
        "payer_id": PAYER,
        "id": TRACE_ID,
        "name": "a",
        "amount": Decimal("1.10"),
        "created_at": NOW,
        "status": "ACTIVE",
    }
    widget = Widget(**values, response=INFO)
    assert to_jsonable(Page(data=(widget,), response=INFO)) == {
        "data": [
            {
                "id": str(TRACE_ID),
                "payer_id": str(PAYER),
                "name": "a",
                "amount": "1.10",
                "created_at": "2026-01-02T03:04:05.000Z",
                "status": "ACTIVE",
                "note": None,
                "retired_at": None,
                "idempotency_key": None,
            }
        ],
        "offset": None,
        "limit": None,
        "total": None,
        "has_next_page": True,
    }


def test_copies() -> None:
    """What is returned shares no list and no dict with what was given."""
    given: dict[str, Any] = {"a": [{}]}
    converted = to_jsonable(given)
    assert converted == given
    given["a"][0]["b"] = 1
    assert converted == {"a": [{}]}


def test_outcomes() -> None:
    """The outcome of a successful request is converted, and an error is refused."""
    succeeded = Succeeded(request=Contact(email="a"), result=Account())
    assert to_jsonable(succeeded) == {
        "request": {"email": "a", "phone": None},
        "result": {"type": "CARD"},
        "error": None,
    }
    failed = Failed[object, object](request=None, error=ValueError(CARD))
    check_refused(failed, "cannot convert ValueError @ $.error")


def check_refused(value: object, problem: str) -> None:
    """Check that `value` is refused with this message, and that no frame holds it."""
    with pytest.raises(InvalidArgumentError) as info:
        to_jsonable(value)
    error = info.value
    assert str(error) == problem
    assert error.__cause__ is error.__context__ is None
    assert pickle.loads(pickle.dumps(error)).args == error.args  # noqa: S301 -- our own
    inner = info.tb.tb_next
    told = traceback.TracebackException(type(error), error, inner, capture_locals=True)
    assert CARD not in "".join(told.format())


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (b"4111111111111111", "cannot convert bytes @ $"),
        ([CARD, {1}], "cannot convert set @ $[1]"),
        ({CARD: {"a": object()}}, "cannot convert object @ $[...][...]"),
        ({CARD: CARD, "b": Shade.DARK}, "cannot convert Shade @ $[...]"),
        (Result(metadata={CARD: [{1}]}), "cannot convert set @ $.metadata[...][0]"),
        (Page(data=("a", 1j), response=INFO), "cannot convert complex @ $.data[1]"),
        (INFO, "cannot convert timedelta @ $.elapsed"),
        (Account, "cannot convert type @ $"),
        ((one for one in CARD), "cannot convert generator @ $"),
        (range(3), "cannot convert range @ $"),
        ({CARD: {int(CARD): 1}}, "keys must be str @ $[...]"),
        ({None: 1}, "keys must be str @ $"),
        ([float("nan")], "a float must be finite @ $[0]"),
        (float("-inf"), "a float must be finite @ $"),
        (Result(amount=Decimal("NaN")), f"{DIGITS} @ $.amount"),
        (Decimal("1E+999999"), f"{DIGITS} @ $"),
        (NOON.replace(tzinfo=None), "a datetime must have a time zone @ $"),
        (
            {"a": datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))},
            "a datetime must be in the years 1 to 9999 in UTC @ $[...]",
        ),
    ],
)
def test_refused(value: object, problem: str) -> None:
    """Anything else is refused with its type and path, without values and keys."""
    check_refused(value, problem)


@pytest.mark.parametrize("wrap", [lambda one: [one], lambda one: {CARD: one}])
def test_too_deep(wrap: Any) -> None:
    """A value that is nested too deeply is refused, and no RecursionError escapes."""
    value: object = CARD
    for _ in range(100_000):
        value = wrap(value)
    problem = "the result contains itself or is nested too deeply"
    check_refused(value, problem)


def test_cycle() -> None:
    """A value that contains itself is refused."""
    value: dict[str, object] = {"number": CARD}
    value["self"] = (Result(metadata=value),)
    check_refused(value, "the result contains itself or is nested too deeply")


async def test_objects_of_this_library(fake_plastiq: FakePlastiq) -> None:
    """A session, its resources and an error are no results."""
    session = fake_session(fake_plastiq)
    fake_plastiq.fail_next(400)
    with pytest.raises(BadRequestError) as info:
        await session.client_secrets.create(fake_plastiq.payer_id)
    check_refused(session, "cannot convert PlastiqSession @ $")
    check_refused([session.client_secrets], "cannot convert ClientSecrets @ $[0]")
    check_refused(info.value, "cannot convert BadRequestError @ $")


def test_frameworks() -> None:
    """FastAPI's and aiohttp's JSON responses take what is returned."""
    converted = to_jsonable([make_secret(), Result(amount=Decimal("1.10"))])
    assert json.loads(bytes(JSONResponse(converted).body)) == converted
    assert json.loads(web.json_response(converted).text or "") == converted


KEYS = st.text()
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.uuids()
    | st.dates()
    | st.datetimes(timezones=st.just(UTC))
    | st.builds(Contact, email=st.text()),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(KEYS, inner).map(MappingProxyType)
        | st.builds(Result, contact=inner, metadata=st.dictionaries(KEYS, inner))
    ),
    max_leaves=10,
)


def read_back(read: Any, given: Any) -> Any:
    """Return what the JSON value `read` means, as a value of the type of `given`."""
    if attrs.has(type(given)):
        given = {name: getattr(given, name) for name in read}
    if isinstance(given, Mapping):
        return {key: read_back(read[key], value) for key, value in given.items()}
    if isinstance(given, (list, tuple)):
        return [read_back(*pair) for pair in zip(read, given, strict=True)]
    if isinstance(given, (date, datetime)):
        return type(given).fromisoformat(read)
    if isinstance(given, (Decimal, UUID)):
        return type(given)(read)
    return read


def expected(given: Any) -> Any:
    """Return `given` as `read_back` returns it."""
    if attrs.has(type(given)):
        fields = [field.name for field in attrs.fields(type(given))]
        given = {name: getattr(given, name) for name in fields if name[0] != "_"}
        given.pop("response", None)
    if isinstance(given, Mapping):
        return {key: expected(value) for key, value in given.items()}
    if isinstance(given, (list, tuple)):
        return [expected(item) for item in given]
    if isinstance(given, datetime):
        return given.replace(microsecond=given.microsecond // 1000 * 1000)
    return given


@given(VALUES)
def test_round_trip(value: object) -> None:
    """No digit, time or text is lost on the way through JSON."""
    read = json.loads(json.dumps(to_jsonable(value)))
    assert read_back(read, value) == expected(value)
