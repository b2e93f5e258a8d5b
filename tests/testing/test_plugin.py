"""The pytest plugin, as an installed distribution brings it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from plastiq_async.testing import FakePlastiq

pytest_plugins = ["pytester"]


def test_fixture_gives_a_fake(fake_plastiq: FakePlastiq) -> None:
    """The fixture is there, and gives a fake that nobody has used."""
    assert type(fake_plastiq).__name__ == "FakePlastiq"
    assert fake_plastiq.requests == []


@pytest.mark.slow
def test_each_test_gets_its_own(pytester: pytest.Pytester) -> None:
    """A foreign test suite needs no setup, and its tests do not share a fake."""
    pytester.makepyfile(
        """
        def test_first(fake_plastiq):
            fake_plastiq.fail_next(500)
            assert fake_plastiq.pending_faults == 1

        def test_second(fake_plastiq):
            assert fake_plastiq.pending_faults == 0
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=2)


@pytest.mark.slow
def test_entry_point_imports_nothing_heavy() -> None:
    """What pytest imports at every start pulls in neither the client nor httpx."""
    code = (
        "import sys, pytest; before = set(sys.modules); import pytest_plastiq_async;"
        "print(sorted(set(sys.modules) - before))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "['pytest_plastiq_async']"
