"""How often things happened and how long they took: plain numbers, each written by one thread, read by any.

Neither locks nor a metrics library, so that counting costs nothing; `status/metrics.py` translates when it is asked.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

# Upper bounds in seconds, inclusive: from the quickest live change to what is no longer worth telling apart.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(slots=True)
class Histogram:
    """How long something took, each time it happened."""

    times: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))  # by bound; the last: longer than all
    total: float = 0.0  # seconds

    def add(self, seconds: float) -> None:
        """Add one."""
        self.times[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


class Counters:
    """Counts by what happened, and by which kind of it: few kinds, known beforehand, never free text."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}
        self._histograms: dict[tuple[str, str], Histogram] = {}

    def count(self, what: str, which: str = "") -> None:
        """Count one more."""
        self._counts[what, which] = self._counts.get((what, which), 0) + 1

    def observe(self, what: str, seconds: float, which: str = "") -> None:
        """Count one more, and how long it took."""
        self._histograms.setdefault((what, which), Histogram()).add(seconds)

    def counts(self, what: str) -> dict[str, int]:
        """Return how often, by kind; kinds that never happened are not in it."""
        return {which: number for (name, which), number in self._counts.copy().items() if name == what}

    def histograms(self, what: str) -> dict[str, Histogram]:
        """Return how long it took, by kind; kinds that never happened are not in it."""
        return {which: histogram for (name, which), histogram in self._histograms.copy().items() if name == what}
