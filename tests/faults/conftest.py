"""Wirings and the control group of the fault tests.

Each fault is tested on each built-in transport and on each event loop it works on.

With ``--plain-httpx`` (``nox -s faults_control``) the tests marked `fails_on_httpx` run
on plain httpx, without our code, and must fail there. This shows that the tests detect
the fault.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.plain_session import PlainSession
from tests.support.sessions import session_for
from tests.support.socket_server import Server
from tests.support.wirings import CONTROLS, WIRINGS, Connect


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that selects the control group."""
    parser.addoption("--plain-httpx", action="store_true", help="must fail without us")


def is_control(config: pytest.Config) -> bool:
    """Return whether the tests run on plain httpx."""
    # The option is unknown to pytest unless this folder is among its arguments.
    return bool(config.getoption("--plain-httpx", default=False))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test on all wirings."""
    if "wiring" in metafunc.fixturenames:
        wirings = CONTROLS if is_control(metafunc.config) else WIRINGS
        metafunc.parametrize("wiring", wirings, ids="-".join, scope="function")


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """In the control group, run only the marked tests and expect them to fail."""
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
    """Return the event loop for the test."""
    return wiring[0]


@pytest.fixture
def transport(wiring: tuple[str, str]) -> str:
    """Return the transport for the test."""
    return wiring[1]


@pytest.fixture
def connect(transport: str) -> Connect:
    """Return a function that makes sessions on this transport."""

    def make(server: Server, **options: Any) -> Any:
        if transport == "plain":
            return PlainSession(server, **options)
        return session_for(server, transport=transport, **options)

    return make
