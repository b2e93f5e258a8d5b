"""Networks of this host and a network namespace, which can lose every packet."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address

import attrs

from tests.support.programs import find_program

# RFC 2544 reserves these addresses for tests. Each process has four of its own.
_ADDRESSES = IPv4Address("198.18.0.0")
_NETWORKS = 1 << 15
# The hardware address of nobody.
_NOBODY = "02:00:00:00:00:99"


@attrs.frozen(kw_only=True)
class Network:
    """A network of this host and a namespace.

    Attributes:
        host: Address of the namespace.
        prefix: A command that runs the command which follows it in the namespace.
    """

    host: str
    prefix: tuple[str, ...]
    _name: str
    _link: str
    _own: str

    @contextmanager
    def losing_everything(self) -> Iterator[None]:
        """Lose every packet in both directions during the block, without an error."""
        self._change_neighbours("replace", "lladdr", _NOBODY, "nud", "permanent")
        try:
            yield
        finally:
            self._change_neighbours("del")

    def _change_neighbours(self, change: str, *settings: str) -> None:
        _ip("neigh", change, self.host, "dev", self._link, *settings)
        inside = ("neigh", change, self._own, "dev", self._link, *settings)
        _ip("-n", self._name, *inside)


@contextmanager
def network() -> Iterator[Network]:
    """Make a network for the duration of the block.

    Raises:
        OSError: It needs root and a kernel that has network namespaces.
    """
    number = os.getpid()
    name, link = f"plastiq-{number}", f"plq{number}"
    own = _ADDRESSES + 4 * (number % _NETWORKS) + 1
    host = own + 1
    with ExitStack() as stack:
        _ip("netns", "add", name)
        stack.callback(_ip, "netns", "delete", name)
        ends = ("type", "veth", "peer", "name", link, "netns", name)
        _ip("link", "add", link, *ends)
        # It would end with the namespace, too, but only some time later.
        stack.callback(_ip, "link", "delete", link)
        for address, options in ((own, ()), (host, ("-n", name))):
            _ip(*options, "address", "add", f"{address}/30", "dev", link)
            _ip(*options, "link", "set", link, "up")
        yield Network(
            host=str(host),
            prefix=("ip", "netns", "exec", name),
            name=name,
            link=link,
            own=str(own),
        )


def _ip(*arguments: str) -> None:
    """Run ``ip`` of iproute2."""
    command = (find_program("ip"), *arguments)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        msg = f"ip {' '.join(arguments)}: {done.stderr.strip()}"
        raise OSError(msg)
