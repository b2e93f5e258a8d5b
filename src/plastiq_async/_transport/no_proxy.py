"""``NO_PROXY``: the hosts that are reached without a proxy."""

import re
from ipaddress import ip_network

from plastiq_async._hosts import canonical_host, parse_address

# A host, perhaps in brackets, and a port. More colons are an IPv6 address.
_HOST_AND_PORT = re.compile(r"(\[.*\]|[^:]*):([0-9]{1,5})")


def is_exempt(host: str, port: int, no_proxy: str) -> bool:
    """Return whether one of the entries of `no_proxy` matches a host and its port.

    Entries are separated by commas. An entry is ``*``; a host name, which also stands
    for all names below it, with or without a leading dot; an IP address in any
    notation, which is compared as an address; or a network, such as ``10.0.0.0/8``. All
    but the network may be followed by a port.
    """
    return any(_matches(entry.strip(), host, port) for entry in no_proxy.split(","))


def _matches(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    address = parse_address(host)
    if address and "/" in entry:
        try:
            return address in ip_network(entry, strict=False)
        except ValueError:
            return False
    if parts := _HOST_AND_PORT.fullmatch(entry):
        entry = parts[1]
        if int(parts[2]) != port:
            return False
    other = parse_address(entry)
    if address or other:
        return address == other
    name = canonical_host(entry.removeprefix("."))
    return name is not None and f".{canonical_host(host)}".endswith(f".{name}")
