"""Host names and IP addresses: one canonical form, and which of them are loopback."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

# Container networks have names with underscores, too.
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the IP address in `text`, with or without brackets, or None.

    An IPv4-mapped IPv6 address is returned as the IPv4 address to which it leads.
    """
    bare = text[1:-1] if text[:1] == "[" and text[-1:] == "]" else text
    try:
        address = ip_address(bare)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def canonical_host(text: str) -> str | None:
    """Return the one form of a host name or address, or None if it is neither."""
    if address := parse_address(text):
        return str(address)
    name = text.lower().removesuffix(".")
    # Some other characters have ASCII letters as their lower case.
    return name if text.isascii() and _NAME.fullmatch(name) else None


def is_loopback(host: str) -> bool:
    """Return whether `host` is this machine, so that nobody else can listen.

    Names are ``localhost`` and those below it, which RFC 6761 reserves. They are not
    resolved here, since their addresses could be others when the client connects.
    """
    if address := parse_address(host):
        return address.is_loopback
    return f".{canonical_host(host)}".endswith(".localhost")


def allows_http(host: str, http_hosts: frozenset[str]) -> bool:
    """Return whether the token may be sent to `host` in clear text.

    Args:
        host: The host of a URL.
        http_hosts: The canonical names of hosts that the developer allows.
    """
    return is_loopback(host) or canonical_host(host) in http_hosts
