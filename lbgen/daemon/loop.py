"""The whole order on one page: newest snapshot -> model -> every target; the only holder of state.

The first change is applied at once; what arrives meanwhile is folded into the next round.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Protocol

from lbgen.base.logs import log
from lbgen.base.unexpected import UNEXPECTED, Guard, Part, UnexpectedErrors
from lbgen.daemon.counters import Counters
from lbgen.daemon.drain_clock import DrainClock
from lbgen.daemon.drains import Drains
from lbgen.daemon.flapping import Flapping
from lbgen.daemon.history import MOST_CAUSES
from lbgen.daemon.kept_labels import KeptLabels
from lbgen.daemon.shrink_guard import ShrinkGuard
from lbgen.model import Builder, Model, Rules
from lbgen.model.servers import draining
from lbgen.render.credential_problems import with_credential_problems
from lbgen.render.credentials import CredentialReader
from lbgen.snapshot import Cause, Service, Snapshot
from lbgen.source import Source

REST = 0.1  # seconds, at least, where it is not known what is due


@dataclass(frozen=True, slots=True)
class News:
    """What was said since the last time; with nothing in it, only that another round is wanted."""

    snapshot: Snapshot | None = None  # the newest, with the causes of those that it replaces
    changes: tuple[Callable[[], None], ...] = ()  # to be made before the next round
    stop: bool = False

    def then(self, later: News) -> News:
        """Return both as one."""
        newest = later.snapshot or self.snapshot
        if self.snapshot and later.snapshot:
            newest = replace(later.snapshot, causes=self.snapshot.causes + later.snapshot.causes)
        return News(newest, self.changes + later.changes, self.stop or later.stop)


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


class LoopTarget(Protocol):
    """What the loop keeps at the model: a Worker with its target, or a Preview."""

    def start(self) -> None:
        """Get ready, before the first model."""

    def stop(self) -> None:
        """End what was started."""

    def leave(self) -> None:
        """End, but leave running what was started: the next lbgen takes it over."""

    def due(self) -> float | None:
        """Return when it wants to be asked again, by the clock, without a change, or None."""

    def bring_to(self, model: Model, snapshot: Snapshot) -> bool:
        """Take over the model; return whether it is in force. Never raises what one target alone is to blame for."""


@dataclass(frozen=True, slots=True)
class _Guards:
    """What stands around each thing that the loop does, so that no mistake in it ends the loop."""

    source: Guard
    turn: Guard
    rest: Guard
    round: Guard
    service: Guard
    change: Guard
    end: Guard

    @classmethod
    def of(cls, unexpected: UnexpectedErrors) -> _Guards:
        return cls(
            source=unexpected.guard(Part.SOURCE, "following"),
            turn=unexpected.guard(Part.ROUND, "what is due"),
            rest=unexpected.guard(Part.ROUND, "a pause"),
            round=unexpected.guard(Part.ROUND, "the newest snapshot"),
            service=unexpected.guard(Part.ROUND, "a service"),
            change=unexpected.guard(Part.SAVES, "saved settings"),
            end=unexpected.guard(Part.END),
        )


class Loop:
    """Follows one source and keeps the targets at what it says, until `stop`."""

    def __init__(
        self,
        source: Source,
        rules: Rules,
        targets: Sequence[LoopTarget],
        *,
        drain_grace: float = 10.0,
        files: CredentialReader | None = None,
        kept: KeptLabels | None = None,
        drains: Drains | None = None,
        inbox: Inbox | None = None,
        clock: Callable[[], float] = time.monotonic,
        unexpected: UnexpectedErrors = UNEXPECTED,
    ) -> None:
        """
        Args:
            files: reads what labels name, so that what is missing is a problem.
            kept: what services were served by; None: there is no past, and a mistake closes what it is about.
            drains: what operators drain; None: nothing.
            inbox: for who has something to say before there is a loop, such as a signal handler.
            unexpected: goes by the same clock.
        """
        self.source, self.targets, self.files, self.kept = source, targets, files, kept
        self.drains = drains or Drains()
        self.counters = Counters()
        self.accepted: Snapshot | None = None  # the snapshot in force, and the model of it
        self.flapping = Flapping(clock)
        self._newest: Snapshot | None = None  # as the source gave the one in force
        self.model = Model()
        self.held = 0  # servers that would vanish in a snapshot that the shrink guard holds
        self._held_causes: tuple[Cause, ...] = ()  # of such snapshots: the next one's source has told them already
        self.busy_since: float | None = None  # when the round under way began, by the clock
        self._clock, self._inbox = clock, inbox or Inbox(clock)
        self._builder, self._shrink_guard = Builder(rules, self._mistaken), ShrinkGuard()
        self._drain_clock = DrainClock(drain_grace, clock)
        self._problems: frozenset[str] = frozenset()
        self._to_do = News()  # what is known and not done: it failed, say
        self._ended = threading.Event()
        self._guards = _Guards.of(unexpected)

    def run(self) -> None:
        """Start the targets on their last good files, then follow until `stop`, which ends what they started.

        Whatever else ends this leaves it running, as a SIGKILL would.
        """
        for target in self.targets:
            target.start()
        threading.Thread(target=self._follow, name="follow", daemon=True).start()
        try:
            while not self._to_do.stop:
                if not self._guards.turn.tried(self._listen):
                    self._guards.rest.tried(self._rest)
                if not self._to_do.stop:
                    self._act()
        finally:
            self._ended.set()
            ends = [target.stop if self._to_do.stop else target.leave for target in self.targets]
            for end in (self.source.close, *ends):
                self._guards.end.tried(end)

    def stop(self) -> None:
        """End `run`. Safe in a signal handler."""
        self._inbox.put(News(stop=True))

    def poke(self) -> None:
        """Render again: templates have changed, say."""
        self._inbox.put(News())

    def between_rounds(self, change: Callable[[], None]) -> None:
        """Have something changed by the loop's own thread, before a round that follows at once."""
        self._inbox.put(News(changes=(change,)))

    def revise(self, rules: Rules, *, drain_grace: float, files: CredentialReader | None) -> None:
        """Go by other settings. Only between two rounds."""
        self._builder, self.files = Builder(rules, self._mistaken), files
        self._drain_clock.grace = drain_grace
        self._shrink_guard = ShrinkGuard()  # servers that vanish now are meant to

    def round(self, snapshot: Snapshot) -> bool:
        """Bring every target to the snapshot; return False instead if the shrink guard holds it."""
        self.busy_since = began = self._clock()
        try:
            return self._bring_to(snapshot)
        finally:
            self.busy_since = None
            self.counters.observe("round", self._clock() - began)

    def _follow(self) -> None:
        self._guards.source.keep_up(self._hand_on, self._ended.wait)

    def _hand_on(self) -> None:
        for snapshot in self.source.follow():
            self._inbox.put(News(snapshot))
            self._guards.source.worked()

    def _hear(self, until: float | None) -> None:
        self._to_do = self._to_do.then(self._inbox.wait(until))

    def _rest(self) -> None:
        """Wait for news, or for a while: it is not known what is due."""
        self._ended.wait(REST)  # not only in the inbox: that may be what fails
        self._hear(self._guards.turn.due)

    def _listen(self) -> None:
        """Wait for news, or until something is due."""
        self._hear(self._next_due())

    def _act(self) -> None:
        """Act on the news; what fails unexpectedly is left to do."""
        news, self._to_do = self._to_do, News()
        undone = tuple(change for change in news.changes if not self._guards.change.tried(change))
        newest = news.snapshot or self._newest
        done = newest is None or self._guards.round.tried(lambda: self.round(newest))
        self._to_do = News(None if done else news.snapshot, undone)

    def _next_due(self) -> float | None:
        moments = [target.due() for target in self.targets]
        moments += [self._drain_clock.due(), self.drains.due(), self.flapping.due()]
        moments += [self.kept.due()] if self.kept else []
        moments += [self._guards.round.due, self._guards.change.due]
        return min((moment for moment in moments if moment is not None), default=None)

    def _built(self, snapshot: Snapshot, asked: Mapping[str, float]) -> Model:
        mistakes = self._guards.service.count
        model = self._builder.build(snapshot, self._drain_clock.expired(draining(snapshot), asked))
        if self._guards.service.count == mistakes:
            self._guards.service.worked()
        return model

    def _mistaken(self, service: Service, error: Exception) -> None:
        self._guards.service.failed(error, service=service.name)

    def _bring_to(self, snapshot: Snapshot) -> bool:
        again = snapshot is self._newest or snapshot is self.accepted  # rendered again, it says nothing new
        served = self.flapping.damped(self.drains.applied(snapshot), self._builder.rules, news=not again)
        served = self.kept.whole(served, self._builder.rules) if self.kept else served
        asked = self.drains.origins(served)
        model = self._built(served, asked)
        vanished = self._shrink_guard.vanished(model, served.listing, asked)
        if not again:
            self.held = vanished
        if vanished:
            log.warning("held", servers_vanished=vanished, remedy="waiting for a second listing to confirm it")
            self.source.relist()
            if not again:
                self._held_causes = (*self._held_causes, *served.causes)[:MOST_CAUSES]
            return False
        if self._held_causes and not again:
            served = replace(served, causes=(*self._held_causes, *served.causes))
        if self.files:
            model = with_credential_problems(model, self.files.read(), here=True)
        if self.kept:
            self.kept.accept(served, self._builder)
        problems = {*model.problems, *self.flapping.problems, *self.drains.problems}
        problems |= {*(self.kept.problems if self.kept else ())}
        served = replace(served, causes=(*served.causes, *self.drains.causes()))
        self.model = model = replace(model, problems=tuple(sorted(problems)))
        self._report(model)
        for target in self.targets:
            target.bring_to(model, served)
        if not again:
            self._held_causes = ()
        # Causes are the targets' to remember now.
        self._newest, self.accepted = replace(snapshot, causes=()), replace(served, causes=())
        self.drains.accepted()
        if self.kept:
            self.kept.save()
        return True

    def _report(self, model: Model) -> None:
        """Log each problem once, when it appears, and once more when it is gone."""
        problems = frozenset(map(str, model.problems))
        for problem in sorted(problems - self._problems):
            log.warning("problem", problem=problem)
        for problem in sorted(self._problems - problems):
            log.info("problem_solved", problem=problem)
        self._problems = problems
