"""The one back-off: pauses between attempts that fail, each twice as long as the one before, up to a limit."""

from __future__ import annotations

import time
from collections.abc import Callable


class Backoff:
    """When to try again, and how long to pause after the next failure."""

    def __init__(
        self,
        first: float,
        longest: float,
        clock: Callable[[], float] = time.monotonic,
        spread: Callable[[], float] = lambda: 1.0,
    ) -> None:
        """
        Args:
            first, longest: seconds.
            spread: a factor for each pause, so that many lbgens do not come back at the same moment.
        """
        self._first, self._longest, self._clock, self._spread = first, longest, clock, spread
        self._next = first
        self.due: float | None = None  # when the next attempt is due, by the clock; None: no attempt is put off

    def pause(self) -> float:
        """Put the next attempt off; return for how many seconds."""
        seconds, self._next = self._next * self._spread(), min(self._next * 2, self._longest)
        self.due = self._clock() + seconds
        return seconds

    def remaining(self) -> float:
        """Return the seconds until the next attempt is due; 0 if it is, or if none is put off."""
        return 0.0 if self.due is None else max(0.0, self.due - self._clock())

    def arrive(self) -> bool:
        """Return whether an attempt may be made now, and then put it off no longer; the pauses go on growing."""
        if self.remaining() > 0:
            return False
        self.hasten()
        return True

    def reset(self) -> None:
        """Start anew after a success: nothing is put off, and the next pause is the first again."""
        self.due, self._next = None, self._first

    def hasten(self) -> None:
        """Have the next attempt made at once; the pauses go on growing."""
        self.due = None
