"""Keeping the best stream of changes open, whatever the engine or a proxy before it does to streams.

Ways of learning of changes are given in order, the best first. Where the best cannot be had, or breaks, the next one
carries on at once; the better one is tried again with growing pauses, and taken up again when it works.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from structlog.typing import FilteringBoundLogger

from lbgen.base.errors import SourceError
from lbgen.source.engine.events import Changes, NotOffered, Way
from lbgen.source.engine.schedule import Backoff, Pace

POLLING = "polling"  # the mode without any stream
_EFFECTS = {
    "push": "every change is told",
    "events": "services, nodes and networks are told by events, tasks are listed on a timer",
    POLLING: "changes are polled for",
}


@dataclass(slots=True)
class Counters:
    """What following has seen so far, over all endpoints; metrics read it through `EngineSource.stats`."""

    drift: int = 0
    listings: int = 0
    subscriptions: int = 0
    objects: int = 0  # read out of listings and messages
    lost: dict[str, float] = field(default_factory=dict)  # mode -> since when (monotonic) it cannot be had
    why: dict[str, str] = field(default_factory=dict)  # mode -> why it cannot be had


class _Stream:
    """One way, and what became of it."""

    def __init__(self, way: Way, backoff: Backoff) -> None:
        self.way, self.backoff = way, backoff
        self.changes: Changes | None = None
        self.used_since: float | None = None
        self.retry_at = -math.inf
        self.tried = False
        self.shaky = False  # it broke last time soon after it was opened

    def drop(self) -> None:
        """Close it; it may be opened again at once."""
        if self.changes is not None:
            self.changes.close()
        self.changes = self.used_since = None
        self.retry_at = -math.inf


class Subscription:
    """The best stream there is, of one engine."""

    def __init__(
        self,
        ways: Sequence[Way],
        subscribe: Callable[[Way], Changes],
        wait_until: Callable[[Callable[[], bool], float], None],
        pace: Pace,
        rng: random.Random,
        counters: Counters,
        log: FilteringBoundLogger,
    ) -> None:
        """`subscribe` raises SourceError; `wait_until` waits for a condition, so many seconds at most."""
        self._streams = [_Stream(way, Backoff(pace, rng)) for way in ways]
        self._subscribe, self._wait_until = subscribe, wait_until
        self._pace, self._counters, self._log = pace, counters, log
        self._used: _Stream | None = None

    @property
    def changes(self) -> Changes | None:
        """The stream in use, None while there is none."""
        return self._used.changes if self._used else None

    @property
    def mode(self) -> str:
        """How changes are learnt now."""
        return self._used.way.mode if self._used else POLLING

    def due(self) -> float:
        """Return when `ensure` should be called, unless the follower is woken before."""
        better = self._streams[: self._streams.index(self._used)] if self._used else self._streams
        times = [stream.retry_at for stream in better if stream.changes is None]
        if self._used and self._used.way.mode in self._counters.lost:
            times.append((self._used.used_since or 0.0) + self._pace.retry_max)
        return min(times, default=math.inf)

    def ensure(self, now: float) -> bool:
        """Look after the streams; return True if another one is in use now, or none any more.

        Either is a reason to list everything: what happened before is in no stream, and a stream often ends
        because the engine does.
        """
        before = self.changes
        failures: list[tuple[_Stream, SourceError]] = []
        best = None
        for stream in self._streams:
            if error := self._tended(stream, now):
                failures.append((stream, error))
            if stream.changes is not None and stream.changes.ready:
                best = stream
                break
        self._use(best, now)
        for stream, error in failures:
            self._report(stream.way.mode, error, now)
        return self.changes is not before

    def restart(self) -> None:
        """Have the stream replaced: it is open, but not to be relied on."""
        if self._used:
            self._used.drop()
            self._used.tried = False
            self._used = None

    def close(self) -> None:
        for stream in self._streams:
            stream.drop()

    def _tended(self, stream: _Stream, now: float) -> SourceError | None:
        """Open the stream if it is time to; return why there is none any more, or still none."""
        error: SourceError | None = None
        if stream.changes is None and now >= stream.retry_at:
            try:
                stream.changes = opened = self._subscribe(stream.way)
                if not stream.tried and self._used is None:
                    # Only then: later on, what there is must not wait for what may be better.
                    self._wait_until(lambda: opened.ready or bool(opened.ended), self._pace.head_start)
            except SourceError as found:
                error = found
            stream.tried = True
        if stream.changes is not None and stream.changes.ended:
            error = SourceError(stream.changes.ended)
        if error is not None:
            self._lose(stream, now)
        return error

    def _lose(self, stream: _Stream, now: float) -> None:
        if stream.used_since is not None:
            stream.shaky = not self._steady(stream, now)
            if not stream.shaky:
                stream.backoff.reset()
        stream.drop()
        stream.retry_at = now + stream.backoff.pause()

    def _use(self, best: _Stream | None, now: float) -> None:
        if best is not None and best is not self._used:
            best.used_since = now
            self._counters.subscriptions += 1
            for worse in self._streams[self._streams.index(best) + 1 :]:
                worse.drop()
                self._counters.lost.pop(worse.way.mode, None)
        self._used = best
        if best is not None and (not best.shaky or self._steady(best, now)):
            self._call_it_back(best, now)

    def _report(self, mode: str, error: SourceError, now: float) -> None:
        self._counters.why[mode] = str(error)
        if mode not in self._counters.lost:
            self._counters.lost[mode] = now
            log = self._log.info if isinstance(error, NotOffered) else self._log.warning
            log("stream_lost", stream=mode, error=str(error), mode=self.mode, effect=_EFFECTS.get(self.mode, ""))

    def _call_it_back(self, stream: _Stream, now: float) -> None:
        """Say once that it is there again; not yet, if it broke at once last time."""
        mode = stream.way.mode
        self._counters.why.pop(mode, None)
        if mode in self._counters.lost:
            gone = now - self._counters.lost.pop(mode)
            self._log.info("stream_back", stream=mode, mode=mode, gone_s=round(gone, 1))
        stream.shaky = False

    def _steady(self, stream: _Stream, now: float) -> bool:
        return stream.used_since is not None and now - stream.used_since > self._pace.retry_max
