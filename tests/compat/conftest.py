"""The settings of the sessions in the tests of other tools.

`nox -s compat` runs these tests. `pyproject.toml` leaves the folder out of the
collection, because their packages are in the dependency group `compat` only: without
one of them, these tests fail instead of being skipped.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plastiq_async.testing import FakePlastiq
from tests.support.uvicorn_server import in_uvicorn


@pytest.fixture
def base_url(fake_plastiq: FakePlastiq) -> Iterator[str]:
    """Serve the fake on a socket, and return the base URL."""
    with in_uvicorn(fake_plastiq.app, lifespan="off") as url:
        yield f"{url}/api"
