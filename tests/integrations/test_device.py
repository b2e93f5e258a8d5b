"""The cookie by which a browser is known again."""

from __future__ import annotations

import re

import pytest

from plastiq_async.integrations._device import DeviceCookie, is_secure

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
def test_read(lines: list[str], known: str | None) -> None:
    """Only what was made here is taken from a request."""
    assert DeviceCookie("device").read(lines).known == known


def test_name_is_no_pattern() -> None:
    """A dot in the name is a dot."""
    assert DeviceCookie("d.x").read([f"dax={ID}"]).known is None
    assert DeviceCookie("d.x").read([f"d.x={ID}"]).known == ID


def test_made_when_asked_for() -> None:
    """Who is not known gets an ID, random and once, and who is known keeps theirs."""
    cookie = DeviceCookie("device")
    first, second, known = (cookie.read(lines) for lines in ([], [], [f"device={ID}"]))
    assert first.issued is None
    assert re.fullmatch(r"[0-9a-f]{32}", first.id)
    assert first.id == first.id == first.issued != second.id
    assert (known.id, known.issued) == (ID, None)


@pytest.mark.parametrize("secure", [True, False])
def test_write(secure: bool) -> None:
    """The browser keeps it for long, and shows it to no script and no other host."""
    written = DeviceCookie("device").write(ID, secure=secure)
    pair, *attributes = written.split("; ")
    assert pair == f"device={ID}"
    expected = ["Max-Age=34560000", "Path=/", "HttpOnly", "SameSite=Lax"]
    assert attributes == expected + ["Secure"] * secure


@pytest.mark.parametrize("scheme", ["http", "ws"])
@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "a.localhost", "127.0.0.1:80", "[::1]:80"]
)
def test_plain_loopback(scheme: str, host: str) -> None:
    """A developer's browser may have it without https."""
    assert not is_secure(scheme, [host], ["host", "cookie"])


@pytest.mark.parametrize(
    ("scheme", "hosts", "names"),
    [
        ("https", ["localhost"], []),
        ("wss", ["localhost"], []),
        ("http", ["a.example"], []),
        ("http", ["127.0.0.1.a.example"], []),
        ("http", ["localhost.a.example"], []),
        ("http", ["notlocalhost"], []),
        ("http", ["127.0.0.1@a.example"], []),
        ("http", ["128.0.0.1"], []),
        ("http", [], []),
        ("http", ["localhost", "localhost"], []),
        ("http", ["127.0.0.1:8000"], ["x-forwarded-for"]),
        ("http", ["127.0.0.1:8000"], ["x-forwarded-proto"]),
        ("http", ["127.0.0.1:8000"], ["forwarded"]),
        ("http", ["127.0.0.1:8000"], ["via"]),
    ],
)
def test_secure(scheme: str, hosts: list[str], names: list[str]) -> None:
    """Everybody else's is for https alone: a proxy may have taken it off."""
    assert is_secure(scheme, hosts, ["host", *names])
