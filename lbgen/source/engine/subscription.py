"""Keeping the best stream of changes open, whatever the engine or a proxy before it does to streams.

Kinds of streams are given in order, the best first. Where the best cannot be opened, or breaks, the next one carries on
at once; the better one is tried again with back-off, and taken up again when it works.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from structlog.typing import FilteringBoundLogger

from lbgen.base.backoff import Backoff
from lbgen.base.errors import SourceError
from lbgen.source.engine.events import ChangeStream, NotOffered, StreamKind
from lbgen.source.engine.schedule import Pace

POLLING = "polling"  # the mode without any stream
_EFFECTS = {
    "push": "every change is told",
    "events": "services, nodes and networks are told by events, tasks are listed on a timer",
    POLLING: "changes are polled for",
}


@dataclass(frozen=True, slots=True)
class Loss:
    """A stream that cannot be opened, or broke."""

    since: float  # by the clock
    why: str


@dataclass(slots=True)
class Counters:
    """What following has seen so far, over all endpoints; metrics read it through `EngineSource.stats`."""

    drift: int = 0
    listings: int = 0
    subscriptions: int = 0
    objects: int = 0  # read out of listings and messages
    lost: dict[str, Loss] = field(default_factory=dict)  # by mode


class _Stream:
    """One kind of stream, and what became of it."""

    def __init__(self, kind: StreamKind, backoff: Backoff) -> None:
        self.mode, self.kind, self.backoff = kind.mode, kind, backoff
        self.changes: ChangeStream | None = None
        self.used_since: float | None = None
        self.tried = False
        self.shaky = False  # it broke last time soon after it was opened

    def drop(self) -> None:
        """Close it; it may be opened again at once."""
        if self.changes is not None:
            self.changes.close()
        self.changes = self.used_since = None
        self.backoff.hasten()


class Subscription:
    """The best stream there is, of one engine."""

    def __init__(
        self,
        kinds: Sequence[StreamKind],
        subscribe: Callable[[StreamKind], ChangeStream],
        wait_until: Callable[[Callable[[], bool], float], None],
        pace: Pace,
        rng: random.Random,
        clock: Callable[[], float],
        counters: Counters,
        log: FilteringBoundLogger,
    ) -> None:
        """`subscribe` raises SourceError; `wait_until` waits for a condition, so many seconds at most."""
        self._streams = [_Stream(kind, pace.backoff(clock, rng)) for kind in kinds]
        self._subscribe, self._wait_until = subscribe, wait_until
        self._pace, self._clock, self._counters, self._log = pace, clock, counters, log
        self._used: _Stream | None = None

    @property
    def changes(self) -> ChangeStream | None:
        """The stream in use, None while there is none."""
        return self._used.changes if self._used else None

    @property
    def mode(self) -> str:
        """How changes are learnt now."""
        return self._used.mode if self._used else POLLING

    def due(self) -> float:
        """Return when `ensure` should be called, unless the follower is woken before."""
        better = self._streams[: self._streams.index(self._used)] if self._used else self._streams
        waiting = [stream.backoff.due for stream in better if stream.changes is None]
        times = [-math.inf if due is None else due for due in waiting]
        if self._used and self._used.mode in self._counters.lost:
            times.append((self._used.used_since or 0.0) + self._pace.retry_max)
        return min(times, default=math.inf)

    def ensure(self) -> bool:
        """Look after the streams; return True if another one is in use now, or none any more.

        Either is a reason to list everything: what happened before is in no stream, and a stream often ends
        because the engine does.
        """
        before = self.changes
        failures: list[tuple[_Stream, SourceError]] = []
        best = None
        for stream in self._streams:
            if error := self._opened(stream):
                self._drop_broken(stream)
                failures.append((stream, error))
            if stream.changes is not None and stream.changes.ready:
                best = stream
                break
        self._use(best)
        for stream, error in failures:
            self._report(stream.mode, error)
        return self.changes is not before

    def restart(self) -> None:
        """Replace the stream at the next `ensure`: it is open, but has missed something."""
        if self._used:
            self._used.drop()
            self._used.tried = False
            self._used = None

    def close(self) -> None:
        for stream in self._streams:
            stream.drop()

    def _opened(self, stream: _Stream) -> SourceError | None:
        """Open the stream if it is time to; return why there is none any more, or still none."""
        if stream.changes is None and stream.backoff.arrive():
            first, stream.tried = not stream.tried, True
            try:
                stream.changes = opened = self._subscribe(stream.kind)
            except SourceError as error:
                return error
            if first and self._used is None:
                # Only then: later on, what there is must not wait for what may be better.
                self._wait_until(lambda: opened.ready or bool(opened.ended), self._pace.head_start)
        return SourceError(stream.changes.ended) if stream.changes is not None and stream.changes.ended else None

    def _drop_broken(self, stream: _Stream) -> None:
        if stream.used_since is not None:
            stream.shaky = not self._steady(stream)
            if not stream.shaky:
                stream.backoff.reset()
        stream.drop()
        stream.backoff.pause()

    def _use(self, best: _Stream | None) -> None:
        if best is not None and best is not self._used:
            best.used_since = self._clock()
            self._counters.subscriptions += 1
            for worse in self._streams[self._streams.index(best) + 1 :]:
                worse.drop()
                self._counters.lost.pop(worse.mode, None)
        self._used = best
        if best is not None and (not best.shaky or self._steady(best)):
            self._report_back(best)

    def _report(self, mode: str, error: SourceError) -> None:
        """Say once that it is lost, and keep the latest reason."""
        known = self._counters.lost.get(mode)
        self._counters.lost[mode] = Loss(known.since if known else self._clock(), str(error))
        if known is None:
            log = self._log.info if isinstance(error, NotOffered) else self._log.warning
            log("stream_lost", stream=mode, error=str(error), mode=self.mode, effect=_EFFECTS.get(self.mode, ""))

    def _report_back(self, stream: _Stream) -> None:
        """Say once that it is there again; not yet, if it broke at once last time."""
        stream.shaky = False
        if loss := self._counters.lost.pop(stream.mode, None):
            gone = round(self._clock() - loss.since, 1)
            self._log.info("stream_back", stream=stream.mode, mode=stream.mode, gone_s=gone)

    def _steady(self, stream: _Stream) -> bool:
        return stream.used_since is not None and self._clock() - stream.used_since > self._pace.retry_max
