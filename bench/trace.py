"""What a trace of requests says about an event. Pure functions: no clock, no network.

A request belongs to an event by when it was begun, so every request of a run is counted exactly once.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

# A request that took longer has met something that did not answer: a median one takes 1-3 ms here, the shortest
# connect timeout of any seat is 0.25 s.
SLOW = 0.2


class Request(NamedTuple):
    """One request and its outcome."""

    begun: float  # seconds since the epoch
    seconds: float
    outcome: str  # "ok" or the kind of failure
    who: str  # X-App of the application that answered, "-" for nobody

    @property
    def ended(self) -> float:
        return self.begun + self.seconds

    @property
    def failed(self) -> bool:
        return self.outcome != "ok"

    @property
    def slow(self) -> bool:
        return self.seconds > SLOW


@dataclass(slots=True)
class Count:
    """How many requests, by outcome."""

    sent: int = 0
    slow: int = 0  # of those that were answered well
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        return sum(self.failures.values())

    def add(self, other: Count) -> None:
        self.sent += other.sent
        self.slow += other.slow
        self.failures += other.failures

    def as_dict(self) -> dict[str, object]:
        return {"sent": self.sent, "failed": self.failed, "failures": dict(self.failures), "slow": self.slow}


def parsed(lines: Iterable[str]) -> list[Request]:
    """Read lines of a trace, see `client`."""
    found = []
    for line in lines:
        begun, seconds, outcome, who = line.split()
        found.append(Request(float(begun), float(seconds), outcome, who))
    return found


def within(requests: Iterable[Request], begin: float, end: float) -> list[Request]:
    """Requests that were begun in that time."""
    return [request for request in requests if begin <= request.begun < end]


def counted(requests: Iterable[Request]) -> Count:
    """Count requests by outcome."""
    count = Count()
    for request in requests:
        count.sent += 1
        if request.failed:
            count.failures[request.outcome] += 1
        elif request.slow:
            count.slow += 1
    return count


def first_answer(requests: Iterable[Request], who: str) -> float | None:
    """When the first answer of `who` was complete."""
    return min((request.ended for request in requests if request.who == who), default=None)


def last_request(requests: Iterable[Request], who: str) -> float | None:
    """When the last request that `who` answered was begun."""
    return max((request.begun for request in requests if request.who == who), default=None)


def last_disturbed(requests: Iterable[Request]) -> float | None:
    """When the last request was begun that failed or was held up."""
    return max((request.begun for request in requests if request.failed or request.slow), default=None)


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and extremes of some samples."""

    n: int
    median: float
    least: float
    most: float

    def as_dict(self) -> dict[str, float]:
        return {"n": self.n, "median": self.median, "min": self.least, "max": self.most}


def spread(samples: Sequence[float]) -> Spread | None:
    """Median and extremes; None without samples."""
    if not samples:
        return None
    return Spread(len(samples), statistics.median(samples), min(samples), max(samples))
