"""`make_end_user`: the end user of a request, from its headers and peer address."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from itertools import islice
from typing import TYPE_CHECKING, Literal

from plastiq_async._validate import check_ip, is_header_value
from plastiq_async.errors import ConfigurationError, InvalidArgumentError
from plastiq_async.models import EndUser

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ForwardedHeader = Literal["X-Forwarded-For", "Forwarded"]
"""The headers to which proxies append the address of their peer."""

# An address with a port or in brackets.
_ADDRESS_WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::\w+)?|([0-9.]+):\w+")
# RFC 7239, section 4, without backslashes, which no address needs. Unquoted colons are
# invalid and common. Elements are matched from the right, because elements further left
# are untrusted and may contain, for example, an unclosed quote.
_PAIR = r"""([!#$%&'*+.^_`|~0-9A-Za-z-]+)=("[^"\\]*"|[^\s"\\,;]+)"""
_PAIRS = re.compile(_PAIR)
_LAST_ELEMENT = re.compile(rf"(?:^|,)[ \t]*({_PAIR}(?:[ \t]*;[ \t]*{_PAIR})*)[ \t]*$")


def make_end_user(
    *,
    user_agents: Sequence[str],
    peer: str | None,
    forwarded: Sequence[str],
    forwarded_header: ForwardedHeader,
    trusted_proxies: int,
    device_id: str | None,
) -> EndUser:
    """Return the end user; missing and invalid values are None.

    Args:
        user_agents: The values of ``User-Agent``; ignored if there are several.
        peer: The peer address of the connection.
        forwarded: The values of the header `forwarded_header`, in order.
        forwarded_header: The header to which the proxies append addresses.
        trusted_proxies: The number of trusted proxies in front of the app.
        device_id: The ID from the device cookie.

    Raises:
        ConfigurationError: `trusted_proxies` or `forwarded_header` is not valid.
    """
    if type(trusted_proxies) is not int or trusted_proxies < 0:
        msg = "trusted_proxies must be an integer of 0 or more"
        raise ConfigurationError(msg)
    if forwarded_header not in _ENTRY_PARSERS:
        msg = f"forwarded_header must be one of {', '.join(_ENTRY_PARSERS)}"
        raise ConfigurationError(msg)
    client = peer
    if trusted_proxies:
        # The outermost of n proxies appended the n-th entry from the right. If there
        # are fewer entries, the client is unknown, and the peer may be a proxy.
        entries = _ENTRY_PARSERS[forwarded_header](forwarded)
        client = next(islice(entries, trusted_proxies - 1, None), None)
    user_agent = user_agents[0] if len(user_agents) == 1 else None
    return EndUser(
        user_agent=user_agent if is_header_value(user_agent) else None,
        ip=_parse_address(client),
        device_id=device_id,
    )


def _parse_x_forwarded_for(values: Sequence[str]) -> Iterator[str]:
    """Return the entries of ``X-Forwarded-For``, from right to left."""
    return reversed(",".join(values).split(","))


def _parse_forwarded(values: Sequence[str]) -> Iterator[str | None]:
    """Yield the ``for`` parameters of ``Forwarded``, from right to left."""
    for value in reversed(values):
        rest = value
        while found := _LAST_ELEMENT.search(rest):
            pairs = {name.lower(): text for name, text in _PAIRS.findall(found[1])}
            yield pairs.get("for", "").strip('"')
            rest = rest[: found.start()]
        if rest.strip():
            # Entries left of an invalid one cannot be counted.
            return


_ENTRY_PARSERS = {
    "X-Forwarded-For": _parse_x_forwarded_for,
    "Forwarded": _parse_forwarded,
}


def _parse_address(text: str | None) -> str | None:
    """Return the IP address in `text`, without port, or None if it is not valid."""
    text = (text or "").strip()
    if found := _ADDRESS_WITH_PORT.fullmatch(text):
        text = found[1] or found[2]
    try:
        address = ip_address(check_ip("ip", text))
    except InvalidArgumentError:
        return None
    # A dual-stack socket reports an IPv4 peer as an IPv4-mapped IPv6 address.
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(address)
