"""How many old workers a proxy has: looked at where a reload would add some, and while there are any.

A reload leaves workers that finish their connections: downloads, websockets. Each has the whole configuration in
memory, so many of them cost more than the proxy itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from lbgen.base.logs import log
from lbgen.daemon.reload_schedule import FREE, ReloadSchedule
from lbgen.proxies.proxy import Proxy

LOOK_INTERVAL = 5.0  # seconds between two looks while there are any


class OldWorkers:
    """Counts one proxy's old workers, and has its reloads spaced by their number."""

    def __init__(
        self, target: str, proxy: Proxy, schedule: ReloadSchedule, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Args:
            target: its name, for the log.
        """
        self.number: int | None = None  # as last counted; None: they cannot be seen
        self._target, self._proxy, self._schedule, self._clock = target, proxy, schedule, clock
        self._due: float | None = None
        self._told = False  # that reloads are spaced wider

    def due(self) -> float | None:
        """Return when, by the clock, another look is due, or None."""
        return self._due

    def reloaded(self) -> None:
        """Expect old workers, after a reload."""
        if self.number is not None:
            self._due = self._clock() + LOOK_INTERVAL

    def look(self) -> None:
        """Count them, and space reloads accordingly."""
        workers = self._proxy.workers()
        self.number = workers.old if workers else None
        self._due = self._clock() + LOOK_INTERVAL if self.number else None
        # As many as serve are one reload's: Nginx has several workers at once.
        generations = workers.old / max(1, workers.serving) if workers else 0.0
        self._schedule.crowd(generations)
        self._tell(generations)

    def _tell(self, generations: float) -> None:
        # Not each time that the number crosses the line: it is over when there are few.
        if not self._told and generations > FREE:
            log.warning(
                "reloads_spaced",
                target=self._target,
                old_workers=self.number,
                interval_s=self._schedule.spacing(urgent=False),
                reason="connections keep the workers of earlier reloads alive",
                effect="changes that need a reload wait longer; others do not",
            )
            self._told = True
        elif self._told and generations <= FREE / 2:
            log.info("reloads_spaced_over", target=self._target, old_workers=self.number)
            self._told = False
