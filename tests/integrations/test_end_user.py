"""The end user of a request: IP address, user agent and device ID."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plastiq_async import ConfigurationError, EndUser
from plastiq_async.integrations._end_user import make_end_user


def end_user(**pieces: Any) -> EndUser:
    """Return the end user of a request with these properties."""
    nothing: dict[str, Any] = {
        "user_agents": [],
        "peer": None,
        "forwarded": [],
        "forwarded_header": "X-Forwarded-For",
        "trusted_proxies": 0,
        "device_id": None,
    }
    return make_end_user(**{**nothing, **pieces})


@pytest.mark.parametrize(
    ("peer", "ip"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:DB8:0::7", "2001:db8::7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        (None, None),
        ("", None),
        ("testclient", None),
        ("/run/app.sock", None),
        ("unix:", None),
        ("fe80::1%eth0", None),
    ],
)
def test_peer(peer: str | None, ip: str | None) -> None:
    """Without trusted proxies, the IP address is that of the peer, if it has one."""
    forged = ["198.51.100.66"]
    assert end_user(peer=peer, forwarded=forged).ip == ip


@pytest.mark.parametrize(
    ("entry", "ip"),
    [
        ("203.0.113.7", "203.0.113.7"),
        (" 203.0.113.7\t", "203.0.113.7"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("[::ffff:203.0.113.7]:80", "203.0.113.7"),
        ("::ffff:cb00:7107", "203.0.113.7"),
        ("", None),
        ("unknown", None),
        ("_hidden", None),
        ("localhost", None),
        ("203.0.113.256", None),
        ("203.0.113.07", None),
        ("203.0.113", None),
        ("2001:db8::7:::", None),
        ("[2001:db8::7", None),
        ("[]", None),
        ("203.0.113.7:80:80", None),
        ("fe80::1%eth0", None),
        ("3405803783", None),
        ("\u0662\u0660\u0663.\u0660.\u0661\u0661\u0663.\u0667", None),
        ("<script>" * 1000, None),
    ],
)
def test_entry(entry: str, ip: str | None) -> None:
    """A proxy's entry may have brackets and a port; an invalid address is dropped."""
    found = end_user(peer="10.0.0.1", forwarded=[entry], trusted_proxies=1)
    assert found == EndUser(ip=ip)


@pytest.mark.parametrize(
    ("proxies", "ip"),
    [
        (1, "198.51.100.4"),
        (2, "198.51.100.3"),
        (3, "198.51.100.2"),
        (4, "198.51.100.1"),
        (5, None),
        (10**9, None),
    ],
)
@pytest.mark.parametrize(
    ("header", "lines"),
    [
        (
            "X-Forwarded-For",
            ["198.51.100.1, 198.51.100.2,198.51.100.3 ,198.51.100.4"],
        ),
        (
            "X-Forwarded-For",
            ["198.51.100.1", "198.51.100.2, 198.51.100.3", "198.51.100.4"],
        ),
        (
            "Forwarded",
            [
                "for=198.51.100.1;proto=https;by=203.0.113.43, For=198.51.100.2",
                'host="a;for=192.0.2.1,for=192.0.2.2"; for="198.51.100.3:4711"',
                'proto=http;FOR="198.51.100.4";host=a.example:80 ',
            ],
        ),
    ],
)
def test_counted_from_the_right(
    header: str, lines: list[str], proxies: int, ip: str | None
) -> None:
    """Entries are counted from the right over all lines; too few give no address."""
    found = end_user(
        peer="10.0.0.1",
        forwarded=lines,
        forwarded_header=header,
        trusted_proxies=proxies,
    )
    assert found.ip == ip


@pytest.mark.parametrize(
    ("element", "ip"),
    [
        ("for=203.0.113.7", "203.0.113.7"),
        ('for="[2001:db8::7]:4711"', "2001:db8::7"),
        ('for="[2001:db8::7]:_port"', "2001:db8::7"),
        ("for=[2001:db8::7]", "2001:db8::7"),
        ("by=203.0.113.43;for=203.0.113.7", "203.0.113.7"),
        ("for=unknown", None),
        ('for="_gazonk"', None),
        ("proto=https", None),
        ("for=", None),
        ('for=""', None),
        ('for="203.0.113.7', None),
        ('for="203.0.113\\.7"', None),
        ("203.0.113.7", None),
        ("for = 203.0.113.7", None),
        (",", None),
        ("", None),
    ],
)
def test_forwarded_element(element: str, ip: str | None) -> None:
    """A Forwarded element is parsed as proxies write it; an invalid one is dropped."""
    found = end_user(
        forwarded=["for=192.0.2.1", element] if element else [],
        forwarded_header="Forwarded",
        trusted_proxies=1,
    )
    assert found.ip == ip


@pytest.mark.slow
@given(st.text('for="\\;,.:[]0123456789 \t_a', max_size=60), st.booleans())
def test_strangers_change_nothing(forged: str, same_line: bool) -> None:
    """Untrusted entries, even malformed ones, do not change which entry is used."""
    entries = {
        "X-Forwarded-For": ["203.0.113.7", "[2001:db8::1]:80"],
        "Forwarded": ['for=203.0.113.7;host="a,b"', 'for="[2001:db8::1]:80"'],
    }
    for header, added in entries.items():
        first = f"{forged}, {added[0]}"
        for proxies, ip in ((1, "2001:db8::1"), (2, "203.0.113.7")):
            found = end_user(
                forwarded=[f"{first}, {added[1]}"] if same_line else [first, added[1]],
                forwarded_header=header,
                trusted_proxies=proxies,
            )
            assert found.ip == ip


@pytest.mark.parametrize(
    "piece",
    [" ", ",", '"', "a", "\\", 'for="', "a=b;", ",a=", 'a="",', ", for=x ", " ; "],
)
def test_long_headers_take_no_time(piece: str) -> None:
    """Parsing a long header takes linear time."""
    started = time.process_time()
    line = piece * (60_000 // len(piece))
    for text in (line, f"{line}!", f"for={line}", f"for=a{line}!"):
        end_user(forwarded=[text], forwarded_header="Forwarded", trusted_proxies=3)
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("user_agents", "kept"),
    [
        (["Mozilla/5.0 (X11; Linux x86_64)"], "Mozilla/5.0 (X11; Linux x86_64)"),
        ([], None),
        ([""], None),
        (["a", "b"], None),
        (["Mozilla/5.0\r\nX: y"], None),
        (["na\xefve"], None),
        (["na\udcefve"], None),
    ],
)
def test_user_agent(user_agents: list[str], kept: str | None) -> None:
    """A user agent that cannot be sent as a header is dropped."""
    assert end_user(user_agents=user_agents) == EndUser(user_agent=kept)


def test_device_id() -> None:
    """The device ID is included if there is one."""
    assert end_user(device_id="a1").device_id == "a1"
    assert end_user() == EndUser()


@pytest.mark.parametrize("proxies", [-1, 1.0, "1", None, True])
def test_impossible_number_of_proxies(proxies: object) -> None:
    """An invalid number of proxies is rejected."""
    with pytest.raises(ConfigurationError, match=r"^trusted_proxies must be an int"):
        end_user(trusted_proxies=proxies)


@pytest.mark.parametrize("proxies", [0, 1])
def test_impossible_header(proxies: int) -> None:
    """An unsupported header is rejected, even if there are no trusted proxies."""
    with pytest.raises(
        ConfigurationError,
        match=r"^forwarded_header must be one of X-Forwarded-For, Forwarded$",
    ):
        end_user(forwarded_header="X-Real-IP", trusted_proxies=proxies)
