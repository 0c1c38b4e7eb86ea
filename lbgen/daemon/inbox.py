"""What other threads, and signal handlers, have to say to the loop's thread."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce

from lbgen.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class News:
    """What was said since the last time; with nothing in it, only that another round is wanted."""

    snapshot: Snapshot | None = None  # the newest, with the causes of those that it replaces
    changes: tuple[Callable[[], None], ...] = ()  # to be made before the next round
    stop: bool = False
    error: Exception | None = None  # why it stops, if that is not meant

    def then(self, later: News) -> News:
        """Return both as one."""
        newest = later.snapshot or self.snapshot
        if self.snapshot and later.snapshot:
            newest = replace(later.snapshot, causes=self.snapshot.causes + later.snapshot.causes)
        changes = self.changes + later.changes
        return News(newest, changes, self.stop or later.stop, self.error or later.error)


class Inbox:
    """Takes news from any thread at any moment.

    No condition variable: a signal handler runs in the loop's own thread, maybe between its last look and its sleep,
    and nobody would be woken. `SimpleQueue.put` is made for that.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._queue: queue.SimpleQueue[News] = queue.SimpleQueue()
        self._clock = clock

    def put(self, news: News) -> None:
        """Say something. Safe in a signal handler."""
        self._queue.put(news)

    def wait(self, until: float | None) -> News:
        """Return all that was said, as soon as anything is; nothing at ``until``, by the clock (None: never)."""
        said = []
        try:
            said.append(self._queue.get(timeout=None if until is None else max(0.0, until - self._clock())))
            while True:
                said.append(self._queue.get_nowait())
        except queue.Empty:
            return reduce(News.then, said, News())
