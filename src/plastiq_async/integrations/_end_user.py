"""Who is at the browser, from what a request says; pure functions, no framework."""

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
"""Where proxies note from whom they have a request."""

# An address with a port, or with brackets.
_NODE = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::\w+)?|([0-9.]+):\w+")
# RFC 7239, section 4, but for backslashes, which no address needs; colons without
# quotes are wrong and common. The last element is looked for from the right: to its
# left may stand what a stranger sent, such as a quote that never ends.
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
    """Return the end user; what is missing or not valid is None.

    Args:
        user_agents: The values of ``User-Agent``; two of them are none.
        peer: The address of the connection's other end.
        forwarded: The values of the header `forwarded_header`, in their order.
        forwarded_header: Which header that is.
        trusted_proxies: How many proxies have each added an entry to it.
        device_id: As the cookie says.

    Raises:
        ConfigurationError: `trusted_proxies` or `forwarded_header` is not usable.
    """
    if type(trusted_proxies) is not int or trusted_proxies < 0:
        msg = "trusted_proxies must be an integer of 0 or more"
        raise ConfigurationError(msg)
    if forwarded_header not in _ENTRIES:
        msg = f"forwarded_header must be one of {', '.join(_ENTRIES)}"
        raise ConfigurationError(msg)
    client = peer
    if trusted_proxies:
        # The n-th from the right is what the outermost of n proxies saw. With fewer
        # entries, the request did not pass them all, and the peer is one of them.
        entries = _ENTRIES[forwarded_header](forwarded)
        client = next(islice(entries, trusted_proxies - 1, None), None)
    user_agent = user_agents[0] if len(user_agents) == 1 else None
    return EndUser(
        user_agent=user_agent if is_header_value(user_agent) else None,
        ip=_address(client),
        device_id=device_id,
    )


def _x_forwarded_for(lines: Sequence[str]) -> Iterator[str]:
    """Yield the entries of ``X-Forwarded-For``, the nearest proxy's first."""
    return reversed(",".join(lines).split(","))


def _forwarded(lines: Sequence[str]) -> Iterator[str | None]:
    """Yield who is named in ``Forwarded``, the nearest proxy's entry first."""
    for line in reversed(lines):
        rest = line
        while found := _LAST_ELEMENT.search(rest):
            pairs = {name.lower(): value for name, value in _PAIRS.findall(found[1])}
            yield pairs.get("for", "").strip('"')
            rest = rest[: found.start()]
        if rest.strip():
            # Not to be read: nothing further to the left can be counted, either.
            return


_ENTRIES = {"X-Forwarded-For": _x_forwarded_for, "Forwarded": _forwarded}


def _address(text: str | None) -> str | None:
    """Return the IP address that `text` begins with, in its canonical form."""
    text = (text or "").strip()
    if found := _NODE.fullmatch(text):
        text = found[1] or found[2]
    try:
        address = ip_address(check_ip("ip", text))
    except InvalidArgumentError:
        return None
    # A socket for both versions shows IPv4 clients like this.
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(address)
