"""Whether the clock of this machine has been believable for a while: before, nothing is forgotten by its word.

A used token that is dropped because the clock is days ahead could be used once more when the clock is right again.
"""

from __future__ import annotations

import time
from collections.abc import Callable

STEADY = 3600.0  # seconds: after a boot or a jump, time for the clock to be set right
JUMP = 60.0  # seconds by which a clock may be corrected at once without being doubted


class SteadyClock:
    """Watches a clock; not for several threads."""

    def __init__(self, clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            clock: seconds since 1970.
            monotonic: seconds that no correction changes.
        """
        self._clock, self._monotonic = clock, monotonic
        self._ahead, self._since = clock() - monotonic(), monotonic()

    def steady(self) -> bool:
        """Tell whether it has not jumped for an hour; to be asked every few seconds."""
        ahead, now = self._clock() - self._monotonic(), self._monotonic()
        if abs(ahead - self._ahead) > JUMP:
            self._since = now
        self._ahead = ahead
        return now - self._since >= STEADY
