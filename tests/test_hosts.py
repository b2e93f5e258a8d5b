"""Host names and addresses: their canonical form, and what is loopback."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plastiq_async._hosts import (
    allows_http,
    canonical_host,
    is_loopback,
    parse_address,
)

LOOPBACK = [
    "localhost",
    "LocalHost",
    "localhost.",
    "plastiq.localhost",
    "A.B.LOCALHOST.",
    "127.0.0.1",
    "127.255.255.254",
    "::1",
    "[::1]",
    "0:0:0:0:0:0:0:1",
    "0000:0000:0000:0000:0000:0000:0000:0001",
    "::ffff:127.0.0.1",
    "::FFFF:7f00:1",
    "[::ffff:127.9.9.9]",
]
NOT_LOOPBACK = [
    "",
    ".",
    "a.example",
    "notlocalhost",
    "localhost.a.example",
    "localhost..",
    ".localhost",
    "a..localhost",
    "a.example\\.localhost",
    "a.example%2f.localhost",
    "a.example:.localhost",
    "user@a.localhost",
    "127.0.0.1.",
    "127.0.0.1.a.example",
    "128.0.0.1",
    "10.0.0.1",
    "0.0.0.0",  # noqa: S104 -- nothing is bound
    "::",
    "::2",
    "::ffff:10.0.0.1",
    "2001:db8::1",
    "[localhost]",
    # Resolvers read these as 127.0.0.1, but not all HTTP libraries do.
    "127.1",
    "0x7f.0.0.1",
    "2130706433",
    "0177.0.0.1",
]


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback(host: str) -> None:
    """Loopback addresses in any notation and the names of RFC 6761 are loopback."""
    assert is_loopback(host)
    assert allows_http(host, frozenset())


@pytest.mark.parametrize("host", NOT_LOOPBACK)
def test_not_loopback(host: str) -> None:
    """Other hosts are not loopback, however similar they look."""
    assert not is_loopback(host)
    assert not allows_http(host, frozenset())
    assert not allows_http(host, frozenset({"plastiq-fake"}))


@given(st.integers(0x7F000000, 0x7FFFFFFF).map(IPv4Address))
def test_all_of_127(address: IPv4Address) -> None:
    """The whole of 127.0.0.0/8 is loopback, also mapped to IPv6."""
    assert is_loopback(str(address))
    assert is_loopback(f"::ffff:{address}")


@given(st.ip_addresses())
def test_other_addresses(address: IPv4Address | IPv6Address) -> None:
    """No address is loopback unless the standard library says so."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    assert is_loopback(str(address)) == (mapped or address).is_loopback
    assert parse_address(f"[{address.exploded}]") == (mapped or address)
    assert canonical_host(address.exploded.upper()) == str(mapped or address)


@pytest.mark.parametrize("host", [one for one in LOOPBACK if one[-1:].isdigit()])
def test_resolver(host: str) -> None:
    """The resolver leads a loopback address in each notation to this machine."""
    for *_, address in socket.getaddrinfo(host, 80):
        resolved = ip_address(address[0])
        mapped = resolved.ipv4_mapped if isinstance(resolved, IPv6Address) else None
        assert (mapped or resolved).is_loopback


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Plastiq-Fake", "plastiq-fake"),
        ("plastiq_fake.", "plastiq_fake"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
        ("FD00:0::1", "fd00::1"),
        ("[::ffff:10.0.0.1]", "10.0.0.1"),
        ("a" * 64 + ".example", None),
        (".".join(["a" * 50] * 6), None),
        ("http://plastiq-fake", None),
        ("plastiq-fake:8642", None),
        ("[::1]:8642", None),
        ("*.example", None),
        ("a b", None),
        ("a\n", None),
        ("\u00e9.example", None),
        ("\u212aelvin.example", None),
        ("", None),
        (".", None),
    ],
)
def test_canonical_host(text: str, host: str | None) -> None:
    """A host has one form, and what is no host has none."""
    assert canonical_host(text) == host


def test_allowed_hosts() -> None:
    """A host that is allowed may be written in any notation, but not extended."""
    allowed = frozenset({"plastiq-fake", "fd00::1"})
    for host in ("plastiq-fake", "PLASTIQ-FAKE.", "[fd00:0:0::1]", "localhost"):
        assert allows_http(host, allowed)
    for host in ("a.plastiq-fake", "plastiq-fake.example", "fd00::2", "fake", ""):
        assert not allows_http(host, allowed)
