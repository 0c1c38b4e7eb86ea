"""What other threads have to say to the one that follows a source: something changed, list again, stop.

The following thread only ever waits here, also for its own requests, so that `close` ends it at once even while an
engine hangs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from lbgen.base.errors import SourceError

T = TypeVar("T")
MOST_CHANGES = 100_000  # unread; of more only the kinds are kept: listing them costs less than keeping them


@dataclass(frozen=True, slots=True)
class Change:
    """One object as it is now, told by a stream that carries the objects themselves."""

    kind: str  # "services", "tasks", ...
    id: str
    item: Any  # the kind's dataclass; None if it is gone
    version: int  # grows with every change of the object; 0 where there is none


class Closed(Exception):
    """The source was closed. Never leaves lbgen/source."""


@dataclass(frozen=True, slots=True)
class Mail:
    """What was said, at once or in several messages."""

    kinds: frozenset[str] = frozenset()  # these have changed: "services", "nodes", ...
    changes: tuple[Change, ...] = ()  # the oldest first
    relist: bool = False


class Mailbox:
    """A mailbox between threads; every method but `run` and those that wait may be called from any."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock  # what everybody goes by who follows a source
        self._condition = threading.Condition()
        self._told = self._relist = False
        self._kinds: set[str] = set()
        self._changes: dict[tuple[str, str], Change] = {}  # by kind and id: of an object only the newest counts
        self._closed = False

    def tell(self, kinds: Iterable[str] = (), changes: Iterable[Change] = ()) -> None:
        """Say that kinds have changed, or what objects have become; without any, only wake the follower up."""
        with self._condition:
            self._kinds.update(kinds)
            for change in changes:
                known = self._changes.setdefault((change.kind, change.id), change)
                if change.version >= known.version:
                    self._changes[change.kind, change.id] = change
            if len(self._changes) > MOST_CHANGES:
                self._kinds.update(kind for kind, _ in self._changes)
                self._changes.clear()
            self._put()

    def relist(self) -> None:
        """Ask for everything anew."""
        with self._condition:
            self._relist = True
            self._put()

    def close(self) -> None:
        """End every wait, now and later."""
        self._closed = True
        self._notify()

    @property
    def unread(self) -> Mail:
        """What was said since the last `wait`."""
        with self._condition:
            return Mail(frozenset(self._kinds), tuple(self._changes.values()), self._relist)

    def wait(self, until: float) -> Mail:
        """Return the unread messages as one, as soon as there is one, or at `until` by the clock; raise Closed."""
        with self._condition:
            self._wait_for(lambda: self._told, until - self.clock())
            unread = self.unread
            self._kinds.clear()
            self._changes.clear()
            self._told = self._relist = False
            return unread

    def pause(self, seconds: float) -> None:
        """Sleep, whatever is said meanwhile; raise Closed."""
        self.wait_until(lambda: False, seconds)

    def wait_until(self, reached: Callable[[], bool], seconds: float) -> None:
        """Wait until a condition holds, for so many seconds at most; `tell` has it tried again. Raise Closed."""
        with self._condition:
            self._wait_for(reached, seconds)

    def run(self, who: str, work: Callable[[], T], limit: float, hang_up: Callable[[], None]) -> T:
        """Return or raise what `work` does, in a thread of its own.

        Work that is given up is told to end by `hang_up`, and what it still returns is closed.

        Args:
            who: the endpoint, for the error.
            limit: seconds after which it is given up: SourceError.
            hang_up: makes the work end soon, also while it waits.
        """
        future: Future[T] = Future()
        threading.Thread(target=_fulfil, args=(future, work), name="lbgen-source-request", daemon=True).start()
        future.add_done_callback(lambda _: self._notify())
        try:
            self.wait_until(future.done, limit)
            if not future.done():
                raise SourceError(f"{who}: no whole answer within {limit:g} s: it, or the way to it, is too slow")
        except (Closed, SourceError):
            future.add_done_callback(_discard)
            hang_up()
            raise
        return future.result()

    def _put(self) -> None:
        self._told = True
        self._condition.notify_all()

    def _notify(self) -> None:
        with self._condition:
            self._condition.notify_all()

    def _wait_for(self, reached: Callable[[], bool], seconds: float) -> None:
        self._condition.wait_for(lambda: self._closed or reached(), min(max(0.0, seconds), threading.TIMEOUT_MAX))
        if self._closed:
            raise Closed


def _fulfil(future: Future[T], work: Callable[[], T]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)


def _discard(future: Future[T]) -> None:
    with suppress(Exception):
        close = getattr(future.result(), "close", None)
        if close is not None:
            close()
