"""The access token: where it comes from, and how it gets on a request."""

from collections.abc import AsyncGenerator, Awaitable, Callable

import anyio
import httpx

from plastiq_async._call import Call
from plastiq_async._validate import is_header_value
from plastiq_async.errors import ConfigurationError

TokenProvider = Callable[[], Awaitable[str]]
"""An async callable that returns the current access token."""


def check_token(name: str, token: object) -> str:
    """Return `token` if it can be a bearer token."""
    if not is_header_value(token) or " " in token:
        msg = f"{name} must be a string of visible ASCII characters, without blanks"
        raise ConfigurationError(msg)
    # str(token) would return the name of an enumeration's member.
    return str.__str__(token)


class TokenSource:
    """The access token of a session: fixed, or from a provider."""

    def __init__(self, token: str | TokenProvider) -> None:
        self._provider = None if isinstance(token, str) else token
        self.current = token if isinstance(token, str) else None
        self.renewable: bool = self._provider is not None
        self._lock: anyio.Lock | None = None

    async def renew(self, call: Call, refused: str | None) -> str:
        """Return a token other than `refused`, if the provider has another.

        One task asks the provider while the others wait for it.
        """
        if self._lock is None:
            # Not in __init__, since a lock belongs to the event loop it is made in.
            self._lock = anyio.Lock()
        async with self._lock:
            if self._provider and self.current == refused:
                try:
                    token = await self._provider()
                except Exception as error:
                    call.provider_error = error
                    raise
                name = "the access token that the provider returned"
                self.current = check_token(name, token)
            return self.current or ""


class BearerAuth(httpx.Auth):
    """``Authorization: Bearer ...`` for one attempt of a call.

    A 401 is answered once with a new token, since keys rotate.
    """

    def __init__(self, tokens: TokenSource, call: Call) -> None:
        self._tokens = tokens
        self._call = call

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send `request` with the token; after a 401, once more with a new one."""
        call, tokens = self._call, self._tokens
        token = call.token = tokens.current or await tokens.renew(call, None)
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED and tokens.renewable:
            call.token = await tokens.renew(call, token)
            if call.token != token:
                request.headers["Authorization"] = f"Bearer {call.token}"
                yield request
