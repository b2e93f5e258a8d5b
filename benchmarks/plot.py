"""Bar chart of the results of ``python -m benchmarks.compare --json FILE``.

Run it as ``python -m benchmarks.plot FILE docs/benchmark.svg``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.candidates import CANDIDATES, OURS, OURS_AIOHTTP
from benchmarks.compare import LOOPBACK
from benchmarks.load import Cell

COLOURS = dict(
    zip(
        CANDIDATES, ("#0b6e4f", "#48a97f", "#b0413e", "#d98c5f", "#8a8d91"), strict=True
    )
)


def draw(cells: list[Cell], python: str) -> Figure:
    """Return a chart with a group of bars per concurrency, and a bar per client."""
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.add_subplot()
    concurrencies = sorted({cell.concurrency for cell in cells})
    width = 0.8 / len(CANDIDATES)
    for number, name in enumerate(CANDIDATES):
        heights = [cell.cpu_us for cell in cells if cell.candidate == name]
        middle = number - (len(CANDIDATES) - 1) / 2
        places = [place + middle * width for place in range(len(heights))]
        bars = axes.bar(places, heights, width, label=name, color=COLOURS[name])
        if name in {OURS, OURS_AIOHTTP}:
            axes.bar_label(bars, fmt="%.0f", fontsize=7)
    axes.set_xticks(range(len(concurrencies)), [f"{c} at once" for c in concurrencies])
    axes.set_ylabel("CPU microseconds per call")
    axes.set_title(f"Less is better; loopback, Python {python}", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=7)
    return figure


def main() -> None:
    """Read the results, and write the chart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument(
        "picture", type=Path, help="file to write; its suffix selects the format"
    )
    arguments = parser.parse_args()
    results = json.loads(arguments.results.read_text(encoding="utf-8"))
    cells = [Cell(**cell) for cell in results["cells"]]
    shown = sorted(
        (cell for cell in cells if cell.scenario == LOOPBACK),
        key=lambda cell: cell.concurrency,
    )
    figure = draw(shown, results["python"])
    figure.savefig(arguments.picture, dpi=110)


if __name__ == "__main__":
    main()
