"""Markdown tables of the results."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import attrs

from benchmarks.candidates import AIOHTTP, HTTPX, OURS, OURS_AIOHTTP

if TYPE_CHECKING:
    from benchmarks.burst import Burst
    from benchmarks.load import Cell
    from benchmarks.overhead import Overhead

HEAD = """\
| C | client | CPU us per call | against httpx | against aiohttp | calls/s | p50 ms \
| p99 ms | server's CPU |
|---|---|---|---|---|---|---|---|---|"""


def _by_client(cells: list[Cell]) -> dict[str, Cell]:
    return {cell.candidate: cell for cell in cells}


def table(scenario: str, cells: list[Cell]) -> str:
    """Return the Markdown table of one scenario."""
    lines = [f"### {scenario}\n", HEAD]
    for concurrency, group in groupby(cells, key=lambda cell: cell.concurrency):
        clients = _by_client(list(group))
        for name, cell in clients.items():
            values = (
                f"{concurrency}",
                name,
                f"{cell.cpu_us:.0f}",
                f"{cell.cpu_us / clients[HTTPX].cpu_us:.2f}",
                f"{cell.cpu_us / clients[AIOHTTP].cpu_us:.2f}",
                f"{cell.per_second:.0f}",
                f"{cell.p50_ms:.2f}",
                f"{cell.p99_ms:.2f}",
                f"{cell.server_share:.0%}",
            )
            lines.append(f"| {' | '.join(values)} |")
    return "\n".join(lines) + "\n"


@attrs.frozen
class Goal:
    """A row of the table of goals.

    Attributes:
        what: The name of the measurement.
        value: The measured value.
        most: The goal, an upper limit.
        stretch: The stretch goal, a lower upper limit.
    """

    what: str
    value: float
    most: float
    stretch: float

    def line(self) -> str:
        """Return the row in Markdown."""
        met = "missed"
        if self.value <= self.most:
            met = "stretch" if self.value <= self.stretch else "met"
        figures = f"{self.value:.2f} | {self.most:g} | {self.stretch:g}"
        return f"| {self.what} | {figures} | {met} |"


# Client, client to compare with, concurrency, goal for the CPU ratio, stretch goal.
_RATIOS = (
    (OURS, HTTPX, 1, 1.05, 0.95),
    (OURS, HTTPX, 50, 0.5, 0.4),
    (OURS, HTTPX, 200, 0.4, 0.3),
    (OURS_AIOHTTP, HTTPX, 50, 0.25, 0.2),
    (OURS_AIOHTTP, AIOHTTP, 50, 3.0, 2.0),
)


def goals(cells: list[Cell], above: Overhead, bursts: list[Burst]) -> list[str]:
    """Return the lines of the table of goals.

    Args:
        cells: The results on loopback.
        above: The overhead of a call without a network.
        bursts: The bursts of each transport.
    """
    found = []
    for name, against, concurrency, most, stretch in _RATIOS:
        clients = _by_client([c for c in cells if c.concurrency == concurrency])
        if clients:
            what = f"CPU per call, {name} / {against}, C={concurrency}"
            ratio = clients[name].cpu_us / clients[against].cpu_us
            found.append(Goal(what, ratio, most, stretch))
    found.append(Goal("`create()` / `send`, no network", above.ratio, 2.3, 1.8))
    for burst in bursts:
        name = burst.transport
        found += (
            Goal(f"1000 at once, {name}: errors", burst.errors, 0, 0),
            Goal(f"1000 at once, {name}: seconds", burst.seconds, 1.5, 1.2),
            Goal(f"1000 at once, {name}: longest stall, ms", burst.stall_ms, 100, 100),
            Goal(
                f"{burst.waiting} at once, {name}: errors", burst.waiting_errors, 0, 0
            ),
            Goal(f"{burst.waiting} at once, {name}: KB each", burst.waiting_kb, 12, 6),
        )
    return [
        "### Goals\n",
        "| | measured | at most | stretch | |\n|---|---|---|---|---|",
        *(goal.line() for goal in found),
    ]
