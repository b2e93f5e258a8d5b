"""The window of `Bulk`: how many requests are held, round by round."""

from __future__ import annotations

import pytest

from plastiq_async._window import Window


def fetch(window: Window, *, waited: bool, left: int = 0, full: bool = True) -> int:
    """Fetch an outcome, and return the size of the window after it."""
    window.record_fetch(waited=waited, full=full, left=left)
    return window.size


@pytest.mark.parametrize(("limit", "size"), [(1, 1), (3, 3), (4, 4), (100, 4)])
def test_first_size(limit: int, size: int) -> None:
    """A window starts small."""
    assert Window(limit).size == size


def test_consumer_that_waits_each_time() -> None:
    """Each outcome that was waited for adds one, up to the limit."""
    window = Window(7)
    assert [fetch(window, waited=True) for _ in range(5)] == [5, 6, 7, 7, 7]


def test_outcomes_in_bursts() -> None:
    """If a burst is fetched until none is left, the next wait doubles the window."""
    window = Window(100)
    sizes = []
    for _ in range(5):
        for left in reversed(range(1, window.size)):
            fetch(window, waited=False, left=left)
        sizes.append(fetch(window, waited=True))
    assert sizes == [8, 16, 32, 64, 100]


def test_wait_for_a_request() -> None:
    """To wait for an outcome because there is no request does not add to the window."""
    window = Window(100)
    assert [fetch(window, waited=True, full=False) for _ in range(9)] == [4] * 9


@pytest.mark.parametrize(
    ("lefts", "size"),
    [
        ([3, 3, 3, 3], 2),
        ([3, 2, 1, 3], 3),
        ([1, 1, 1, 1], 3),
        ([3, 3, 3, 0], 4),
        ([9, 9, 9, 9], 1),
    ],
)
def test_outcomes_that_wait(lefts: list[int], size: int) -> None:
    """Half of what lies there through a round of no waits is taken from the window."""
    window = Window(100)
    sizes = [fetch(window, waited=False, left=left) for left in lefts]
    assert sizes == [4, 4, 4, size]


def test_rounds_are_independent() -> None:
    """What lay there in an earlier round does not count in the next."""
    window = Window(100)
    fetch(window, waited=False, left=0)
    fetch(window, waited=True)  # ends the round
    assert window.size == 6
    for _ in range(6):
        fetch(window, waited=False, left=5)
    assert window.size == 3
