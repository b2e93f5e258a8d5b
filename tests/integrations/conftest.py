"""Fixtures for framework tests: ASGI servers, an API, sessions and the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from plastiq_async import PlastiqSession
from plastiq_async.integrations.asgi import TraceIdFilter
from plastiq_async.testing import FakePlastiq
from tests.support.uvicorn_server import in_uvicorn


@pytest.fixture(params=["uvicorn", "hypercorn"])
def server(request: pytest.FixtureRequest) -> str:
    """Run the test with each of the ASGI servers."""
    return str(request.param)


@pytest.fixture
def api() -> Iterator[FakePlastiq]:
    """Serve the fake API on a real socket, at its `base_url`."""
    fake = FakePlastiq()
    with in_uvicorn(fake.app, lifespan="off") as url:
        fake.base_url = f"{url}/api"
        yield fake


@pytest.fixture
def make_session(api: FakePlastiq) -> Callable[..., PlastiqSession]:
    """Make sessions with the fake API."""
    return partial(PlastiqSession, api.access_token, base_url=api.base_url)


@pytest.fixture
def records() -> Iterator[list[logging.LogRecord]]:
    """Collect all log records at INFO or above, each with its trace ID."""
    kept: list[logging.LogRecord] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.append(record)

    handler = Handler()
    handler.addFilter(TraceIdFilter())
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    yield kept
    root.removeHandler(handler)
    root.setLevel(before)


@pytest.fixture
def many_sockets() -> Iterator[None]:
    """Raise the limit of open files, because the test opens thousands of sockets."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
