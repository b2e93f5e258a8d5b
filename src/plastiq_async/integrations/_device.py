"""The cookie by which a browser is known again; no framework in here."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

import attrs

from plastiq_async.integrations._trace_ids import check_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Under which name a request keeps its `Device`: an ASGI scope, or aiohttp's request.
DEVICE = "plastiq_async.integrations.device"
DEFAULT_NAME = "plastiq-device"
# Browsers keep none longer.
_MAX_AGE = 400 * 24 * 60 * 60
_LOOPBACK = re.compile(
    r"(?:(?:[a-z0-9-]+\.)*localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]+)?",
    re.IGNORECASE,
)
_BY_PROXIES = ("forwarded", "via", "x-forwarded-")


@attrs.define
class Device:
    """The browser of one request.

    Attributes:
        known: The ID that it sent, or was given.
        issued: The ID that it was given, and that the answer must tell it.
    """

    known: str | None
    issued: str | None = None

    @property
    def id(self) -> str:
        """The ID; a new one is made when it is first asked for, and not before."""
        if self.known is None:
            self.known = self.issued = secrets.token_hex(16)
        return self.known


class DeviceCookie:
    """How the ID goes to the browser and comes back.

    Args:
        name: The cookie's name.

    Raises:
        ConfigurationError: `name` cannot be one.
    """

    def __init__(self, name: str) -> None:
        self._name = check_name("name", name)
        # What was not made here is not taken: it would go on to the API.
        self._pattern = re.compile(
            rf"(?:^|;)[ ]*{re.escape(name)}=([0-9a-f]{{32}})(?=;|$)"
        )

    def read(self, lines: Iterable[str]) -> Device:
        """Return the browser that sent these values of ``Cookie``."""
        for line in lines:
            if found := self._pattern.search(line):
                return Device(found[1])
        return Device(None)

    def write(self, device_id: str, *, secure: bool) -> str:
        """Return the value of ``Set-Cookie`` for a new ID."""
        attributes = f"Max-Age={_MAX_AGE}; Path=/; HttpOnly; SameSite=Lax"
        cookie = f"{self._name}={device_id}; {attributes}"
        return f"{cookie}; Secure" if secure else cookie


def is_secure(scheme: str, hosts: Sequence[str], header_names: Iterable[str]) -> bool:
    """Tell whether a cookie is for https alone.

    It is, but for a developer's own browser: not every browser keeps such a cookie for
    ``http://localhost``. The scheme alone does not tell, since a proxy may speak https
    to the browser and http to us.

    Args:
        scheme: The request's scheme, of HTTP or of WebSockets.
        hosts: The values of its ``Host``.
        header_names: The names of all its headers, in lower case.
    """
    if scheme not in {"http", "ws"} or not _LOOPBACK.fullmatch(",".join(hosts)):
        return True
    return any(name.startswith(_BY_PROXIES) for name in header_names)
