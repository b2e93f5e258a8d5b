"""`NO_PROXY`: what its entries match, compared with httpx."""

from __future__ import annotations

from ipaddress import ip_network

import httpx
import pytest
from httpx._utils import URLPattern, get_environment_proxies
from hypothesis import example, given
from hypothesis import strategies as st

from plastiq_async._transport.no_proxy import is_exempt


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "exempt"),
    [
        ("", "a.example", 443, False),
        (" , ,", "a.example", 443, False),
        ("*", "a.example", 443, True),
        ("b.example, *", "::1", 443, True),
        ("example", "a.example", 443, True),
        ("a.example", "a.example", 443, True),
        ("A.Example.", "a.example", 443, True),
        ("a.example", "a.example.", 443, True),
        ("a.example", "A.EXAMPLE", 443, True),
        ("a.example", "b.a.example", 443, True),
        (".a.example", "b.a.example", 443, True),
        (".a.example", "a.example", 443, True),
        ("b.example,a.example", "a.example", 443, True),
        ("a.example", "xa.example", 443, False),
        (".a.example", "xa.example", 443, False),
        ("b.a.example", "a.example", 443, False),
        ("a.example:443", "a.example", 443, True),
        ("a.example:443", "b.a.example", 443, True),
        ("a.example:8443", "a.example", 443, False),
        ("a.example:port", "a.example", 443, False),
        ("a.example:", "a.example", 443, False),
        ("127.0.0.1", "127.0.0.1", 443, True),
        ("127.0.0.1:443", "127.0.0.1", 443, True),
        ("127.0.0.1:444", "127.0.0.1", 443, False),
        ("0.0.1", "127.0.0.1", 443, False),
        ("::1", "::1", 443, True),
        ("[::1]", "::1", 443, True),
        ("[::1]:443", "::1", 443, True),
        ("[::1]:444", "::1", 443, False),
        ("0:0:0:0:0:0:0:1", "::1", 443, True),
        ("::1", "0:0::0:1", 443, True),
        ("::ffff:10.0.0.1", "10.0.0.1", 443, True),
        ("10.0.0.1", "::ffff:a00:1", 443, True),
        ("::2", "::1", 443, False),
        ("10.0.0.0/8", "10.255.0.1", 443, True),
        ("10.0.0.1/8", "10.255.0.1", 443, True),
        ("10.0.0.0/8", "11.0.0.1", 443, False),
        ("10.0.0.0/8", "::ffff:10.0.0.1", 443, True),
        ("fd00::/8", "fd12::1", 443, True),
        ("fd00::/8", "fe00::1", 443, False),
        ("10.0.0.0/8", "fd12::1", 443, False),
        ("10.0.0.0/33", "10.0.0.1", 443, False),
        ("10.0.0.0/8", "10.0.0.0.example", 443, False),
        ("a/8", "10.0.0.1", 443, False),
        ("127.0.0.1", "localhost", 443, False),
        ("https://a.example", "a.example", 443, False),
    ],
)
def test_entries(no_proxy: str, host: str, port: int, exempt: bool) -> None:
    """Names match with those below them, addresses and networks by their value."""
    assert is_exempt(host, port, no_proxy) is exempt


LABELS = st.sampled_from(["a", "b", "xa", "example"])
NAMES = st.lists(LABELS, min_size=2, max_size=4).map(".".join)
ADDRESSES = st.sampled_from(["10.0.0.1", "10.0.0.2", "::1", "2001:db8::1"])
ENTRIES = st.one_of(
    NAMES,
    NAMES.map(".{}".format),
    NAMES.map("{}:8443".format),
    ADDRESSES,
    st.just("*"),
    st.just(""),
)


@given(
    st.one_of(NAMES, ADDRESSES),
    st.sampled_from([8443, 9443]),
    st.lists(ENTRIES, max_size=4),
)
@example("::1", 8443, ["::1"])
@example("b.a.example", 8443, [".a.example"])
def test_as_httpx(host: str, port: int, entries: list[str]) -> None:
    """Wherever httpx defines what an entry matches, this is the same."""
    # httpx alone reads ".a.example" without a.example; requests and urllib do not.
    kept = [one for one in entries if one.removeprefix(".") != host or one == host]
    no_proxy = ", ".join(kept)
    authority = f"[{host}]" if ":" in host else host
    url = httpx.URL(f"https://{authority}:{port}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        patch.setenv("NO_PROXY", no_proxy)
        mounts = get_environment_proxies()
    patterns = sorted(map(URLPattern, mounts))
    first = next((one.pattern for one in patterns if one.matches(url)), "")
    direct = mounts.get(first) is None
    assert is_exempt(host, port, no_proxy) == direct


IPV4 = st.ip_addresses(v=4)


@given(IPV4, st.integers(0, 32), IPV4, st.sampled_from("46"))
def test_networks(address: object, length: int, other: object, version: str) -> None:
    """A network exempts exactly its addresses."""
    network = ip_network(f"{address}/{length}", strict=False)
    host = f"::ffff:{other}" if version == "6" else str(other)
    assert is_exempt(host, 443, f"{address}/{length}") == (other in network)
