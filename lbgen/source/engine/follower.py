"""Following one engine: subscribe, list, then list again whatever is said to have changed or is due.

Objects that a stream brings along are put in their places; what arrived while the consumer was busy becomes one
snapshot. Ends only by an error or by being closed. A look at the cluster counts whole or not at all, so that whoever
follows next, here or at another endpoint, goes on from the last good one.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from lbgen.base.logs import log
from lbgen.snapshot import Snapshot
from lbgen.source import diff
from lbgen.source.engine.api import Engine
from lbgen.source.engine.events import Changes, Way
from lbgen.source.engine.listing import Lister, Round, alien, combined, snapshot
from lbgen.source.engine.patch import applied, doubtful, tellable
from lbgen.source.engine.schedule import Agenda, Drift, Pace, moving
from lbgen.source.engine.subscription import Counters, Subscription
from lbgen.source.facts import ALL, EMPTY, KINDS, Facts, changed
from lbgen.source.mailbox import Signals

T = TypeVar("T")


@dataclass(slots=True)
class Known:
    """What is known of the cluster; outlives the endpoint that told it."""

    facts: Facts = field(default_factory=lambda: EMPTY)
    versions: dict[str, dict[str, int]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    cluster: str = ""
    absent: dict[str, set[str]] = field(default_factory=dict)  # referred to, but gone: see Round
    snapshot: Snapshot = field(default_factory=Snapshot)  # the last one handed on
    owed: float = 0  # a full listing with a larger number is handed on even if nothing changed
    listing: int = 0  # number of the last full listing in it
    changed_at: float = -math.inf  # monotonic
    counters: Counters = field(default_factory=Counters)


@dataclass(frozen=True, slots=True)
class Terms:
    """What following needs besides an engine."""

    pace: Pace
    rng: random.Random
    signals: Signals
    ways: Sequence[Way]  # of learning of changes, the best first
    verify: Callable[[Engine], str]  # the cluster's id; SourceError if the engine is of another one, or no manager
    listed: Callable[[Engine], int]  # called after each full listing, gives it its number


class Follower:
    """One engine, followed."""

    def __init__(self, engine: Engine, known: Known, terms: Terms) -> None:
        self._engine, self._known, self._terms = engine, known, terms
        self._log = log.bind(endpoint=engine.endpoint.name)
        self._lister = Lister(engine)
        self._agenda = Agenda(terms.pace, terms.rng, polled=ALL)
        self._drift = Drift(terms.pace, covers=frozenset())
        self._told: frozenset[str] = ALL  # kinds of which was said that they changed, since they were listed
        wait_until = terms.signals.wait_until
        self._subscription = Subscription(
            terms.ways, self._subscribe, wait_until, terms.pace, terms.rng, known.counters, self._log
        )

    @property
    def stream(self) -> Changes | None:
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
                self._mind_stream()
                self._hear(min(self._agenda.due(), self._drift.due(), self._subscription.due()))
                self._judge()
                if self._agenda.due() <= time.monotonic():
                    self._look()
                    self._hear(0.0)  # what was pushed during the listing
                if (news := self._news()) is not None:
                    yield news
        finally:
            self._subscription.close()

    def _subscribe(self, way: Way) -> Changes:
        def work() -> Changes:
            stream = way.subscribe(self._engine, self._terms.signals)
            try:
                # What another cluster pushes must not be taken for this one's, not even until the next listing.
                self._terms.verify(self._engine)
            except BaseException:
                stream.close()
                raise
            return stream

        return self._run(work)

    def _mind_stream(self) -> None:
        if self._subscription.ensure(time.monotonic()):
            self._drift = Drift(self._terms.pace, self._covers)
            self._agenda.want_all()
            self._told = ALL
            self._poll_for_the_rest()

    @property
    def _covers(self) -> frozenset[str]:
        return self.stream.covers if self.stream else frozenset()

    def _hear(self, until: float) -> None:
        told, known = self._terms.signals.wait(until), self._known
        self._agenda.heard(told.kinds, time.monotonic())
        self._drift.heard(told.kinds, told.changes)
        self._told |= told.kinds
        if told.changes:
            known.counters.objects += len(told.changes)
            known.facts = applied(known.facts, known.versions, told.changes)
            known.changed_at = time.monotonic()
            self._poll_for_the_rest()
        if told.relist:
            known.owed = known.listing
            self._agenda.want_all()

    def _judge(self) -> None:
        """Count what listings found and the stream never told; a stream that misses changes is replaced."""
        if untold := self._drift.judged(time.monotonic()):
            self._known.counters.drift += sum(untold.values())
            self._log.warning("source_drift", **untold, drift_total=self._known.counters.drift)
            self._subscription.restart()

    def _poll_for_the_rest(self) -> None:
        self._agenda.polled = ALL - self._covers | ({"nodes"} if doubtful(self._known.facts["nodes"]) else set())

    def _look(self) -> None:
        """List what is due."""
        known, started = self._known, time.monotonic()
        kinds = self._agenda.begin(started)
        told, self._told = self._told, self._told - kinds
        look, cluster = self._run(lambda: self._round(kinds))
        now = time.monotonic()
        changes = {kind: changed(known.facts[kind], look.facts[kind]) for kind in KINDS}
        untold = changes | {"nodes": tellable(known.facts["nodes"], look.facts["nodes"], changes["nodes"])}
        self._drift.found(untold, told, now)
        if any(changes.values()):
            known.changed_at = now
        known.facts, known.absent, known.cluster = look.facts, look.absent, cluster or known.cluster
        known.versions |= {kind: dict(versions) for kind, versions in look.versions.items()}
        self._poll_for_the_rest()
        self._agenda.done(kinds, started, now, self._in_motion(now))
        if kinds >= ALL:
            known.listing = self._terms.listed(self._engine)

    def _in_motion(self, now: float) -> bool:
        facts = self._known.facts
        if now - self._known.changed_at >= self._terms.pace.quiet:
            return False
        return moving(snapshot(facts)) or doubtful(facts["nodes"])

    def _round(self, kinds: frozenset[str]) -> tuple[Round, str]:
        look = Round(self._lister, self._known.facts, self._known.absent)
        before = self._lister.objects
        look.list(kinds)
        self._known.counters.objects += self._lister.objects - before
        # After the listing, so that an engine that changed clusters meanwhile is found out as well.
        if kinds >= ALL or alien(self._known.facts, look.facts):
            return look, self._terms.verify(self._engine)
        return look, ""

    def _news(self) -> Snapshot | None:
        """Return a snapshot if there is something to hand on; nothing is before the first full listing."""
        known, now = self._known, time.time()
        before, after = known.snapshot, combined(known.snapshot, known.facts, known.cluster)
        if known.listing == 0 or (after is before and known.listing <= known.owed):
            return None
        if known.listing > known.owed:
            known.owed = math.inf
        found = diff.between(before, after, now) if after is not before else ()
        known.snapshot = replace(after, taken_at=now, listing=known.listing, causes=found)
        return known.snapshot

    def _run(self, work: Callable[[], T]) -> T:
        return self._terms.signals.run(self._engine.endpoint.name, work, 6 * self._terms.pace.timeout)
