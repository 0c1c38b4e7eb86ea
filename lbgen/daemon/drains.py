"""What an operator drains, put into each snapshot before the model is made of it.

The file is read when it has changed; the loop's watch of files says when that may be. One that cannot be read changes
nothing: what was read last stays in force. Names that mean nothing now are kept, and told: their host may come back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from lbgen.base.fingerprint import Fingerprint, fingerprint
from lbgen.base.logs import log
from lbgen.base.problem import Problem
from lbgen.daemon import drain_store
from lbgen.daemon.drain_store import BadDrains, Drain
from lbgen.model.drain_names import Meant, meant
from lbgen.snapshot import Cause, Node, Snapshot, Task

T = TypeVar("T", Node, Task)
RECENT = 60.0  # seconds for which the time of the command counts as that of the change


@dataclass(frozen=True, slots=True)
class _Marked:
    """What was made of the last snapshot, so that what has not changed stays the same object."""

    facts: tuple[object, ...]  # the mappings it was made of
    names: tuple[str, ...]
    snapshot: Snapshot
    meant: tuple[Meant, ...]


class Drains:
    """Reads the file and marks nodes and tasks. Used by the loop's thread; what it shows may be read by any."""

    def __init__(
        self,
        path: Path | None = None,
        clock: Callable[[], float] = time.time,
        loop_clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            path: of the file, which need not be there; None: nothing is ever drained.
            clock: seconds since 1970.
            loop_clock: what `due` goes by.
        """
        self.path, self._clock, self._loop_clock = path, clock, loop_clock
        self.asked: tuple[Drain, ...] = ()  # in force, by name
        self.meant: tuple[Meant, ...] = ()  # what their names mean in the newest snapshot
        self.problems: tuple[Problem, ...] = ()
        self._read: dict[str, Drain] = {}
        self._stamp: Fingerprint | str | None = "not read yet"
        self._complaint = ""
        self._marked: _Marked | None = None
        self._told: Mapping[str, Meant] | None = None  # what history knows of, by name; None: nothing was applied yet

    def due(self) -> float | None:
        """Return when, by the loop's clock, the next drain ends by itself, or None."""
        ends = min((drain.until for drain in self.asked if drain.until is not None), default=None)
        return None if ends is None else self._loop_clock() + max(0.0, ends - self._clock())

    def applied(self, snapshot: Snapshot) -> Snapshot:
        """Return the snapshot with the nodes and tasks marked that an operator drains."""
        self._look()
        now = self._clock()
        self.asked = tuple(drain for drain in self._read.values() if drain.until is None or drain.until > now)
        if not self.asked:
            self._marked, self.meant = None, ()
        else:
            self._mark(snapshot, tuple(drain.name for drain in self.asked))
        self.problems = tuple(self._problems())
        if not self._marked:
            return snapshot
        marked = self._marked.snapshot
        return replace(snapshot, nodes=marked.nodes, tasks=marked.tasks)

    def origins(self, snapshot: Snapshot) -> dict[str, float]:
        """Return the ids of the nodes and tasks that are drained, and for how many seconds each has been asked for."""
        now, since = self._clock(), {drain.name: drain.since for drain in self.asked}
        ages: dict[str, float] = {}
        for each in self.meant:
            age = max(0.0, now - since.get(each.name, now))
            for id_ in (*each.nodes, *each.tasks):
                ages[id_] = max(age, ages.get(id_, 0.0))
        if ages:
            nodes = {id_ for id_ in ages if id_ in snapshot.nodes}
            on_them = {task.id: ages[task.node_id] for task in snapshot.tasks.values() if task.node_id in nodes}
            ages = {**on_them, **ages}
        return ages

    def causes(self) -> tuple[Cause, ...]:
        """Return what has changed since `accepted` was called; nothing in a daemon's first round."""
        if self._told is None:
            return ()
        now = self._clock()
        known = {each.name: each for each in self.meant if each.kind}
        since = {drain.name: drain for drain in self.asked}
        told = []
        for name in known.keys() - self._told.keys():
            drain = since[name]
            why = f" ({drain.reason})" if drain.reason else ""
            at = drain.since if now - drain.since < RECENT else now
            told.append(Cause(f"drained by an operator: {known[name].label}{why}", at))
        for name in self._told.keys() - known.keys():
            what = "drained by an operator, and not there any more" if name in since else "no longer drained"
            told.append(Cause(f"{what}: {self._told[name].label}", self._changed_at(now)))
        return tuple(sorted(told, key=lambda cause: cause.text))

    def accepted(self) -> None:
        """Take what `causes` tells for told: the targets have it."""
        self._told = {each.name: each for each in self.meant if each.kind}

    def _look(self) -> None:
        """Read the file if it may have changed."""
        if self.path is None:
            return
        stamp = fingerprint(self.path)
        if stamp == self._stamp and (stamp is None or stamp.settled()) and not self._complaint:
            return
        if stamp is None and not self.path.parent.is_dir():
            return  # what is there is not known
        self._stamp = stamp
        try:
            self._read = drain_store.read(self.path)
        except BadDrains as error:
            if self._complaint != str(error):
                log.error("drains_refused", error=str(error), effect="what was drained before stays drained")
            self._complaint = str(error)
            return
        if self._complaint:
            log.info("drains_usable_again", file=str(self.path))
        self._complaint = ""

    def _changed_at(self, now: float) -> float:
        """Return when the file was changed."""
        at = self._stamp.modified / 1e9 if isinstance(self._stamp, Fingerprint) else now
        return at if 0 <= now - at < RECENT else now

    def _mark(self, snapshot: Snapshot, names: tuple[str, ...]) -> None:
        facts = (snapshot.nodes, snapshot.services, snapshot.tasks)
        before = self._marked
        if before and before.names == names and all(a is b for a, b in zip(before.facts, facts, strict=True)):
            return
        self.meant = tuple(meant(name, snapshot) for name in names)
        nodes = frozenset[str]().union(*(each.nodes for each in self.meant))
        tasks = frozenset[str]().union(*(each.tasks for each in self.meant))
        old = before.snapshot if before else None
        marked = replace(
            snapshot,
            nodes=_with_marks(snapshot.nodes, nodes, old.nodes if old else {}),
            tasks=_with_marks(snapshot.tasks, tasks, old.tasks if old else {}),
            causes=(),
        )
        self._marked = _Marked(facts, names, marked, self.meant)

    def _problems(self) -> list[Problem]:
        file = str(self.path)
        told = []
        if self._complaint:
            remedy = "correct it, or remove it and drain anew"
            message = f"{self._complaint.removeprefix(f'{file}: ')}; what was drained before stays drained"
            told.append(Problem("", message, remedy, file=file))
        for each in self.meant:
            if not each.kind:
                message = f"{each.name} is to be drained, and no node, host or server has this name now"
                told.append(Problem("", message, f"'lbgen drain --undo {each.name}' forgets it", file=file, note=True))
        return told


def _with_marks(items: Mapping[str, T], ids: Collection[str], before: Mapping[str, Any]) -> Mapping[str, T]:
    """Return the items, those of these ids marked; what is equal to what it was before is the same object."""
    if not ids:
        return items
    marked = dict(items)
    for id_ in ids:
        item = replace(items[id_], drain_asked=True)
        # Compared whole: what `==` leaves out, such as a time, is to be the newest.
        known = before.get(id_)
        marked[id_] = known if known is not None and known == item and _times(known) == _times(item) else item
    same = len(marked) == len(before) and all(before.get(id_) is item for id_, item in marked.items())
    return before if same else marked


def _times(item: Node | Task) -> str:
    return item.updated_at if isinstance(item, Node) else item.state_at
