"""Host names and IP addresses: one canonical form, and to which of them secrets go."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import SplitResult, urlsplit

from plastiq_async._validate import is_header_value

# httpx rejects URLs longer than 65,536 characters only when a request is built.
_MAX_URL_LENGTH = 2000

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
    """Return whether secrets may be sent to `host` in clear text.

    Args:
        host: The host of a URL.
        http_hosts: The canonical names of hosts that the developer allows.
    """
    return is_loopback(host) or canonical_host(host) in http_hosts


def find_url_problem(url: object, http_hosts: frozenset[str]) -> str | None:
    """Return why secrets cannot be sent to `url`, or None.

    Args:
        url: What should be an absolute URL without a query.
        http_hosts: The canonical names of hosts that the developer allows.
    """
    # urlsplit removes line breaks, and the host is sent in a header.
    if not is_header_value(url) or " " in url or len(url) > _MAX_URL_LENGTH:
        return f"must be a URL in printable ASCII, {_MAX_URL_LENGTH} long at most"
    try:
        parts = urlsplit(url)
        host = None if parts.port == 0 else parts.hostname
        # Event loops do this to connect, and not all of them handle a failure.
        (host or "").encode("idna")
        if "[" in parts.netloc:
            ip_address(host or "")  # before 3.11.4, urlsplit does not check it
    except ValueError:
        parts, host = SplitResult("", "", "", "", ""), None
    if not host or parts.scheme not in {"http", "https"}:
        return (
            "must be an absolute URL of http or https, with a valid host and a port, "
            "if any, between 1 and 65535"
        )
    if parts.username is not None or "?" in url or "#" in url:
        return "must have no user name, password, query or fragment"
    if parts.scheme == "http" and not allows_http(host, http_hosts):
        return "must be a URL of https: http is for loopback hosts only"
    return None
