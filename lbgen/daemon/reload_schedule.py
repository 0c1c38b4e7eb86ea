"""When a target may reload and save, and when it has something left to do."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from lbgen.base.backoff import Backoff

FIRST_RETRY, LONGEST_RETRY = 1.0, 60.0  # seconds until a failed apply is tried again
FREE = 4  # reloads whose workers may live on before the next ones are spaced wider
SHORTEST, LONGEST = 1.0, 60.0  # seconds between two reloads, from which and to which they are spaced wider
LONGEST_URGENT = 5.0  # seconds for one by which servers come or go


class ReloadSchedule:
    """Reloads, and saves after live changes, are spaced by an interval; what failed is retried with back-off.

    Reloads are spaced wider while many old workers live, which each of them would add to.
    """

    def __init__(self, interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            interval: seconds.
        """
        self.interval, self._clock = interval, clock
        self.retry = Backoff(FIRST_RETRY, LONGEST_RETRY, clock)
        self._last_reload: float | None = None
        self._last_save: float | None = None
        self._generations = 0.0  # how many reloads' workers live on
        self._due: float | None = None  # when something waits: a reload for its time, a removed server for its end

    def begin(self) -> None:
        """Start an attempt: whatever still waits after it is noted anew."""
        self._due = None
        self.retry.arrive()

    def due(self) -> float | None:
        """Return when, by the clock, something is left to do, or None."""
        return min((moment for moment in (self._due, self.retry.due) if moment is not None), default=None)

    def ask_again(self, seconds: float) -> None:
        """Have something left to do after so many seconds; what is due earlier stays due."""
        at = self._clock() + seconds
        self._due = at if self._due is None else min(self._due, at)

    def follow_up(self) -> None:
        """Have the rest of a partial change done next, unless that waits for a moment that is noted already."""
        if self._due is None:
            self.ask_again(0.0)

    def crowd(self, generations: float) -> None:
        """Space reloads by how many earlier ones' workers live on; what waits may be due earlier then.

        Args:
            generations: 2.0 if there are twice as many old workers as serve.
        """
        before, self._generations = self.spacing(urgent=False), generations
        if self._due is not None and self.spacing(urgent=False) < before:
            self.ask_again(0.0)

    def spacing(self, *, urgent: bool) -> float:
        """Return the seconds between two reloads.

        Args:
            urgent: servers come or go, so requests may be lost until then.
        """
        beyond = math.ceil(self._generations) - FREE
        if beyond <= 0:
            return self.interval
        # Doubled for each: a worker that comes every minute at last costs less than one that comes every second.
        wider = max(SHORTEST, self.interval) * 2.0 ** min(beyond, 10)
        return max(self.interval, min(wider, LONGEST_URGENT if urgent else LONGEST))

    def may_reload(self, *, spaced: bool, urgent: bool = False) -> bool:
        """Return whether a reload may be made now; if it has to wait, it is due later.

        Args:
            spaced: the interval counts; a retry has to wait for its time in any case.
            urgent: as for `spacing`.
        """
        wait = self._left(self._last_reload, self.spacing(urgent=urgent)) if spaced else 0.0
        return self._may(max(wait, self.retry.remaining()))

    def may_save(self) -> bool:
        """Return whether files may be saved now; if they have to wait, they are due later."""
        # Live changes come in bursts, and each check costs as much as a reload does.
        return self._may(self._left(self._last_save, self.interval))

    def reloading(self) -> None:
        """Note that a reload is made now."""
        self._last_reload = self._clock()

    def saving(self) -> None:
        """Note that files are saved now."""
        self._last_save = self._clock()

    def _may(self, wait: float) -> bool:
        if wait > 0:
            self.ask_again(wait)
        return wait <= 0

    def _left(self, last: float | None, interval: float) -> float:
        return 0.0 if last is None else last + interval - self._clock()
