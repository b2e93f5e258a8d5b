"""The checks of input: what passes, what does not, and that nothing is repeated."""

from __future__ import annotations

import math
import sys
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plastiq_async._validate import (
    check_alphanumeric,
    check_country,
    check_digits,
    check_header,
    check_header_value,
    check_ip,
    check_text,
    check_timeout,
    check_trace_id,
    check_uuid,
    check_uuid4,
    is_count,
    is_duration,
    is_header_value,
    is_token,
)
from plastiq_async.errors import InvalidArgumentError

V4 = "0b4e3c1a-5f0e-4c1d-9d56-0d4d1e6f7a80"
V1 = "5b0c7a3e-93d4-11ee-b9d1-0242ac120002"
SECRET = "s3cr3t-value"

NO_UUIDS: list[object] = [
    "",
    SECRET,
    "8f51c396-6e29-49a6-ba5a",
    "8f51c3966e2949a6ba5a1a31d542015",
    "8f51c396-6e2949a6-ba5a-1a31d5420158",
    "8f51c396-6e29-49a6-ba5a1a31d5420158-",
    "{8f51c396-6e29-49a6-ba5a-1a31d5420158",
    "8f51c396-6e29-49a6-ba5a-1a31d5420158}",
    "{8f51c3966e2949a6ba5a1a31d5420158}}",
    "(8f51c396-6e29-49a6-ba5a-1a31d5420158)",
    "uuid:8f51c396-6e29-49a6-ba5a-1a31d5420158",
    "urn:uu\N{LATIN SMALL LETTER DOTLESS I}d:8f51c396-6e29-49a6-ba5a-1a31d5420158",
    "{urn:uuid:8f51c396-6e29-49a6-ba5a-1a31d5420158}",
    " 8f51c396-6e29-49a6-ba5a-1a31d5420158",
    "8f51c396-6e29-49a6-ba5a-1a31d5420158\n",
    "8f51c396-6e29-49a6-ba5a-1a31d542015\N{FULLWIDTH DIGIT EIGHT}",
    "8f51c39-66e29-49a6-ba5a-1a31d5420158",
    "8f51c396-6e29-49a6-ba5a-1a31d542015g",
    "_f51c396-6e29-49a6-ba5a-1a31d5420158",
    "8f51c396_6e29_49a6_ba5a_1a31d5420158",
    "8f51c3966e2949a6ba5a1a31d54201_8",
    "0x51c3966e2949a6ba5a1a31d5420158",
    "\N{ARABIC-INDIC DIGIT EIGHT}f51c3966e2949a6ba5a1a31d5420158",
    "\ud800",
    None,
    0,
    True,
    b"8f51c396-6e29-49a6-ba5a-1a31d5420158",
    [],
]
# What uuid4().hex, .NET's "N" and "B", and RFC 9562 write.
OTHER_SPELLINGS = [
    "0b4e3c1a5f0e4c1d9d560d4d1e6f7a80",
    "{0b4e3c1a-5f0e-4c1d-9d56-0d4d1e6f7a80}",
    "{0b4e3c1a5f0e4c1d9d560d4d1e6f7a80}",
    "urn:uuid:0b4e3c1a-5f0e-4c1d-9d56-0d4d1e6f7a80",
]
NO_HEADER_VALUES = [
    "",
    " ",
    " a",
    "a ",
    "a\n",
    "a\r\nb",
    "a\tb",
    "a\0b",
    "a\x7fb",
    "\N{LATIN SMALL LETTER E WITH ACUTE}",
    "\ud800",
    None,
    5,
    b"a",
]
NO_ADDRESSES = [
    "",
    SECRET,
    "256.0.0.1",
    "1.2.3",
    "01.2.3.4",
    "203.0.113.7/32",
    "203.0.113.7 ",
    "203.0.113.7\n",
    "fe80::1%eth0",
    "[::1]",
    3405803783,
    b"\xcb\x00\x71\x07",
    None,
]
NO_DURATIONS = [
    0,
    -1,
    -0.5,
    math.nan,
    math.inf,
    -math.inf,
    pytest.param(10**400, id="huge"),
    True,
    "5",
    Decimal(5),
    None,
]


@pytest.mark.parametrize("value", [V4, V4.upper(), UUID(V4)])
def test_uuid4(value: object) -> None:
    """A UUID of version 4 passes, as an object or in the canonical form."""
    assert str(check_uuid4("idempotency_key", value)) == V4


@pytest.mark.parametrize("value", [V1, UUID(V1), *NO_UUIDS, *OTHER_SPELLINGS])
def test_no_uuid4(value: object) -> None:
    """A UUID of another version is refused, because the API would ignore it."""
    with pytest.raises(InvalidArgumentError, match=r"^idempotency_key must be a UUID"):
        check_uuid4("idempotency_key", value)


@pytest.mark.parametrize("value", ["a", "Zo\u00eb", "\u06a9\u200c\u06a9", "x" * 35])
def test_text(value: str) -> None:
    """Text of any script passes."""
    check_text("memo", value, longest=35)


@pytest.mark.parametrize(
    "value", ["", " ", "\u00a0", "a\nb", "a\x00", "\x85", "\ud800", 5, None, b"a", True]
)
def test_no_text(value: object) -> None:
    """Blank text, control characters and lone surrogates are refused by name."""
    with pytest.raises(InvalidArgumentError, match=r"^memo must be a string"):
        check_text("memo", value)


def test_text_too_long() -> None:
    """The limit of the contract is part of the message, and the value is not."""
    with pytest.raises(InvalidArgumentError) as info:
        check_text("memo", f"{SECRET}{'x' * 30}", longest=35)
    assert str(info.value) == "memo must have at most 35 characters"


@pytest.mark.parametrize(("least", "most"), [(3, 4), (3, 3)])
def test_digits(least: int, most: int) -> None:
    """Digits are counted."""
    check_digits("cvv", "1" * least, least=least, most=most)
    check_digits("cvv", "1" * most, least=least, most=most)


@pytest.mark.parametrize(
    "value", ["12", "12345", "12a", " 123", "123\n", "\u0661\u0662\u0663", 123, None]
)
def test_no_digits(value: object) -> None:
    """Anything but so many ASCII digits is refused by name."""
    with pytest.raises(InvalidArgumentError) as info:
        check_digits("cvv", value, least=3, most=4)
    assert str(info.value) == "cvv must be a string of 3 to 4 digits"
    with pytest.raises(InvalidArgumentError, match=r"must be a string of 9 digits$"):
        check_digits("cvv", value, least=9, most=9)


@pytest.mark.parametrize("value", ["abc", "ABCD", "1a2B"])
def test_alphanumeric(value: str) -> None:
    """Letters and digits are counted."""
    check_alphanumeric("account", value, least=3, most=4)


@pytest.mark.parametrize(
    "value", ["ab", "abcde", "a-b", " abc", "abc\n", "ab\u00e9", 123, None]
)
def test_not_alphanumeric(value: object) -> None:
    """Anything but so many ASCII letters and digits is refused by name."""
    with pytest.raises(InvalidArgumentError) as info:
        check_alphanumeric("account", value, least=3, most=4)
    assert str(info.value) == "account must be a string of 3 to 4 letters and digits"


def test_country() -> None:
    """A country is two capital letters."""
    check_country("country", "US")
    for value in ("us", "USA", "U", "", "\u0391\u0392", 5, None):
        with pytest.raises(InvalidArgumentError, match=r"^country must be two capital"):
            check_country("country", value)


@pytest.mark.parametrize("value", [V1, V4, V4.upper(), UUID(V1)])
def test_uuid(value: object) -> None:
    """A UUID of any version passes, as an object or in the canonical form."""
    assert str(check_uuid("payer_id", value)) == str(value).lower()


class OddUUID(UUID):
    """A UUID that cannot be hashed, and whose text is no UUID."""

    __hash__ = None  # type: ignore[assignment]  # as of a class with its own `__eq__`

    def __str__(self) -> str:
        return SECRET


def test_uuid_of_a_subclass() -> None:
    """An instance of a subclass becomes a plain UUID."""
    value = check_uuid("payer_id", OddUUID(V4))
    assert type(value) is UUID
    assert str(value) == V4


@pytest.mark.parametrize("value", [*NO_UUIDS, *OTHER_SPELLINGS])
def test_no_uuid(value: object) -> None:
    """Anything else is refused by the argument's name, without repeating it."""
    with pytest.raises(InvalidArgumentError, match=r"^payer_id must be a UUID") as info:
        check_uuid("payer_id", value)
    assert SECRET not in str(info.value)
    assert info.value.__cause__ is info.value.__context__ is None


@pytest.mark.slow
@given(st.text() | st.from_regex(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-f]{12}"))
def test_any_text_as_uuid(value: str) -> None:
    """Any text is either refused, or the canonical form of what it becomes."""
    try:
        parsed = check_uuid("payer_id", value)
    except InvalidArgumentError:
        return
    assert str(parsed) == value.lower()


@given(st.uuids(version=4))
def test_trace_id(value: UUID) -> None:
    """Every UUID of version 4 passes, as an object and as text."""
    assert check_trace_id(value) == check_trace_id(str(value)) == value


@pytest.mark.parametrize("value", [V4, *OTHER_SPELLINGS])
def test_spellings_of_trace_ids(value: str) -> None:
    """A trace ID may have any usual spelling, because it comes from other software."""
    assert str(check_trace_id(value)) == V4
    assert str(check_trace_id(value.upper())) == V4


@pytest.mark.parametrize(
    "value",
    [
        V1,
        V1.replace("-", ""),
        UUID(V1),
        UUID(int=0),
        "00000000-0000-4000-0000-000000000000",  # version 4 of the wrong variant
        "00000000-0000-4000-c000-000000000000",
    ],
)
def test_uuid_as_no_trace_id(value: object) -> None:
    """A UUID of another version or variant is no trace ID."""
    with pytest.raises(
        InvalidArgumentError, match=r"^trace_id must be a UUID of version 4$"
    ):
        check_trace_id(value)


@pytest.mark.parametrize("value", NO_UUIDS)
def test_no_trace_id(value: object) -> None:
    """What is no UUID is no trace ID."""
    with pytest.raises(InvalidArgumentError, match=r"^trace_id must be a UUID"):
        check_trace_id(value)


@pytest.mark.parametrize("value", ["a", "!", "~", "a b", "Mozilla/5.0 (X11; Linux)"])
def test_header_value(value: str) -> None:
    """Visible ASCII passes, blanks within included."""
    check_header_value("device_id", value)
    assert is_header_value(value)


@pytest.mark.parametrize("value", NO_HEADER_VALUES)
def test_no_header_value(value: object) -> None:
    """Whatever a server could split, fold, cut or misread is refused."""
    assert not is_header_value(value)
    with pytest.raises(InvalidArgumentError, match=r"^device_id must be a string of"):
        check_header_value("device_id", value)


@given(st.text())
def test_any_text_as_header_value(value: str) -> None:
    """What passes is its own stripped ASCII, and is not blank."""
    if is_header_value(value):
        assert value.isascii()
        assert value.isprintable()
        assert value == value.strip() != ""


@pytest.mark.parametrize("value", ["a", "X-Device-ID", "!#$%&'*+.^_`|~9"])
def test_token(value: str) -> None:
    """Letters, digits and the signs of RFC 9110 make a token."""
    assert is_token(value)


@pytest.mark.parametrize(
    "value", ["", "a b", "a:", "a\n", "a(b)", "\xe9", None, 5, b"a"]
)
def test_no_token(value: object) -> None:
    """What has any other character, or is no text, is no token."""
    assert not is_token(value)


def test_header() -> None:
    """A header of middleware passes if its name and its value are valid."""
    check_header(b"X-Device-ID", b"a b")


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        (b"", b"a", r"^the name of a header must be a token"),
        (b"X-Device:", b"a", r"^the name of a header must be a token"),
        (b"X-D\xe9vice", b"a", r"^the name of a header must be a token"),
        (b"X-Device", b"", r"^the header X-Device must be a string of"),
        (b"X-Device", b"a\r\nb", r"^the header X-Device must be a string of"),
        (b"X-Device", b"\xe9", r"^the header X-Device must be a string of"),
    ],
)
def test_no_header(name: bytes, value: bytes, problem: str) -> None:
    """A header with a bad name or a bad value is refused."""
    with pytest.raises(InvalidArgumentError, match=problem):
        check_header(name, value)


@pytest.mark.parametrize(
    ("value", "canonical"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("::", "::"),
    ],
)
def test_ip(value: str, canonical: str) -> None:
    """Addresses of both versions pass, in their canonical form."""
    assert check_ip("ip", value) == canonical


@pytest.mark.parametrize("value", NO_ADDRESSES)
def test_no_ip(value: object) -> None:
    """What is no address for another machine is refused, without repeating it."""
    with pytest.raises(InvalidArgumentError, match=r"^ip must be an IPv4 or") as info:
        check_ip("ip", value)
    assert SECRET not in str(info.value)
    assert info.value.__cause__ is info.value.__context__ is None


@pytest.mark.parametrize("value", [1, 0.001, 30.0, sys.float_info.max])
def test_timeout(value: float) -> None:
    """A positive, finite number of seconds passes as it is."""
    assert is_duration(value)
    assert check_timeout(value) is value


@pytest.mark.parametrize("value", NO_DURATIONS)
def test_no_timeout(value: float) -> None:
    """What nobody can wait for is refused."""
    assert not is_duration(value)
    with pytest.raises(InvalidArgumentError, match=r"^timeout must be a positive"):
        check_timeout(value)


@pytest.mark.parametrize("least", [0, 1, 1000])
def test_count(least: int) -> None:
    """An integer is a count from the least on, as large as it may be."""
    # No constants, for which CPython might use one object.
    counts = [least - 1, int(f"{least}"), least + 1, 10**30]
    assert [is_count(value, least=least) for value in counts] == [False, *[True] * 3]


@pytest.mark.parametrize("value", [1.0, math.nan, True, "1", Decimal(1), None])
def test_no_count(value: object) -> None:
    """Only an integer is a count, and a boolean is none."""
    assert not is_count(value, least=0)
