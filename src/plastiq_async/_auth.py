"""The access token on each request."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable

import anyio
import httpx

from plastiq_async._call import Call, call_of
from plastiq_async._validate import is_header_value
from plastiq_async.errors import ConfigurationError

TokenProvider = Callable[[], Awaitable[str]]
"""An async callable that returns the access token of the moment."""


def check_token(name: str, token: object) -> str:
    """Return `token` if it can be a bearer token.

    Args:
        name: What to call it in the error.
        token: What to check.

    Raises:
        ConfigurationError: It is no string of visible ASCII characters.
    """
    if not is_header_value(token) or " " in token:
        msg = f"{name} must be a string of visible ASCII characters, without blanks"
        raise ConfigurationError(msg)
    # Not str(token), which of a member of an enumeration gives the name.
    return str.__str__(token)


class BearerAuth(httpx.Auth):
    """``Authorization: Bearer ...``, from a fixed token or from a provider.

    A provider is asked at the first request, and once more after a 401, since keys
    rotate: by one task, while the others that need the new token wait.

    Args:
        token: The token, valid already, or the provider of it.
    """

    def __init__(self, token: str | TokenProvider) -> None:
        self._provider = None if isinstance(token, str) else token
        self._token = token if isinstance(token, str) else None
        self._lock: anyio.Lock | None = None

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send `request` with the token; after a 401 once more with a new one."""
        call = call_of(request)
        token = call.token = self._token or await self._renew(call, None)
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED and self._provider:
            call.token = await self._renew(call, token)
            if call.token != token:
                request.headers["Authorization"] = f"Bearer {call.token}"
                yield request

    async def _renew(self, call: Call, refused: str | None) -> str:
        """Return a token other than the `refused` one, if the provider has another."""
        if self._lock is None:
            # Only now, since it belongs to the event loop in which it is made.
            self._lock = anyio.Lock()
        async with self._lock:
            if self._provider and self._token == refused:
                try:
                    token = await self._provider()
                except Exception as error:
                    # Even one of our own classes is not this call's, nor retried.
                    call.provider_error = error
                    raise
                name = "the access token that the provider returned"
                self._token = check_token(name, token)
            return self._token or ""
