"""The fake of the tests of listings."""

from __future__ import annotations

import pytest

from tests.testing.widgets import FakeWithWidgets


@pytest.fixture
def fake() -> FakeWithWidgets:
    """Return a fake with five widgets, called 0 to 4."""
    fake = FakeWithWidgets()
    for number in range(5):
        fake.add_widget(str(number))
    return fake
