"""The whole order on one page: newest snapshot -> model -> every target; the only holder of state.

The first change is applied at once; what arrives meanwhile is folded into the next round.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from lbgen.base.logs import log
from lbgen.daemon.counters import Counters
from lbgen.daemon.shrink_guard import ShrinkGuard
from lbgen.model import Builder, Model, Rules
from lbgen.model.servers import leaving
from lbgen.render.credentials import Reader, noted
from lbgen.snapshot import Snapshot
from lbgen.source import Source


class Follower(Protocol):
    """What is kept at the model: a Target, or a Preview."""

    def start(self) -> None:
        """Get ready, before the first model."""

    def stop(self) -> None:
        """End what was started."""

    def due(self) -> float | None:
        """Return when (time.monotonic) it wants to be asked again without a change, or None."""

    def bring_to(self, model: Model, snapshot: Snapshot) -> bool:
        """Take over the model; return whether it is in force. Never raises what one target alone is to blame for."""


class Loop:
    """Follows one source and keeps the targets at what it says, until `stop`."""

    def __init__(
        self,
        source: Source,
        rules: Rules,
        targets: Sequence[Follower],
        *,
        drain_grace: float = 10.0,
        files: Reader | None = None,
    ) -> None:
        """
        Args:
            files: reads what labels name, so that what is missing is a problem.
        """
        self.source, self.targets = source, targets
        self._builder = Builder(rules)
        self._drains = DrainClock(drain_grace)
        self._guard = ShrinkGuard()
        self.files = files
        self._wake = threading.Condition()
        self.accepted: Snapshot | None = None  # the snapshot in force, and the model of it
        self.model = Model()
        self.busy_since: float | None = None  # when the round under way began (time.monotonic)
        self.held = 0  # servers that would vanish in a snapshot that the shrink guard holds
        self.counters = Counters()
        self._arrived: Snapshot | None = None  # newest snapshot not looked at yet
        self._poked = self._stopping = False
        self._changes: list[Callable[[], None]] = []  # to be made before the next round
        self._problems: frozenset[str] = frozenset()
        self._broken: Exception | None = None

    def run(self) -> None:
        """Start the targets on their last good files, then follow. Returns after `stop`."""
        for target in self.targets:
            target.start()
        follower = threading.Thread(target=self._follow, name="follow", daemon=True)
        follower.start()
        try:
            while not self._stopping:
                newest = self._await(self._next_due()) or self.accepted
                self._make_changes()
                if newest and not self._stopping and self._round(newest):
                    self.accepted = replace(newest, causes=())  # they are the targets' to remember now
        finally:
            self.source.close()
            for target in self.targets:
                target.stop()
        if self._broken:
            raise self._broken

    def stop(self) -> None:
        """End `run`. Safe in a signal handler's thread."""
        self._stopping = True
        self.poke()

    def poke(self) -> None:
        """Render again: templates have changed, say."""
        with self._wake:
            self._poked = True
            self._wake.notify()

    def between_rounds(self, change: Callable[[], None]) -> None:
        """Have something changed by the loop's own thread, before a round that follows at once."""
        with self._wake:
            self._changes.append(change)
        self.poke()

    def revise(self, rules: Rules, *, drain_grace: float, files: Reader | None) -> None:
        """Go by other settings. Only between two rounds."""
        self._builder, self.files = Builder(rules), files
        self._drains.grace = drain_grace
        self._guard = ShrinkGuard()  # servers that vanish now are meant to

    def _make_changes(self) -> None:
        with self._wake:
            changes, self._changes = self._changes, []
        for change in changes:
            change()

    def _follow(self) -> None:
        try:
            for snapshot in self.source.follow():
                with self._wake:
                    # Whatever is skipped was a cause of what follows.
                    missed = self._arrived.causes if self._arrived else ()
                    self._arrived = replace(snapshot, causes=missed + snapshot.causes) if missed else snapshot
                    self._wake.notify()
        except Exception as error:  # a source that dies silently would leave the proxy without news for ever
            self._broken = error
            self.stop()

    def _await(self, due: float | None) -> Snapshot | None:
        """Wait for a snapshot, a poke or a moment; return the newest snapshot, if one arrived."""
        with self._wake:
            if not self._arrived and not self._poked:
                self._wake.wait(None if due is None else max(0.0, due - time.monotonic()))
            arrived, self._arrived, self._poked = self._arrived, None, False
            return arrived

    def _next_due(self) -> float | None:
        moments = [target.due() for target in self.targets] + [self._drains.due()]
        return min((moment for moment in moments if moment is not None), default=None)

    def _round(self, snapshot: Snapshot) -> bool:
        """Bring every target to the snapshot; return False instead if the shrink guard holds it."""
        self.busy_since = began = time.monotonic()
        try:
            return self._bring_to(snapshot)
        finally:
            self.busy_since = None
            self.counters.observe("round", time.monotonic() - began)

    def _bring_to(self, snapshot: Snapshot) -> bool:
        model = self._builder.build(snapshot, self._drains.over(leaving(snapshot)))
        vanished = self._guard.vanished(model, snapshot.listing)
        if snapshot is not self.accepted:  # rendered again, that one says nothing about what is held
            self.held = vanished
        if vanished:
            log.warning("held", servers_vanished=vanished, remedy="waiting for a second listing to confirm it")
            self.source.relist()
            return False
        if self.files:
            model = noted(model, self.files.read(), here=True)
        self.model = model
        self._report(model)
        for target in self.targets:
            target.bring_to(model, snapshot)
        return True

    def _report(self, model: Model) -> None:
        """Log each problem once, when it appears, and once more when it is gone."""
        problems = frozenset(map(str, model.problems))
        for problem in sorted(problems - self._problems):
            log.warning("problem", problem=problem)
        for problem in sorted(self._problems - problems):
            log.info("problem_solved", problem=problem)
        self._problems = problems


class DrainClock:
    """How long each task or node has been leaving, by this process's own clock."""

    def __init__(self, grace: float) -> None:
        self.grace = grace
        self._since: dict[str, float] = {}
        self._over: frozenset[str] = frozenset()

    def over(self, leaving: frozenset[str]) -> frozenset[str]:
        """Note who is leaving now; return those whose grace is over."""
        now = time.monotonic()
        self._since = {id_: self._since.get(id_, now) for id_ in leaving}
        self._over = frozenset(id_ for id_, since in self._since.items() if now >= since + self.grace)
        return self._over

    def due(self) -> float | None:
        """Return when (time.monotonic) the next grace ends that `over` has not told of, or None."""
        # Not "the next after now": one that ended during a round would never be told.
        return min((since + self.grace for id_, since in self._since.items() if id_ not in self._over), default=None)
