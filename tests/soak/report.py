"""What is told of a soak in the end."""

from __future__ import annotations

from collections import Counter
from statistics import median

import attrs

# How much more there may be after the warm-up. The blocks are exact: what is kept of
# one call in a hundred shows. What the operating system sees goes up and down by
# Python's arenas of 1 MiB, and finds what is kept outside, by OpenSSL for one.
MOST_GROWTH = {"blocks": 2500, "rss_kb": 8192}


@attrs.frozen(kw_only=True)
class Vitals:
    """The process at one moment.

    Attributes:
        rss_kb: The memory that the operating system sees.
        blocks: How many pieces of memory Python's objects have.
        descriptors: How many files are open.
        tasks: How many tasks there are.
        connections: How many of them the server sees.
    """

    rss_kb: int
    blocks: int
    descriptors: int
    tasks: int
    connections: int

    def plus(self, *, connections: int, tasks: int) -> Vitals:
        """Return the most that there may be with so many connections and tasks."""
        return Vitals(
            rss_kb=self.rss_kb,
            blocks=self.blocks,
            descriptors=self.descriptors + connections,
            tasks=self.tasks + tasks,
            connections=self.connections + connections,
        )

    def beyond(self, most: Vitals) -> list[str]:
        """Return the names of what there is more of than there may be."""
        names = ("descriptors", "tasks", "connections")
        return [name for name in names if getattr(self, name) > getattr(most, name)]


@attrs.frozen(kw_only=True)
class Report:
    """What came of one wiring.

    Attributes:
        wiring: The event loop and the transport.
        seconds: For how long the callers called.
        outcomes: How many calls had which outcome after how many attempts.
        complaints: What was wrong, and how often.
        samples: The vitals before it all, whenever the callers rested, and after.
        seen: How many exchanges of each kind the server had.
    """

    wiring: str
    seconds: float
    outcomes: Counter[tuple[str, int]]
    complaints: Counter[str]
    samples: list[Vitals]
    seen: Counter[str]

    def growth(self, what: str) -> float:
        """Return by how much it grew: the medians of the first and the last quarter."""
        values: list[int] = [getattr(vitals, what) for vitals in self.samples[1:-1]]
        quarter = len(values) // 4 or 1
        return median(values[-quarter:]) - median(values[:quarter])

    @property
    def failures(self) -> list[str]:
        """What was wrong, in words; empty if the wiring is sound."""
        found = [f"{count} times: {what}" for what, count in self.complaints.items()]
        found += [
            f"{what} grew by {self.growth(what):.0f}"
            for what, most in MOST_GROWTH.items()
            if self.growth(what) > most
        ]
        return found

    def __str__(self) -> str:
        calls = self.outcomes.total()
        before, first, *_, last, after = self.samples
        lines = [
            f"### {self.wiring}: {'FAILED' if self.failures else 'OK'}",
            "",
            *(f"- {failure}" for failure in self.failures),
            f"{calls} calls, {calls / self.seconds:.0f} per second",
            "",
            "| outcome | calls | by attempts |",
            "|---|---|---|",
            *self._rows(),
            "",
            "| | RSS KB | blocks | descriptors | tasks | connections |",
            "|---|---|---|---|---|---|",
        ]
        for name, vitals in (
            ("before", before),
            ("first rest", first),
            ("last rest", last),
            ("after", after),
        ):
            figures = map(str, attrs.astuple(vitals))
            lines.append(f"| {name} | {' | '.join(figures)} |")
        seen = ", ".join(f"{name} {count}" for name, count in self.seen.most_common())
        grown = ", ".join(f"{what} {self.growth(what):+.0f}" for what in MOST_GROWTH)
        lines += ["", f"Growth after the warm-up, medians of quarters: {grown}"]
        return "\n".join([*lines, "", f"The server's side: {seen}", ""])

    def _rows(self) -> list[str]:
        by_outcome: dict[str, dict[int, int]] = {}
        for (outcome, attempts), count in sorted(self.outcomes.items()):
            by_outcome.setdefault(outcome, {})[attempts] = count
        return [
            f"| {outcome} | {sum(counts.values())} "
            f"| {', '.join(f'{n}: {count}' for n, count in counts.items())} |"
            for outcome, counts in by_outcome.items()
        ]
