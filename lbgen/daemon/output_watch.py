"""Whether a target's output directory still holds what lbgen wrote there, and what the proxy made in it.

Somebody may remove or change it while all goes on: a cleaning script, a deployment, a volume that is unmounted. Looked
at before each attempt and every few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from lbgen.base.logs import log
from lbgen.daemon.deployment import Deployment
from lbgen.daemon.history import Change, History
from lbgen.proxies.output_lock import OutputLock
from lbgen.proxies.plan import shortened

LOOK_INTERVAL = 2.0  # seconds between two looks
METHOD = "repair"  # in the history


class OutputWatch:
    """Looks at one target's output directory, and makes it well again."""

    def __init__(
        self,
        target: str,
        deployment: Deployment,
        lock: OutputLock,
        history: History,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            target: its name, for the log.
        """
        self._target, self._deployment, self._lock, self._history = target, deployment, lock, history
        self._clock, self._due = clock, clock() + LOOK_INTERVAL
        self.wanted = False  # an attempt has something to mend
        self._told: list[str] = []  # what is missing or changed, and is not mended yet

    def due(self) -> float:
        """Return when, by the clock, the next look is due."""
        return self._due

    def look(self) -> None:
        """Want an attempt if something is missing or changed."""
        self._due = self._clock() + LOOK_INTERVAL
        self.wanted = bool(self._missing())

    def mend(self, fixed: Collection[str]) -> None:
        """Write missing and changed files again, and restore the sockets that the proxy is controlled by.

        Raises:
            ApplyFailed: it cannot be done now.
        """
        self.wanted, began = False, self._clock()
        if not (missing := self._missing()):
            return
        detail, output = shortened(missing), str(self._deployment.output)
        if missing != self._told:
            log.warning("output_altered", target=self._target, output=output, files=detail, effect="made as they were")
        self._told = missing
        self._lock.retake()
        self._deployment.mend(fixed)
        self._told = []
        seconds, generation = self._clock() - began, self._deployment.generation
        self._history.changes.append(
            Change(time.time(), self._target, generation, METHOD, f"missing or changed: {detail}", seconds)
        )
        log.info("output_mended", target=self._target, duration_ms=round(seconds * 1000, 1), generation=generation)

    def _missing(self) -> list[str]:
        return self._deployment.altered() + self._deployment.cut_off()
