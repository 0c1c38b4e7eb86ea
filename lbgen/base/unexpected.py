"""Exceptions that nobody expected: caught by the part of lbgen that they happen in, which then goes on.

What the part knew stays in force. The log has the traceback and what it concerned, metrics count it, the part tries
again with back-off, and one that keeps failing makes `/healthz` say so.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial

from lbgen.base.backoff import Backoff
from lbgen.base.logs import log

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds until a part is tried again
KEEPS_FAILING = 5  # failures in a row


class Part(StrEnum):
    """What fails, and is tried again, by itself; as the metric calls it."""

    START = "start"  # of lbgen: what it is made of
    SOURCE = "source"  # following an engine or files
    STREAM = "stream"  # of events or of pushed changes
    CREDENTIALS = "credentials"  # reading certificates, users files, authorities
    ROUND = "round"  # from a snapshot to the model
    TARGET = "target"  # from the model to one proxy
    PROXY = "proxy"  # keeping a proxy running
    SAVES = "saves"  # noticing and taking over saved files
    SIGNALS = "signals"
    STATUS = "status"  # answering over HTTP
    METRICS = "metrics"
    HUB = "hub"  # serving edges
    EDGE = "edge"  # the connection to a hub
    END = "end"  # of lbgen


class Guard:
    """Stands around one thing that lbgen does again and again."""

    def __init__(self, part: Part, subject: str, event: str, fields: Mapping[str, object], backoff: Backoff) -> None:
        self.part, self.subject = part, subject
        self.count = 0  # of errors, ever
        self.in_a_row = 0
        self.error = ""  # the last one
        self._event, self._fields, self._backoff = event, fields, backoff
        self._lock = threading.Lock()

    @property
    def due(self) -> float | None:
        """When, by the clock, what failed is to be tried again; None: it did not fail last time."""
        return self._backoff.due

    def tried(self, work: Callable[[], object]) -> bool:
        """Call it; return whether nothing unexpected happened."""
        try:
            work()
        except Exception as error:
            self.failed(error)
            return False
        self.worked()
        return True

    def keep_up(self, work: Callable[[], object], ended: Callable[[float], bool]) -> None:
        """Call it until it returns; it says itself when it has `worked`.

        Args:
            ended: waits for so many seconds; returns whether it is not to be called any more.
        """
        while True:
            try:
                work()
            except Exception as error:
                if ended(self.failed(error)):
                    return
            else:
                self.worked()
                return

    def failed(self, error: Exception, **fields: object) -> float:
        """Count and log an error, with fields of its own; return for how many seconds not to try again."""
        with self._lock:
            self.count += 1
            self.in_a_row += 1
            self.error = f"{type(error).__name__}: {error}"[:200]
            pause = self._backoff.pause()
        # Status requests can make it fail at any rate: log the first failure, then every second, fourth, eighth, ...
        if self.in_a_row & (self.in_a_row - 1) == 0:
            log.error(
                self._event, part=str(self.part), **self._said(), **fields, in_a_row=self.in_a_row, exc_info=error
            )
        return pause

    def worked(self) -> None:
        """End the failures in a row, if there are any."""
        if self.in_a_row:
            with self._lock:
                self._backoff.reset()
                self.in_a_row, self.error = 0, ""

    def _said(self) -> Mapping[str, object]:
        return self._fields or {"concerns": self.subject, "effect": "what was known stays in force"}


class UnexpectedErrors:
    """All guards, and what they have caught."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        first_pause: float = FIRST_PAUSE,
        longest_pause: float = LONGEST_PAUSE,
    ) -> None:
        self._backoff = partial(Backoff, first_pause, longest_pause, clock)
        self._guards: dict[tuple[Part, str], Guard] = {}

    def guard(self, part: Part, subject: str = "", *, event: str = "unexpected_error", **fields: object) -> Guard:
        """Return the guard of one thing; the same each time.

        Args:
            subject: what it concerns: one of few, known beforehand.
            event, fields: what the log calls it.
        """
        guard = self._guards.get((part, subject))
        if guard is None:
            guard = self._guards.setdefault((part, subject), Guard(part, subject, event, fields, self._backoff()))
        return guard

    def counts(self) -> dict[Part, int]:
        """Return how many errors each part has had."""
        counts = dict.fromkeys(Part, 0)
        for guard in list(self._guards.values()):
            counts[guard.part] += guard.count
        return counts

    def keep_failing(self) -> list[str]:
        """Return one line for each part that keeps failing, with its last error."""
        return [
            f"{guard.part}{f' ({guard.subject})' if guard.subject else ''} "
            f"has failed {guard.in_a_row} times in a row: {guard.error}"
            for _, guard in sorted(self._guards.copy().items())
            if guard.in_a_row >= KEEPS_FAILING
        ]

    def forget(self) -> None:
        """Begin anew: for tests, which share a process."""
        self._guards.clear()


UNEXPECTED = UnexpectedErrors()  # a process has one, as it has one log
