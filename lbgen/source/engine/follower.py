"""Following one engine: subscribe, list, then list again whatever is said to have changed or is due.

Objects that a stream brings along are put in their places; what arrived while the consumer was busy becomes one
snapshot. Ends only by an error or by being closed. A look at the cluster counts whole or not at all, so that the
next follower, here or at another endpoint, goes on from the last good one.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from lbgen.base.logs import log
from lbgen.snapshot import Snapshot
from lbgen.source import diff
from lbgen.source.engine.api import Engine
from lbgen.source.engine.events import ChangeStream, StreamKind
from lbgen.source.engine.listing import Lister, Round, alien, combined
from lbgen.source.engine.patch import Versions, doubtful, patched, tellable
from lbgen.source.engine.schedule import Drift, Pace, Schedule, moving
from lbgen.source.engine.subscription import Counters, Subscription
from lbgen.source.facts import ALL, EMPTY, KINDS, Facts, changed
from lbgen.source.mailbox import Mail, Mailbox

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the cluster; outlives the endpoint that told it."""

    facts: Facts = field(default_factory=lambda: EMPTY)
    versions: Versions = field(default_factory=lambda: {kind: {} for kind in KINDS})
    cluster: str = ""
    absent: Mapping[str, set[str]] = field(default_factory=dict)  # referred to, but gone: see Round
    changed_at: float = -math.inf  # by the clock
    listing: int = 0  # number of the last full listing in it
    owed: float = 0  # a full listing with a larger number is handed on even if nothing changed
    snapshot: Snapshot = field(default_factory=Snapshot)  # the last one handed on

    def patched(self, mail: Mail, now: float) -> Known:
        """Return it with what a stream told."""
        if mail.changes:
            facts = patched(self.facts, self.versions, mail.changes)
            return replace(self, facts=facts, changed_at=now)
        return self

    def listed(self, look: Round, cluster: str, now: float) -> Known:
        """Return it with what a look found; `cluster`: its id, empty if nobody asked."""
        same = all(look.facts[kind] is self.facts[kind] for kind in KINDS)
        return replace(
            self,
            facts=look.facts,
            versions={**self.versions, **{kind: dict(versions) for kind, versions in look.versions.items()}},
            absent=look.absent,
            cluster=cluster or self.cluster,
            changed_at=self.changed_at if same else now,
        )

    def handed_on(self, now: float) -> Known:
        """Return it with a new snapshot, if there is one to hand on; there is none before the first full listing."""
        after = combined(self.snapshot, self.facts, self.cluster)
        if self.listing == 0 or (after is self.snapshot and self.listing <= self.owed):
            return self
        causes = diff.between(self.snapshot, after, now) if after is not self.snapshot else ()
        return replace(
            self,
            snapshot=replace(after, taken_at=now, listing=self.listing, causes=causes),
            owed=math.inf if self.listing > self.owed else self.owed,
        )


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What following needs besides an engine."""

    pace: Pace
    rng: random.Random
    mailbox: Mailbox
    counters: Counters
    kinds: Sequence[StreamKind]  # of streams, the best first
    verify: Callable[[Engine], str]  # the cluster's id; SourceError if the engine is of another one, or no manager
    listed: Callable[[Engine], int]  # called after each full listing, gives it its number
    wall_clock: Callable[[], float] = time.time


class Follower:
    """One engine, followed."""

    def __init__(self, engine: Engine, known: Known, needs: Dependencies) -> None:
        self.known = known
        self._engine, self._needs, self._clock = engine, needs, needs.mailbox.clock
        self._log = log.bind(endpoint=engine.endpoint.name)
        self._lister = Lister(engine)
        self._schedule = Schedule(needs.pace, needs.rng, polled=ALL)
        self.drift = Drift(needs.pace, covers=frozenset())
        self._subscription = Subscription(
            needs.kinds,
            self._subscribe,
            needs.mailbox.wait_until,
            needs.pace,
            needs.rng,
            self._clock,
            needs.counters,
            self._log,
        )

    @property
    def stream(self) -> ChangeStream | None:
        """What tells of changes now; None while they are polled for."""
        return self._subscription.changes

    @property
    def mode(self) -> str:
        """How changes are learnt now."""
        return self._subscription.mode

    def snapshots(self) -> Iterator[Snapshot]:
        """Yield each new snapshot; raise SourceError when the engine fails, Closed when the source is closed."""
        try:
            while True:
                self._tend_stream()
                self._hear(min(self._schedule.due(), self.drift.due(), self._subscription.due()))
                self._judge()
                if self._schedule.due() <= self._clock():
                    self._look()
                    self._hear(0.0)  # what was pushed during the listing
                before, self.known = self.known, self.known.handed_on(self._needs.wall_clock())
                if self.known is not before:
                    yield self.known.snapshot
        finally:
            self._subscription.close()

    def _subscribe(self, kind: StreamKind) -> ChangeStream:
        def work() -> ChangeStream:
            stream = kind.subscribe(self._engine, self._needs.mailbox)
            try:
                # What another cluster pushes must not be taken for this one's, not even until the next listing.
                self._needs.verify(self._engine)
            except BaseException:
                stream.close()
                raise
            return stream

        return self._run(work)

    def _tend_stream(self) -> None:
        if self._subscription.ensure():
            self.drift = Drift(self._needs.pace, self._covers)
            self._schedule.want_all()
            self._poll_for_the_rest()

    @property
    def _covers(self) -> frozenset[str]:
        return self.stream.covers if self.stream else frozenset()

    def _hear(self, until: float) -> None:
        mail = self._needs.mailbox.wait(until)
        self._schedule.heard(mail.kinds, self._clock())
        self.drift.heard(mail.kinds, mail.changes)
        self.known = self.known.patched(mail, self._clock())
        if mail.changes:
            self._needs.counters.objects += len(mail.changes)
            self._poll_for_the_rest()
        if mail.relist:
            self.known = replace(self.known, owed=self.known.listing)
            self._schedule.want_all()

    def _judge(self) -> None:
        """Count what listings found and the stream never told; a stream that misses changes is replaced."""
        if untold := self.drift.judged(self._clock()):
            self._needs.counters.drift += sum(untold.values())
            self._log.warning("source_drift", **untold, drift_total=self._needs.counters.drift)
            self._subscription.restart()

    def _poll_for_the_rest(self) -> None:
        self._schedule.polled = ALL - self._covers | ({"nodes"} if doubtful(self.known.facts["nodes"]) else set())

    def _look(self) -> None:
        """List what is due."""
        began, before = self._clock(), self.known.facts
        kinds = self._schedule.begin(began)
        look, cluster = self._run(lambda: self._round(kinds))
        now = self._clock()
        changes = {kind: changed(before[kind], look.facts[kind]) for kind in KINDS}
        changes["nodes"] = tellable(before["nodes"], look.facts["nodes"], changes["nodes"])
        self.drift.listed(kinds, changes, now)
        self.known = self.known.listed(look, cluster, now)
        self._poll_for_the_rest()
        self._schedule.done(kinds, began, now, self._in_motion(now))
        if kinds >= ALL:
            self.known = replace(self.known, listing=self._needs.listed(self._engine))

    def _in_motion(self, now: float) -> bool:
        if now - self.known.changed_at >= self._needs.pace.quiet:
            return False
        return moving(self.known.facts) or doubtful(self.known.facts["nodes"])

    def _round(self, kinds: frozenset[str]) -> tuple[Round, str]:
        look = Round(self._lister, self.known.facts, self.known.absent)
        before = self._lister.objects
        look.list(kinds)
        self._needs.counters.objects += self._lister.objects - before
        # After the listing, so that an engine that changed clusters meanwhile is found out as well.
        if kinds >= ALL or alien(self.known.facts, look.facts):
            return look, self._needs.verify(self._engine)
        return look, ""

    def _run(self, work: Callable[[], T]) -> T:
        limit = 6 * self._needs.pace.timeout
        return self._needs.mailbox.run(self._engine.endpoint.name, work, limit, self._engine.line.cut)
