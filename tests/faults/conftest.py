"""Every fault on each built-in transport, and on each event loop that it works on."""

from __future__ import annotations

import pytest

# httpx-aiohttp is for asyncio by nature.
WIRINGS = [("asyncio", "httpx"), ("asyncio", "aiohttp"), ("trio", "httpx")]


@pytest.fixture(params=WIRINGS, ids="-".join)
def wiring(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Choose an event loop and a transport."""
    backend, transport = request.param
    return backend, transport


@pytest.fixture
def anyio_backend(wiring: tuple[str, str]) -> str:
    """Run the test on this event loop."""
    return wiring[0]


@pytest.fixture
def transport(wiring: tuple[str, str]) -> str:
    """Use this transport in the test."""
    return wiring[1]
