"""Device cookie: a random ID by which a returning browser is recognised."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

import attrs

from plastiq_async.integrations._trace_ids import check_name

if TYPE_CHECKING:
    from collections.abc import Iterable

# Key of the `Device` in an ASGI scope or an aiohttp request.
DEVICE_KEY = "plastiq_async.integrations.device"
DEFAULT_NAME = "plastiq-device"
# Browsers keep no cookie longer.
_MAX_AGE = 400 * 24 * 60 * 60


@attrs.define
class Device:
    """The browser that sent a request.

    Attributes:
        id: The ID from the cookie, or a new one; None if there is none yet.
        new_id: The new ID, which the response must set as a cookie; None unless
            `ensure_id` has made one.
    """

    id: str | None
    new_id: str | None = None

    def ensure_id(self) -> str:
        """Return the ID; make a new one if there is none."""
        if self.id is None:
            self.id = self.new_id = secrets.token_hex(16)
        return self.id


class DeviceCookie:
    """Parser and formatter of the cookie.

    Args:
        name: The cookie's name.
        secure: Whether the cookie has the attribute ``Secure``. It is never derived
            from a request, because a proxy may use https towards the browser and http
            towards the app, and need not say so.

    Raises:
        ConfigurationError: `name` is not a valid name of a cookie.
    """

    def __init__(self, name: str, *, secure: bool) -> None:
        self._name = check_name("name", name)
        self._secure = secure
        # Other IDs are ignored, because the ID is sent to the API.
        self._pattern = re.compile(
            rf"(?:^|;)[ ]*{re.escape(name)}=([0-9a-f]{{32}})(?=;|$)"
        )

    def parse(self, values: Iterable[str]) -> Device:
        """Return the device of a request with these values of ``Cookie``."""
        for value in values:
            if found := self._pattern.search(value):
                return Device(found[1])
        return Device(None)

    def format(self, device_id: str) -> str:
        """Return the value of ``Set-Cookie`` that sets `device_id`."""
        attributes = f"Max-Age={_MAX_AGE}; Path=/; HttpOnly; SameSite=Lax"
        cookie = f"{self._name}={device_id}; {attributes}"
        return f"{cookie}; Secure" if self._secure else cookie
