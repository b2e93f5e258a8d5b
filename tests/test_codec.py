"""The JSON codec: strict, exact, and without data in its errors."""

from __future__ import annotations

import enum
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal
from uuid import UUID

import attrs
import cattrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from plastiq_async._codec import (
    NOT_EMPTY,
    NOT_ON_WIRE,
    REQUIRED,
    TYPE_IN_PARENT,
    DecodeError,
    api_converter,
    decode_json,
    encode,
    structure,
    structure_result,
    wire,
)
from plastiq_async._codec.fields import wire_name
from plastiq_async.models import ClientSecret, Page, ResponseInfo

SECRET = "s3cr3t-value"
ID = UUID("8f51c396-6e29-49a6-ba5a-1a31d5420158")
NOON = datetime(2020, 11, 19, 12, 0, 0, 96_000, tzinfo=UTC)
INFO = ResponseInfo(
    status=200,
    headers={},
    trace_id=UUID("fe278caa-e01d-4910-b975-5c19c21a6d8e"),
    attempts=1,
    sent_at=NOON,
    elapsed=timedelta(seconds=1),
)

Colour = Literal["RED", "BLUE"]


@attrs.frozen(kw_only=True)
class Part:
    """A nested object."""

    part_name: str


@attrs.frozen(kw_only=True)
class Ach:
    """A member of a union."""

    type: Literal["ACH"] = attrs.field(default="ACH", init=False)
    number: str


@attrs.frozen(kw_only=True)
class Cheque:
    """Another member of the union, with two values of `type`."""

    type: Literal["CHECK", "CHEQUE"] = "CHECK"
    city: str | None = None


def short(_: object, __: object, value: str) -> None:
    """Reject a text of more than twelve characters."""
    if len(value) > 12:
        msg = f"too long: {value}"
        raise ValueError(msg)


@attrs.frozen(kw_only=True)
class Whole:
    """An object with an optional field of each kind."""

    text: str = attrs.field(default="", validator=short)
    filled: str = attrs.field(default="-", metadata=NOT_EMPTY)
    whole_number: int = 0
    yes_or_no: bool = False
    amount: Decimal = Decimal(0)
    some_id: UUID = ID
    created_at: datetime = NOON
    delivery_date: date = date(2020, 11, 20)
    part: Part | None = None
    all_the_parts: tuple[Part, ...] = ()
    colour: Colour | str = "RED"
    shade: Colour | str | None = None
    kind: Literal["A", "B"] = "A"
    method: Ach | Cheque = Cheque()
    maybe_method: Ach | Cheque | None = None
    upload_url: str = attrs.field(default="", metadata=wire("uploadURL"))
    anything: object = None
    metadata: Mapping[str, object] = attrs.field(factory=dict)
    local: set[str] = attrs.field(factory=set, metadata=NOT_ON_WIRE)


@attrs.frozen(kw_only=True)
class Parent:
    """An object whose `type` determines the class of its `data`."""

    type: str | None = None
    data: Ach | Cheque | None = attrs.field(default=None, metadata=TYPE_IN_PARENT)


@attrs.frozen(kw_only=True)
class Strict:
    """An object with required fields, one of which is nullable."""

    text: str
    nullable: str | None


@attrs.frozen(kw_only=True)
class Item:
    """An item of a page, with a reference to its response."""

    id: UUID
    response: ResponseInfo = attrs.field(repr=False, eq=False)


# Decoding JSON text


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"a": [1, "\xc3\xa9", null, true]}', {"a": [1, "\u00e9", None, True]}),
        (b" 7 ", 7),
        (b"0.1", Decimal("0.1")),
        (b"1e400", Decimal("1e400")),
        (b'"x"', "x"),
    ],
)
def test_json(content: bytes, expected: object) -> None:
    """JSON of any kind is decoded, with fractions as exact decimals."""
    decoded = decode_json(content)
    assert decoded == expected
    assert type(decoded) is type(expected)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" ",
        b"{",
        b"{} {}",
        b"{'a': 1}",
        b"<html></html>",
        b"NaN",
        b'{"a": Infinity}',
        b"[-Infinity]",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b'"\xed\xa0\x80"',
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b"1" * 5_000,
        b"1e" + b"9" * 30,
        b"1.5e-" + b"9" * 30,
        SECRET.encode(),
        f'{{"clientSecret": "{SECRET}"'.encode(),
    ],
    ids=lambda content: repr(content[:20]),
)
def test_no_json(content: bytes) -> None:
    """Invalid JSON is rejected, and the error holds none of the data."""
    with pytest.raises(DecodeError) as info:
        decode_json(content)
    assert str(info.value) == "the body is not JSON"
    assert info.value.__cause__ is info.value.__context__ is None


@given(st.binary())
def test_any_bytes(content: bytes) -> None:
    """Any bytes are either decoded or rejected with the one documented error."""
    try:
        decode_json(content)
    except DecodeError as error:
        assert error.__cause__ is error.__context__ is None  # noqa: PT017


# Decoded JSON to objects


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("text", "abc", "text", "abc"),
        ("filled", "x", "filled", "x"),
        ("wholeNumber", 7, "whole_number", 7),
        ("yesOrNo", True, "yes_or_no", True),
        ("amount", Decimal("0.10"), "amount", Decimal("0.10")),
        ("amount", 100, "amount", Decimal(100)),
        ("someId", str(ID), "some_id", ID),
        ("someId", str(ID).upper(), "some_id", ID),
        ("createdAt", "2020-11-19T12:00:00.096Z", "created_at", NOON),
        ("createdAt", "2020-11-19T14:00:00.096+02:00", "created_at", NOON),
        (
            "createdAt",
            "2020-11-19T12:00:00Z",
            "created_at",
            NOON.replace(microsecond=0),
        ),
        ("deliveryDate", "2020-11-20", "delivery_date", date(2020, 11, 20)),
        ("part", {"partName": "a", "more": 1}, "part", Part(part_name="a")),
        ("allTheParts", [], "all_the_parts", ()),
        (
            "allTheParts",
            [{"partName": "b"}, {"partName": "c"}],
            "all_the_parts",
            (Part(part_name="b"), Part(part_name="c")),
        ),
        ("colour", "BLUE", "colour", "BLUE"),
        ("colour", "GREEN", "colour", "GREEN"),
        ("shade", "GREEN", "shade", "GREEN"),
        ("kind", "B", "kind", "B"),
        ("method", {"type": "ACH", "number": "1"}, "method", Ach(number="1")),
        ("method", {"type": "CHEQUE"}, "method", Cheque(type="CHEQUE")),
        ("maybeMethod", {"type": "CHECK"}, "maybe_method", Cheque()),
        ("maybeMethod", {"type": "WIRE"}, "maybe_method", None),
        ("maybeMethod", {}, "maybe_method", None),
        ("uploadURL", "https://x", "upload_url", "https://x"),
        ("anything", [None, {"a_b": 1}], "anything", [None, {"a_b": 1}]),
        ("metadata", {"a_b": None}, "metadata", {"a_b": None}),
        ("local", ["a"], "local", set()),
        ("unknown", {"more": None}, "text", ""),
        ("whole_number", 7, "whole_number", 0),
        ("uploadUrl", "https://x", "upload_url", ""),
    ],
)
def test_field(name: str, value: object, field: str, expected: object) -> None:
    """A field of each kind is found by its JSON name and converted to its type."""
    result = structure({name: value}, Whole)
    found = getattr(result, field)
    assert found == expected
    assert type(found) is type(expected)
    changes: dict[str, Any] = {field: expected}
    assert result == attrs.evolve(Whole(), **changes)


@pytest.mark.parametrize("name", [wire_name(field) for field in attrs.fields(Whole)])
def test_null_is_absence(name: str | None) -> None:
    """Null means absent if a field has a default."""
    assert structure({name: None}, Whole) == structure({}, Whole) == Whole()


def test_times_are_utc() -> None:
    """A time with another UTC offset is converted to UTC."""
    result = structure({"createdAt": "2020-11-19T14:00:00-03:30"}, Whole)
    assert result.created_at.tzinfo is UTC


def test_required_null() -> None:
    """A required field accepts null only if its type includes None."""
    assert structure({"text": "a", "nullable": None}, Strict) == Strict(
        text="a", nullable=None
    )
    with pytest.raises(DecodeError, match=r"^unexpected value @ \$\.text$"):
        structure({"text": None, "nullable": None}, Strict)


@pytest.mark.parametrize("value", [None, [], [{}], "text", 5, True, SECRET])
def test_no_object(value: object) -> None:
    """A value that is not a JSON object is rejected."""
    with pytest.raises(DecodeError, match=r"^unexpected value @ \$$") as info:
        structure(value, Whole)
    assert info.value.__cause__ is info.value.__context__ is None


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"text": 5}, "unexpected value @ $.text"),
        ({"text": [SECRET]}, "unexpected value @ $.text"),
        ({"text": {SECRET: SECRET}}, "unexpected value @ $.text"),
        ({"text": SECRET + SECRET}, "unexpected value @ $"),  # the validator's
        ({"filled": ""}, "empty text @ $.filled"),
        ({"filled": 5}, "unexpected value @ $.filled"),
        ({"wholeNumber": True}, "unexpected value @ $.wholeNumber"),
        ({"wholeNumber": "7"}, "unexpected value @ $.wholeNumber"),
        ({"wholeNumber": Decimal("7.0")}, "unexpected value @ $.wholeNumber"),
        ({"yesOrNo": 1}, "unexpected value @ $.yesOrNo"),
        ({"yesOrNo": SECRET}, "unexpected value @ $.yesOrNo"),
        ({"amount": SECRET}, "unexpected value @ $.amount"),
        ({"amount": "1.00"}, "unexpected value @ $.amount"),
        ({"amount": Decimal("1E+999999")}, "too many digits @ $.amount"),
        ({"amount": 10**1001}, "too many digits @ $.amount"),
        ({"amount": True}, "unexpected value @ $.amount"),
        ({"someId": SECRET}, "unexpected value @ $.someId"),
        ({"someId": ID.hex}, "unexpected value @ $.someId"),
        ({"someId": 5}, "unexpected value @ $.someId"),
        ({"createdAt": "2020-11-19T12:00:00"}, "unexpected value @ $.createdAt"),
        ({"createdAt": "2020-11-19 12:00:00Z"}, "unexpected value @ $.createdAt"),
        ({"createdAt": "20201119T120000Z"}, "unexpected value @ $.createdAt"),
        ({"createdAt": "2020-13-19T12:00:00Z"}, "unexpected value @ $.createdAt"),
        ({"createdAt": "0001-01-01T00:00:00+01:00"}, "unexpected value @ $.createdAt"),
        ({"createdAt": 1605787200}, "unexpected value @ $.createdAt"),
        ({"deliveryDate": "20201120"}, "unexpected value @ $.deliveryDate"),
        ({"deliveryDate": "2020-W47-5"}, "unexpected value @ $.deliveryDate"),
        ({"deliveryDate": "2020-11-31"}, "unexpected value @ $.deliveryDate"),
        ({"deliveryDate": "2020-11-20T00:00Z"}, "unexpected value @ $.deliveryDate"),
        ({"deliveryDate": 5}, "unexpected value @ $.deliveryDate"),
        ({"part": {}}, "missing @ $.part.partName"),
        ({"part": {"part_name": SECRET}}, "missing @ $.part.partName"),
        ({"part": SECRET}, "unexpected value @ $.part"),
        ({"part": [SECRET]}, "unexpected value @ $.part"),
        (
            {"allTheParts": [{"partName": "a"}, {"partName": None}]},
            "unexpected value @ $.allTheParts[1].partName",
        ),
        ({"allTheParts": [5]}, "unexpected value @ $.allTheParts[0]"),
        ({"allTheParts": [None]}, "unexpected value @ $.allTheParts[0]"),
        ({"allTheParts": SECRET}, "unexpected value @ $.allTheParts"),
        ({"allTheParts": {SECRET: {}}}, "unexpected value @ $.allTheParts"),
        ({"allTheParts": 5}, "unexpected value @ $.allTheParts"),
        ({"colour": 5}, "unexpected value @ $.colour"),
        ({"kind": SECRET}, "unexpected value @ $.kind"),
        ({"kind": 5}, "unexpected value @ $.kind"),
        ({"method": SECRET}, "unexpected value @ $.method"),
        ({"method": {"type": SECRET}}, "unexpected value @ $.method"),
        ({"method": {"type": [SECRET]}}, "unexpected value @ $.method"),
        ({"method": {"type": "ACH"}}, "missing @ $.method.number"),
        ({"uploadURL": 5}, "unexpected value @ $.uploadURL"),
        ({"metadata": [SECRET]}, "unexpected value @ $.metadata"),
    ],
)
def test_wrong_field(value: object, problem: str) -> None:
    """A wrong field is named by its path, and the error holds none of the data."""
    with pytest.raises(DecodeError) as info:
        structure(value, Whole)
    assert str(info.value) == problem
    assert info.value.__cause__ is info.value.__context__ is None


def test_all_wrong_fields() -> None:
    """One error names all wrong fields."""
    with pytest.raises(DecodeError) as info:
        structure({"text": 1, "amount": "x"}, Whole)
    assert str(info.value) == "unexpected value @ $.text; unexpected value @ $.amount"


def test_many_wrong_items() -> None:
    """An error names a bounded number of paths, however many are wrong."""
    with pytest.raises(DecodeError) as info:
        structure([None] * 1000, tuple[Part, ...])
    assert len(str(info.value).split(";")) == 20


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"type": "ACH", "data": {"number": "1"}}, Ach(number="1")),
        ({"type": "CHECK", "data": {"type": "ACH"}}, Cheque()),
        ({"type": "NEW", "data": {"number": "1"}}, None),
        ({"data": {"type": "ACH", "number": "1"}}, None),
        ({"type": "ACH", "data": None}, None),
        ({"type": "ACH"}, None),
    ],
)
def test_type_in_parent(value: object, expected: object) -> None:
    """The `type` next to a field determines its class; an unknown type gives None."""
    assert structure(value, Parent).data == expected


def test_type_in_parent_refused() -> None:
    """A value that does not match its parent's `type` is named by its path."""
    with pytest.raises(DecodeError, match=r"^missing @ \$\.data\.number$"):
        structure({"type": "ACH", "data": {}}, Parent)
    with pytest.raises(DecodeError, match=r"^unexpected value @ \$\.data$"):
        structure({"type": "ACH", "data": [SECRET]}, Parent)


@attrs.frozen(kw_only=True)
class Charge:
    """A result with flat references, and a field that the wire must have."""

    payer_id: UUID | None = attrs.field(default=None, metadata=wire("payer.id"))
    card_id: UUID | None = attrs.field(default=None, metadata=wire("card.id"))
    currency: str = attrs.field(default="USD", metadata=REQUIRED)


REFERENCE = {"id": str(ID), "name": "unknown"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"payer": REFERENCE, "card": REFERENCE}, Charge(payer_id=ID, card_id=ID)),
        ({"payer": REFERENCE, "card": None}, Charge(payer_id=ID)),
        ({"card": REFERENCE, "payer_id": 1, "payerId": 2}, Charge(card_id=ID)),
        ({}, Charge()),
    ],
)
def test_flat_references(value: dict[str, object], expected: Charge) -> None:
    """A member of a member becomes a field; without the outer one it is absent."""
    assert structure({**value, "currency": "USD"}, Charge) == expected


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"payer": {}}, "payer.id is missing @ $"),
        ({"payer": {"id": None}}, "payer.id is missing @ $"),
        ({"payer": SECRET}, "payer.id is missing @ $"),
        ({"payer": [str(ID)]}, "payer.id is missing @ $"),
        ({"payer": {"id": SECRET}}, "unexpected value @ $.payer.id"),
        ({"payer": REFERENCE, "card": {"id": 1}}, "unexpected value @ $.card.id"),
    ],
)
def test_flat_references_refused(value: dict[str, object], problem: str) -> None:
    """An object without the member that it is there for violates the contract."""
    with pytest.raises(DecodeError) as info:
        structure({**value, "currency": "USD"}, Charge)
    assert str(info.value) == problem


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({}, "currency is missing @ $"),
        ({"currency": None}, "unexpected value @ $.currency"),
    ],
)
def test_required(value: object, problem: str) -> None:
    """A field can have a default for callers, and yet be required in responses."""
    with pytest.raises(DecodeError) as info:
        structure(value, Charge)
    assert str(info.value) == problem


def test_array() -> None:
    """A top-level array becomes a tuple, and a wrong item is named by its path."""
    value = [{"partName": "a"}]
    assert structure(value, tuple[Part, ...]) == (Part(part_name="a"),)
    with pytest.raises(DecodeError, match=r"^missing @ \$\[1\]\.partName$"):
        structure([*value, {}], tuple[Part, ...])


def test_mapping() -> None:
    """A mapping is returned unchanged, including nulls."""
    value = {"a_b": None}
    assert structure(value, Mapping[str, object]) is value  # type: ignore[type-abstract]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
FIELDS = ("text", "wholeNumber", "createdAt", "amount", "part", "method", "partName")


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from(FIELDS), JSON) | JSON)
def test_any_value(value: object) -> None:
    """Any decoded JSON becomes an object of the class or raises the one error."""
    try:
        result = structure(value, Whole)
    except DecodeError as error:
        assert error.__cause__ is error.__context__ is None  # noqa: PT017
    else:
        assert type(result) is Whole


@pytest.mark.parametrize(
    "kind",
    [
        float,
        bytes,
        set[str],
        list[str],
        dict[str, str],
        tuple[str, int],
        Any,
        timedelta,
        enum.Enum,
        int | str,
        Part | Cheque,
        Part | int,
        Literal[1],
        float | None,
        tuple[float, ...],
        Mapping[str, int],
    ],
    ids=str,
)
def test_unknown_type(kind: Any) -> None:
    """An unsupported field type raises a TypeError, because it is a bug of ours."""
    cls = attrs.make_class("Odd", {"some_field": attrs.field(type=kind)})
    for _ in range(2):
        with pytest.raises(
            TypeError, match=r"^Odd\.some_field .* codec|^Odd.* Literal"
        ):
            structure(None, cls)


def test_unknown_type_within() -> None:
    """The error for an unsupported type names the class that has the field."""
    inner: Any = attrs.make_class("Inner", {"a": attrs.field(type=float)})
    outer = attrs.make_class("Outer", {"b": attrs.field(type=tuple[inner, ...])})
    with pytest.raises(TypeError, match=r"^Inner\.a has the type <class 'float'>"):
        structure({"b": []}, outer)
    with pytest.raises(TypeError, match=r"^the result has the type <class 'float'>"):
        structure(1.5, float)


def test_not_on_wire_without_default() -> None:
    """A field that is never decoded must have a default."""
    field = attrs.field(type=str, metadata=NOT_ON_WIRE)
    with pytest.raises(TypeError, match=r"^Odd\.a is not on the wire"):
        structure({}, attrs.make_class("Odd", {"a": field}))


def test_converters_are_separate() -> None:
    """A hook registered on the global cattrs converter does not affect this codec."""
    cattrs.register_structure_hook(str, lambda value, _: str(value).upper())
    try:
        assert structure({"partName": "a"}, Part).part_name == "a"
    finally:
        cattrs.register_structure_hook(str, lambda value, _: str(value))
    assert api_converter() is api_converter()


@pytest.mark.slow
def test_cattrs_is_lazy() -> None:
    """Importing the package does not import cattrs."""
    code = "import plastiq_async, sys; sys.exit('cattrs' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# Results


def test_result() -> None:
    """A result carries its response, even if the server sends a field of that name."""
    for extra in ({}, {"response": SECRET}, {"response": None}):
        item = structure_result({"id": str(ID), **extra}, Item, INFO)
        assert item.response is INFO


@pytest.mark.parametrize("value", [None, [], "x", {}])
def test_no_result(value: object) -> None:
    """A value that is not a result is rejected unchanged."""
    with pytest.raises(
        DecodeError, match=r"^(unexpected value @ \$|missing @ \$\.id)$"
    ):
        structure_result(value, Item, INFO)
    assert value in (None, [], "x", {})


@pytest.mark.parametrize("response", [SECRET, {"status": 200}, None])
def test_response_is_not_decoded(response: object) -> None:
    """The `response` attribute is never decoded from data that a server sends."""
    with pytest.raises(DecodeError, match=r"^unexpected value @ \$\.response$"):
        structure({"id": str(ID), "response": response}, Item)


def test_client_secret() -> None:
    """A client secret takes its trace ID and time from its response."""
    value = {"clientSecret": SECRET, "traceId": str(ID), "issuedAt": 5}
    secret = structure_result(value, ClientSecret, INFO)
    assert secret == ClientSecret(
        client_secret=SECRET, trace_id=INFO.trace_id, issued_at=NOON, response=INFO
    )
    assert secret.expires_at == NOON + timedelta(seconds=60)
    shown = f"trace_id={INFO.trace_id!r}, issued_at={NOON!r}, expires_at="
    assert repr(secret).startswith(f"ClientSecret({shown}")


PAGINATION: list[tuple[object, int, tuple[int | None, ...], bool]] = [
    (None, 0, (None, None, None), False),
    (None, 1, (None, None, None), True),
    ({}, 1, (None, None, None), True),
    ({"hasNextPage": True}, 0, (None, None, None), False),
    ({"hasNextPage": True, "total": 1}, 1, (None, None, 1), True),
    ({"hasNextPage": False, "total": 9}, 1, (None, None, 9), False),
    ({"hasNextPage": None, "total": 2}, 1, (None, None, 2), True),
    ({"offset": 1, "total": 2, "limit": 1}, 1, (1, 1, 2), False),
    ({"offset": 0, "total": 2, "limit": 9}, 1, (0, 9, 2), True),
    ({"offset": None, "total": None, "limit": 1}, 1, (None, 1, None), True),
    ({"limit": 2}, 1, (None, 2, None), False),
]


@pytest.mark.parametrize(("pagination", "count", "numbers", "more"), PAGINATION)
def test_page(
    pagination: object, count: int, numbers: tuple[int | None, ...], more: bool
) -> None:
    """A page knows its position and whether another follows; its items refer to it."""
    value = {"data": [{"id": str(ID)}] * count, "pagination": pagination}
    page = structure_result(value, Page[Item], INFO)
    assert page.data == (Item(id=ID, response=INFO),) * count
    assert page.response is INFO
    assert all(item.response is INFO for item in page.data)
    assert (page.offset, page.limit, page.total) == numbers
    assert page.has_next_page is more
    assert value["data"] == [{"id": str(ID)}] * count


def test_page_without_pagination() -> None:
    """A page needs only `data` if its items have no response."""
    page = structure_result({"data": [{"partName": "a"}]}, Page[Part], INFO)
    assert page.data == (Part(part_name="a"),)
    assert repr(page) == (
        "Page(data=(Part(part_name='a'),), "
        "offset=None, limit=None, total=None, has_next_page=True)"
    )


def test_page_made_by_hand() -> None:
    """A page can be built by hand, and equality ignores the response."""
    page = Page(data=(1,), offset=0, limit=1, total=1, response=INFO)
    assert not page.has_next_page
    assert page == attrs.evolve(page, response=attrs.evolve(INFO, attempts=2))
    assert Page(data=(1,), has_next_page=True, response=INFO).has_next_page


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({}, "missing @ $.data"),
        ({"data": None}, "unexpected value @ $.data"),
        ({"data": {"id": str(ID)}}, "unexpected value @ $.data"),
        ({"data": [{"id": str(ID)}, {}]}, "missing @ $.data[1].id"),
        ({"data": [SECRET]}, "unexpected value @ $.data[0]"),
        ({"data": [], "pagination": []}, "unexpected value @ $.pagination"),
        (
            {"data": [], "pagination": {"limit": "1"}},
            "unexpected value @ $.pagination.limit",
        ),
        (
            {"data": [], "pagination": {"hasNextPage": 1}},
            "unexpected value @ $.pagination.hasNextPage",
        ),
        ([], "unexpected value @ $"),
    ],
)
def test_no_page(value: object, problem: str) -> None:
    """A page without data, or with a wrong field, is rejected with its path."""
    with pytest.raises(DecodeError) as info:
        structure_result(value, Page[Item], INFO)
    assert str(info.value) == problem


# Objects to JSON text


class Shout(enum.StrEnum):
    """A string enum with its own repr."""

    HEY = "hey"


class Level(enum.IntEnum):
    """An integer enum with its own repr."""

    HIGH = 3


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({}, "{}"),
        ({"a": [1, "\u00e9\n", True, False]}, '{"a":[1,"\u00e9\\n",true,false]}'),
        ((), "[]"),
        ({"a": None, "b": {"c": None}}, '{"b":{}}'),
        (MappingProxyType({"a": (1,)}), '{"a":[1]}'),
        (Decimal("100.10"), "100.10"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1E-7"), "0.0000001"),
        (Decimal("12345678901234567890.123456789"), "12345678901234567890.123456789"),
        (ID, f'"{ID}"'),
        (NOON, '"2020-11-19T12:00:00.096Z"'),
        (
            datetime(2020, 1, 1, 2, tzinfo=timezone(timedelta(hours=3))),
            '"2019-12-31T23:00:00.000Z"',
        ),
        (date(2020, 11, 20), '"2020-11-20"'),
        (Shout.HEY, '"hey"'),
        (Level.HIGH, "3"),
        (Part(part_name='"'), '{"partName":"\\""}'),
        ([Ach(number="1")], '[{"type":"ACH","number":"1"}]'),
        (Cheque(), '{"type":"CHECK"}'),
        (
            {"metadata": {"a": None, "b": [None, 0.5, {"c": 1e300}]}},
            '{"metadata":{"a":null,"b":[null,0.5,{"c":1e+300}]}}',
        ),
        ({"a": {"metadata": {"metadata": 0.1}}}, '{"a":{"metadata":{"metadata":0.1}}}'),
        ({"metadata": None}, "{}"),
    ],
)
def test_encode(value: object, expected: str) -> None:
    """Values of each kind become compact JSON; None is omitted except in metadata."""
    assert encode(value) == expected.encode()


def test_encode_fields() -> None:
    """Fields are encoded under their JSON names, except those not on the wire."""
    whole = Whole(upload_url="x", local={"a"}, metadata={"share": 0.5})
    decoded = decode_json(encode(whole))
    assert isinstance(decoded, dict)
    assert decoded["uploadURL"] == "x"
    assert decoded["metadata"] == {"share": Decimal("0.5")}
    assert decoded.keys().isdisjoint({"local", "upload_url", "shade", "part"})


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (0.5, "cannot encode float @ $"),
        ({"a": [1, {"b": 0.5}]}, "cannot encode float @ $.a[1].b"),
        (None, "cannot encode NoneType @ $"),
        ([None], "cannot encode NoneType @ $[0]"),
        ({"a": b"x"}, "cannot encode bytes @ $.a"),
        ({"a": {1}}, "cannot encode set @ $.a"),
        (Part(part_name=object()), "cannot encode object @ $.partName"),  # type: ignore[arg-type]
        ({"metadata": {SECRET: [{1}]}}, "cannot encode set @ $.metadata"),
        ({"a": {5: "x"}}, "names must be str @ $.a"),
        ({"metadata": {None: "x"}}, "names must be str @ $.metadata"),
    ],
)
def test_encode_refused(value: object, problem: str) -> None:
    """An unsupported value is rejected with its path, which never holds metadata."""
    with pytest.raises(TypeError) as info:
        encode(value)
    assert str(info.value) == problem


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (Decimal("NaN"), "a Decimal must be finite"),
        (Decimal("sNaN"), "a Decimal must be finite"),
        (Decimal("-Infinity"), "a Decimal must be finite"),
        (Decimal("1E+999999"), "a Decimal must be finite"),
        (Decimal("1E-999999"), "a Decimal must be finite"),
        ({"metadata": {"a": float("nan")}}, "a float must be finite"),
        ({"metadata": [float("inf")]}, "a float must be finite"),
        (NOON.replace(tzinfo=None), "a datetime must have a time zone"),
        (
            datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
            "a datetime must be in the years 1 to 9999",
        ),
        ([SECRET + "\ud800"], "the body has a lone surrogate"),
    ],
)
def test_encode_wrong_value(value: object, problem: str) -> None:
    """A value that JSON cannot represent is rejected; the error holds no data."""
    with pytest.raises(ValueError, match=f"^{problem}") as info:
        encode(value)
    assert SECRET not in str(info.value)
    assert info.value.__context__ is None


def test_encode_too_deep() -> None:
    """A value that contains itself is rejected."""
    value: list[object] = []
    value.append(value)
    with pytest.raises(ValueError, match=r"nested too deeply$"):
        encode(value)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
DECIMALS = st.decimals(-(10**30), 10**30, allow_nan=False)
SCALARS = st.booleans() | st.integers() | DECIMALS | TEXTS
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=10,
)
FREE = st.recursive(
    SCALARS | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=10,
)
MOMENTS = st.datetimes(timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
METHODS = st.builds(Ach, number=TEXTS) | st.builds(
    Cheque, type=st.sampled_from(["CHECK", "CHEQUE"]), city=st.none() | TEXTS
)
PARTS = st.builds(Part, part_name=TEXTS)
WHOLES = st.builds(
    Whole,
    text=st.text("abc", max_size=12),
    filled=TEXTS.filter(bool),
    whole_number=st.integers(),
    yes_or_no=st.booleans(),
    amount=DECIMALS,
    some_id=st.uuids(),
    created_at=MOMENTS,
    delivery_date=st.dates(),
    part=st.none() | PARTS,
    all_the_parts=st.lists(PARTS, max_size=3).map(tuple),
    colour=TEXTS,
    shade=st.none() | TEXTS,
    kind=st.sampled_from(["A", "B"]),
    method=METHODS,
    maybe_method=st.none() | METHODS,
    upload_url=TEXTS,
    metadata=st.dictionaries(TEXTS, FREE, max_size=3),
)


@pytest.mark.slow
@given(TREES)
def test_round_trip(value: object) -> None:
    """An encoded value is decoded to an equal one, with all digits of its numbers."""
    assert decode_json(encode(value)) == value


@pytest.mark.slow
@given(FREE)
def test_round_trip_of_metadata(value: object) -> None:
    """Metadata keeps its nulls in a round trip."""
    assume(value is not None)
    assert decode_json(encode({"metadata": value})) == {"metadata": value}


@pytest.mark.slow
@given(WHOLES)
def test_round_trip_of_models(whole: Whole) -> None:
    """A model with any field values is equal after encoding and decoding."""
    assert structure(decode_json(encode(whole)), Whole) == whole


@pytest.mark.slow
@given(st.recursive(TREES | st.floats() | st.none() | st.binary(), st.lists))
def test_encode_anything(value: object) -> None:
    """Any value is either encoded or rejected with one of our errors."""
    try:
        encode(value)
    except (TypeError, ValueError) as error:
        assert str(error).startswith(("cannot encode ", "a Decimal must"))  # noqa: PT017
