"""The access token: where it comes from, and how it gets on a request."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from inspect import isawaitable
from types import TracebackType
from typing import TypeGuard

import anyio
import attrs
import httpx

from plastiq_async._call import Call
from plastiq_async._hooks import is_stray, name_hook, stray_cancellation, wrong_result
from plastiq_async._secrets import hide
from plastiq_async._validate import is_header_value
from plastiq_async.errors import ConfigurationError, HookError

TokenProvider = Callable[[], str | Awaitable[str]]
"""A callable, async or not, that returns the current access token."""

_EXPECTED = "a string of visible ASCII characters, without blanks"


def check_token(name: str, token: object) -> str:
    """Return `token` if it can be a bearer token."""
    if not _is_token(token):
        raise ConfigurationError(f"{name} must be {_EXPECTED}")
    return hide(token)


def _is_token(token: object) -> TypeGuard[str]:
    return is_header_value(token) and " " not in token


class TokenSource:
    """The access token of a session: fixed, or from a provider."""

    def __init__(self, token: str | TokenProvider) -> None:
        self._provider = None if isinstance(token, str) else token
        self.current = token if isinstance(token, str) else None
        self.renewable: bool = self._provider is not None
        self._refresh: _Refresh | None = None

    async def renew(self, call: Call, refused: str | None) -> str:
        """Return a token other than `refused`, if the provider has another.

        The first caller asks the provider, and its result is that of all callers who
        wait meanwhile. If it is cancelled, the next one asks.
        """
        while self._provider and self.current == refused:
            call.waiting_for = "the token provider"
            refresh = self._refresh
            if refresh is None:
                refresh = self._refresh = _Refresh()
                try:
                    await refresh.run(self._provider)
                    if refresh.token:
                        self.current = refresh.token
                finally:
                    self._refresh = None
                    refresh.done.set()
            else:
                await refresh.done.wait()
            call.waiting_for = None
            if refresh.ended:
                refresh.raise_failure(call)
                break
        return self.current or ""


@attrs.define(eq=False)
class _Refresh:
    """One request to the token provider, for all who wait for it.

    Attributes:
        done: Set when it has ended or was cancelled.
        ended: Whether it has ended.
        token: The token that the provider returned.
    """

    done: anyio.Event = attrs.field(factory=anyio.Event)
    ended: bool = False
    token: str | None = None
    _error: Exception | None = None
    _traceback: TracebackType | None = None
    _broken: HookError | None = None

    async def run(self, provider: TokenProvider) -> None:
        """Ask the provider, and keep its token or its failure."""
        try:
            token: object = provider()
            if isawaitable(token):
                token = await token
        except anyio.get_cancelled_exc_class() as error:
            if not is_stray(error):
                raise
            self._broken = stray_cancellation(name_hook("token provider", provider))
            self._broken.__cause__ = error
        except Exception as error:  # noqa: BLE001 -- raised by all who wait
            self._error, self._traceback = error, error.__traceback__
        else:
            if _is_token(token):
                self.token = hide(token)
            else:
                self._broken = wrong_result(
                    "token provider", provider, token, _EXPECTED
                )
        self.ended = True

    def raise_failure(self, call: Call) -> None:
        """Raise what the provider raised, or the error of its broken contract."""
        if self._broken:
            # Each call has its own, since it says which call it ended.
            raise HookError(self._broken.args[0]) from self._broken.__cause__
        if self._error:
            call.hook_error = self._error
            # As asyncio.Future does for several waiters: the same exception, so that it
            # is the provider's own, without the frames of the others.
            raise self._error.with_traceback(self._traceback)


class BearerAuth(httpx.Auth):
    """``Authorization: Bearer ...`` for one attempt of a call.

    A 401 is answered once with a new token, since keys rotate.

    Args:
        tokens: The access token.
        call: The call.
        keep_pace: Waits until another request may be sent, and returns whether it may.
    """

    def __init__(
        self,
        tokens: TokenSource,
        call: Call,
        keep_pace: Callable[[Call], Awaitable[bool]],
    ) -> None:
        self._tokens = tokens
        self._call = call
        self._keep_pace = keep_pace

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
            if call.token != token and await self._keep_pace(call):
                request.headers["Authorization"] = f"Bearer {call.token}"
                yield request
