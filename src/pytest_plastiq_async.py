"""The pytest plugin of plastiq-async: the fixture `fake_plastiq`.

pytest imports this module at every start. It imports only pytest, and everything
else when a test requests the fixture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from plastiq_async.testing import FakePlastiq

__all__ = ["fake_plastiq"]


@pytest.fixture
def fake_plastiq() -> FakePlastiq:
    """Return a new in-memory Plastiq Connect API for this test."""
    from plastiq_async.testing import FakePlastiq  # noqa: PLC0415 -- only on request

    return FakePlastiq()
