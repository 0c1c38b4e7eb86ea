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
class Told:
    """What was said since the last time."""

    kinds: frozenset[str] = frozenset()  # these have changed: "services", "nodes", ...
    changes: tuple[Change, ...] = ()  # the oldest first
    relist: bool = False


class Signals:
    """A mailbox between threads; every method but `run` and those that wait may be called from any."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._kinds: set[str] = set()
        self._changes: list[Change] = []
        self._relist = self._woken = self._closed = False

    def tell(self, kinds: Iterable[str] = (), changes: Iterable[Change] = ()) -> None:
        """Say that kinds have changed, or what objects have become; without any, only wake the follower up."""
        with self._condition:
            self._kinds.update(kinds)
            self._changes.extend(changes)
            self._woken = True
            self._condition.notify_all()

    def relist(self) -> None:
        """Ask for everything anew."""
        with self._condition:
            self._relist = self._woken = True
            self._condition.notify_all()

    def close(self) -> None:
        """End every wait, now and later."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    @property
    def closed(self) -> bool:
        return self._closed

    def wait(self, until: float) -> Told:
        """Return what was said, as soon as anything is, or at `until` (monotonic seconds); raise Closed."""
        with self._condition:
            self._wait_for(lambda: self._woken, until - time.monotonic())
            told = Told(frozenset(self._kinds), tuple(self._changes), self._relist)
            self._kinds.clear()
            self._changes.clear()
            self._relist = self._woken = False
            return told

    def pause(self, seconds: float) -> None:
        """Sleep, whatever is said meanwhile; raise Closed."""
        with self._condition:
            self._wait_for(lambda: False, seconds)

    def wait_until(self, reached: Callable[[], bool], seconds: float) -> None:
        """Wait until something holds that somebody tells of, but not for longer; raise Closed."""
        with self._condition:
            self._wait_for(reached, seconds)

    def run(self, who: str, work: Callable[[], T], limit: float) -> T:
        """Return or raise what `work` does, in a thread of its own.

        Work that hangs is left behind: it ends by its own timeouts, and what it still returns is closed.

        Args:
            who: the endpoint, for the error.
            limit: seconds after which it counts as hanging: SourceError.
        """
        future: Future[T] = Future()
        threading.Thread(target=_fulfil, args=(future, work), name="lbgen-source-request", daemon=True).start()
        future.add_done_callback(lambda _: self._wake_waiters())
        try:
            with self._condition:
                self._wait_for(future.done, limit)
        except Closed:
            future.add_done_callback(_discard)
            raise
        if not future.done():
            future.add_done_callback(_discard)
            raise SourceError(f"{who}: no result within {limit:g} s")
        return future.result()

    def _wait_for(self, reached: Callable[[], bool], seconds: float) -> None:
        self._condition.wait_for(lambda: self._closed or reached(), max(0.0, seconds))
        if self._closed:
            raise Closed

    def _wake_waiters(self) -> None:
        with self._condition:
            self._condition.notify_all()


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
