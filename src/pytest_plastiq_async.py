"""The pytest plugin of plastiq-async: the fixture `fake_plastiq`.

pytest imports this module at every start, so it imports nothing but pytest;
the rest waits until a test asks for the fixture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from plastiq_async.testing import FakePlastiq

__all__ = ["fake_plastiq"]


@pytest.fixture
def fake_plastiq() -> FakePlastiq:
    """Give the test a Plastiq Connect of its own, in memory."""
    from plastiq_async.testing import FakePlastiq  # noqa: PLC0415

    return FakePlastiq()
