"""The cookie that identifies a returning browser."""

from __future__ import annotations

import re

import pytest

from plastiq_async.integrations._device import DeviceCookie

ID = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("lines", "known"),
    [
        ([f"device={ID}"], ID),
        ([f"a=b; device={ID}; c=d"], ID),
        (["a=b", f"device={ID}"], ID),
        ([f"device=forged; device={ID}"], ID),
        ([f"device={ID};"], ID),
        ([], None),
        ([""], None),
        (["device="], None),
        (["device=a1"], None),
        ([f"device={ID}0"], None),
        ([f"device={ID.upper()}"], None),
        ([f'device="{ID}"'], None),
        ([f"other-device={ID}"], None),
        ([f"device2={ID}"], None),
        ([f"a=device={ID}"], None),
        ([f"devicX={ID}"], None),
        ([f"device={ID}\r\nx: y"], None),
    ],
)
def test_parse(lines: list[str], known: str | None) -> None:
    """Only an ID in our own format is accepted from a request."""
    assert DeviceCookie("device", secure=True).parse(lines).id == known


def test_name_is_no_pattern() -> None:
    """The cookie name is matched literally, so a dot matches only a dot."""
    assert DeviceCookie("d.x", secure=True).parse([f"dax={ID}"]).id is None
    assert DeviceCookie("d.x", secure=True).parse([f"d.x={ID}"]).id == ID


def test_made_when_asked_for() -> None:
    """A new browser gets one random ID on request, and a known one keeps its ID."""
    cookie = DeviceCookie("device", secure=True)
    first, second, known = (cookie.parse(lines) for lines in ([], [], [f"device={ID}"]))
    assert first.id is None
    assert first.new_id is None
    assert re.fullmatch(r"[0-9a-f]{32}", first.ensure_id())
    assert first.ensure_id() == first.id == first.new_id != second.ensure_id()
    assert (known.ensure_id(), known.new_id) == (ID, None)


@pytest.mark.parametrize("secure", [True, False])
def test_format(secure: bool) -> None:
    """The cookie is long-lived, and hidden from scripts and other hosts."""
    written = DeviceCookie("device", secure=secure).format(ID)
    pair, *attributes = written.split("; ")
    assert pair == f"device={ID}"
    expected = ["Max-Age=34560000", "Path=/", "HttpOnly", "SameSite=Lax"]
    assert attributes == expected + ["Secure"] * secure
