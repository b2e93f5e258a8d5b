"""The report of a soak test."""

from __future__ import annotations

from collections import Counter
from statistics import median

import attrs

# Maximum growth after the warm-up. Blocks are exact, so that a leak in one call of a
# hundred shows. The resident set varies by Python's arenas of 1 MiB, but includes
# memory allocated outside of Python, by OpenSSL for example.
MOST_GROWTH = {"blocks": 2500, "rss_kb": 8192}


@attrs.frozen(kw_only=True)
class Vitals:
    """Resource usage of the process at one moment.

    Attributes:
        rss_kb: Resident set size in KiB.
        blocks: Number of memory blocks that Python has allocated.
        descriptors: Number of open file descriptors.
        tasks: Number of tasks.
        connections: Number of open connections that the server sees.
    """

    rss_kb: int
    blocks: int
    descriptors: int
    tasks: int
    connections: int

    def plus(self, *, connections: int, tasks: int) -> Vitals:
        """Return the limits for so many more connections and tasks."""
        return Vitals(
            rss_kb=self.rss_kb,
            blocks=self.blocks,
            descriptors=self.descriptors + connections,
            tasks=self.tasks + tasks,
            connections=self.connections + connections,
        )

    def beyond(self, most: Vitals) -> list[str]:
        """Return the names of the values that exceed those of `most`."""
        names = ("descriptors", "tasks", "connections")
        return [name for name in names if getattr(self, name) > getattr(most, name)]


@attrs.frozen(kw_only=True)
class Report:
    """The result of a soak test of one wiring.

    Attributes:
        wiring: The event loop and the transport.
        seconds: Duration of the calls.
        outcomes: Number of calls by outcome and number of attempts.
        complaints: Number of occurrences of each problem.
        samples: The vitals before the soak, at each rest, and after it.
        seen: Number of exchanges of each kind at the server.
    """

    wiring: str
    seconds: float
    outcomes: Counter[tuple[str, int]]
    complaints: Counter[str]
    samples: list[Vitals]
    seen: Counter[str]

    def growth(self, what: str) -> float:
        """Return the growth from the first quarter's median to that of the last."""
        values: list[int] = [getattr(vitals, what) for vitals in self.samples[1:-1]]
        quarter = len(values) // 4 or 1
        return median(values[-quarter:]) - median(values[:quarter])

    @property
    def failures(self) -> list[str]:
        """Return descriptions of the problems; empty if there are none."""
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
