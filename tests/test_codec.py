"""From JSON text to attrs objects: strict, and silent about the data."""

from __future__ import annotations

from decimal import Decimal

import attrs
import pytest
from cattrs import Converter
from hypothesis import given
from hypothesis import strategies as st

from plastiq_async._codec import (
    AnswerError,
    configure_converter,
    decode_json,
    structure,
)

SECRET = "s3cr3t-value"


@attrs.frozen(kw_only=True)
class Part:
    """A part of an answer."""

    part_name: str


@attrs.frozen(kw_only=True)
class Answer:
    """An answer with a field of each kind."""

    text: str = attrs.field(default="", validator=attrs.validators.max_len(5))
    whole_number: int = 0
    yes_or_no: bool = False
    amount: Decimal = Decimal(0)
    part: Part | None = None
    all_the_parts: list[Part] = attrs.Factory(list)


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
    """JSON of any kind is decoded; fractions exactly, as decimals."""
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
    """Anything else is refused; nothing of it hangs on the error."""
    with pytest.raises(AnswerError) as info:
        decode_json(content)
    assert str(info.value) == "the body is not JSON"
    assert info.value.__cause__ is info.value.__context__ is None


@given(st.binary())
def test_any_bytes(content: bytes) -> None:
    """Any bytes are decoded or refused with the one error."""
    try:
        decode_json(content)
    except AnswerError as error:
        assert error.__cause__ is error.__context__ is None  # noqa: PT017


def test_structure() -> None:
    """Names in camelCase find their fields, at every depth; unknown ones are left."""
    value = {
        "text": "abc",
        "wholeNumber": 7,
        "yesOrNo": True,
        "amount": Decimal("0.10"),
        "part": {"partName": "a"},
        "allTheParts": [{"partName": "b", "more": 1}, {"partName": "c"}],
        "unknown": {"more": None},
    }
    assert structure(value, Answer) == Answer(
        text="abc",
        whole_number=7,
        yes_or_no=True,
        amount=Decimal("0.10"),
        part=Part(part_name="a"),
        all_the_parts=[Part(part_name="b"), Part(part_name="c")],
    )


def test_defaults() -> None:
    """What may be missing may be missing, and null where None is allowed."""
    assert structure({}, Answer) == structure({"part": None}, Answer) == Answer()


@pytest.mark.parametrize("value", [None, [], [{}], "text", 5, True, SECRET])
def test_no_object(value: object) -> None:
    """An answer that is no JSON object is refused as a whole."""
    with pytest.raises(AnswerError, match=r"^unexpected value @ \$$") as info:
        structure(value, Answer)
    assert info.value.__cause__ is info.value.__context__ is None


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"text": None}, "$.text"),
        ({"text": 5}, "$.text"),
        ({"text": [SECRET]}, "$.text"),
        ({"text": {SECRET: SECRET}}, "$.text"),
        ({"text": SECRET}, "$"),  # the validator's
        ({"wholeNumber": True}, "whole"),
        ({"wholeNumber": "7"}, "whole"),
        ({"wholeNumber": Decimal("7.0")}, "whole"),
        ({"wholeNumber": SECRET}, "whole"),
        ({"yesOrNo": 1}, "yes"),
        ({"yesOrNo": SECRET}, "yes"),
        ({"amount": SECRET}, "$.amount"),
        ({"amount": 1}, "$.amount"),
        ({"part": {}}, "$.part"),
        ({"part": {"part_name": SECRET}}, "$.part"),
        ({"part": SECRET}, "$.part"),
        ({"part": [SECRET]}, "$.part"),
        ({"allTheParts": [{"partName": "a"}, {"partName": None}]}, "[1]"),
        ({"allTheParts": SECRET}, "arts"),
        ({"allTheParts": 5}, "arts"),
    ],
)
def test_wrong_field(value: object, path: str) -> None:
    """A wrong field is named by its path; no data hangs on the error."""
    with pytest.raises(AnswerError) as info:
        structure(value, Answer)
    assert path in str(info.value)
    assert SECRET not in str(info.value)
    assert info.value.__cause__ is info.value.__context__ is None


def test_all_wrong_fields() -> None:
    """One error names all the fields that are wrong."""
    with pytest.raises(AnswerError) as info:
        structure({"text": 1, "amount": "x"}, Answer)
    assert "$.text" in str(info.value)
    assert "$.amount" in str(info.value)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
FIELDS = ("text", "wholeNumber", "yesOrNo", "amount", "part", "allTheParts", "partName")


@given(st.dictionaries(st.sampled_from(FIELDS), JSON) | JSON)
def test_any_value(value: object) -> None:
    """Any decoded JSON becomes an object of the class, or the one error."""
    try:
        result = structure(value, Answer)
    except AnswerError as error:
        assert error.__cause__ is error.__context__ is None  # noqa: PT017
    else:
        assert type(result) is Answer


def test_converters_are_separate() -> None:
    """What somebody registers on a converter of their own stays there."""
    converter = Converter()
    configure_converter(converter)
    converter.register_structure_hook(str, lambda value, _: str(value).upper())
    assert converter.structure({"partName": "a"}, Part).part_name == "A"
    assert structure({"partName": "a"}, Part).part_name == "a"
