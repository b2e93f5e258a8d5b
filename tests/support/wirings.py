"""Combinations of an event loop and a transport that works on it."""

from __future__ import annotations

from collections.abc import Callable

from plastiq_async import PlastiqSession

# aiohttp works on asyncio only.
WIRINGS = [("asyncio", "httpx"), ("asyncio", "aiohttp"), ("trio", "httpx")]
CONTROLS = [("asyncio", "plain"), ("trio", "plain")]

Connect = Callable[..., PlastiqSession]
"""A function that makes a session for a server, with the given options."""
