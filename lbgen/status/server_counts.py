"""How many servers a proxy sees in which state: what an edge tells its hub. A proxy is asked at a bounded pace."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from lbgen.daemon.target import Target

PAUSE = 5.0  # seconds between two questions to a proxy
SHARE = 20  # times as long as its last answer took is a proxy left alone, so that no slow one holds reports up for long
STATES = ("up", "down", "drain", "maint", "other")
_WORDS = {"nolb": "drain"}  # HAProxy's for a server that a check has taken out, and that keeps its sessions


@dataclass
class _Asked:
    """One proxy."""

    counts: Mapping[str, int] = field(default_factory=dict)
    due: float = float("-inf")  # by the clock
    asking: threading.Lock = field(default_factory=threading.Lock)


class ServerCounts:
    """The counts of each target; safe in several threads, none of which waits for another's question."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._targets = clock, dict[str, _Asked]()

    def of(self, target: Target) -> dict[str, int]:
        """Return state -> number of servers; nothing where the proxy does not tell. May wait for the proxy."""
        asked = self._targets.setdefault(target.name, _Asked())
        if target.running is None:  # it serves none of lbgen's yet, or another lbgen's
            return {}
        if asked.asking.acquire(blocking=False):
            try:
                began = self._clock()
                if asked.due <= began:
                    asked.counts = counted(each.state for each in target.proxy.seen().values())
                    ended = self._clock()
                    asked.due = ended + max(PAUSE, SHARE * (ended - began))
            finally:
                asked.asking.release()
        return dict(asked.counts)


def counted(states: Iterable[str]) -> dict[str, int]:
    """Count states in proxies' own words ("up 1/3", "down (agent)") by the words of `STATES`; without zeros."""
    words = [state.partition(" ")[0] for state in states]
    known = Counter(word if word in STATES else _WORDS.get(word, "other") for word in words)
    return {state: known[state] for state in STATES if known[state]}
