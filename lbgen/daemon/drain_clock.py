"""How long each task or node has been draining, by this process's own clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

NO_AGES: Mapping[str, float] = {}


class DrainClock:
    """Remembers when each was first seen to drain, for as long as it does."""

    def __init__(self, grace: float, clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            grace: seconds to drain.
        """
        self.grace, self._clock = grace, clock
        self._since: dict[str, float] = {}
        self._expired: frozenset[str] = frozenset()

    def expired(self, draining: frozenset[str], ages: Mapping[str, float] = NO_AGES) -> frozenset[str]:
        """Note who drains now; return those whose grace is over.

        Args:
            ages: for how many seconds some of them have been draining already, by what outlives this process.
        """
        now = self._clock()
        self._since = {id_: self._since.get(id_, now - ages.get(id_, 0.0)) for id_ in draining}
        self._expired = frozenset(id_ for id_, since in self._since.items() if now >= since + self.grace)
        return self._expired

    def due(self) -> float | None:
        """Return when, by the clock, the next grace ends that `expired` has not reported, or None."""
        # Not "the next after now": one that ended during a round would never be reported.
        pending = (since + self.grace for id_, since in self._since.items() if id_ not in self._expired)
        return min(pending, default=None)
