"""The version of the installed package, looked up when first asked for."""

from __future__ import annotations

from functools import cache


@cache
def user_agent() -> bytes:
    """Return the User-Agent of calls that are made for no known end user."""
    from importlib.metadata import version  # noqa: PLC0415 -- slow to import

    return f"plastiq-async/{version('plastiq-async')}".encode()
