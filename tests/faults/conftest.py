"""Every fault on each built-in transport, and on each event loop that it works on.

With ``--plain-httpx`` (``nox -s faults_control``) the tests that are marked with
``fails_on_httpx`` run on a client without any of our code, and must fail there: a test
that passes with whatever client it is given would prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from plastiq_async import PlastiqSession
from tests.faults.plain import PlainSession
from tests.helpers import session_for
from tests.servers import Server

# httpx-aiohttp is for asyncio by nature.
WIRINGS = [("asyncio", "httpx"), ("asyncio", "aiohttp"), ("trio", "httpx")]
CONTROLS = [("asyncio", "plain"), ("trio", "plain")]

Connect = Callable[..., PlastiqSession]
"""Takes a server and the options of a session; returns a session with the server."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer the control of the experiment."""
    parser.addoption("--plain-httpx", action="store_true", help="must fail without us")


def is_control(config: pytest.Config) -> bool:
    """Tell whether the tests run on the client without our code."""
    # The default: without this folder as an argument, the option is not even known.
    return bool(config.getoption("--plain-httpx", default=False))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test on all wirings."""
    if "wiring" in metafunc.fixturenames:
        wirings = CONTROLS if is_control(metafunc.config) else WIRINGS
        metafunc.parametrize("wiring", wirings, ids="-".join, scope="function")


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Under control, expect every test that has something to prove to fail."""
    if not is_control(config):
        return
    marked = [item for item in items if item.get_closest_marker("fails_on_httpx")]
    config.hook.pytest_deselected(items=[item for item in items if item not in marked])
    items[:] = marked
    for item in items:
        expected = item.get_closest_marker("fails_on_httpx")
        assert expected is not None
        item.add_marker(pytest.mark.xfail(strict=True, **expected.kwargs))


@pytest.fixture
def anyio_backend(wiring: tuple[str, str]) -> str:
    """Run the test on this event loop."""
    return wiring[0]


@pytest.fixture
def transport(wiring: tuple[str, str]) -> str:
    """Use this transport in the test."""
    return wiring[1]


@pytest.fixture
def connect(transport: str) -> Connect:
    """Make sessions on this transport."""

    def make(server: Server, **options: Any) -> Any:
        if transport == "plain":
            return PlainSession(server, **options)
        return session_for(server, transport=transport, **options)

    return make
