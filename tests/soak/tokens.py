"""Access tokens that rotate, from a provider that sometimes fails."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import anyio
import attrs

from tests.support.ledger import Ledger


class TokenError(Exception):
    """The error that the token provider sometimes raises."""


@attrs.define(kw_only=True)
class Tokens:
    """The token provider of all sessions; each token is newer than the last.

    Attributes:
        failing: Whether the provider may raise an error.
    """

    ledger: Ledger
    random: random.Random
    failing: bool = True
    _latest: int = 0

    def for_session(self) -> Callable[[], Awaitable[str]]:
        """Return the provider of one session, which must not call it concurrently."""
        asking = False

        async def provide() -> str:
            nonlocal asking
            if asking:
                self.ledger.complain("a session asked twice for a token at once")
            asking = True
            try:
                await anyio.sleep(self.random.uniform(0, 0.02))
            finally:
                asking = False
            if self.failing and self.random.random() < 0.05:
                raise TokenError
            self._latest += 1
            return f"token-{self._latest}"

        return provide
