"""Several sources as one: each is followed in a thread of its own, and what is known of all is one snapshot.

A part that fails leaves the others alone, and what was known of it stays. The first snapshot waits for slow parts for
a while; in place of those that are away stands what an earlier run knew of them. Parts come and go while it runs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from lbgen.base.errors import SourceError
from lbgen.base.logs import log
from lbgen.base.unexpected import UNEXPECTED, Part, UnexpectedErrors
from lbgen.snapshot import Cause, Snapshot
from lbgen.source import PartState, Source
from lbgen.source.last_known import LastKnown
from lbgen.source.mailbox import Closed, Mailbox
from lbgen.source.merge import Placed, Whole, conflict, joined, split

HEAD_START = 5.0  # seconds that the first snapshot waits for parts that have not answered
OWN_IDS = frozenset({"docker"})  # kinds of sources whose ids are an engine's own, so that no other has them
LEAST = 4  # tasks; fewer may vanish from a part at once


@dataclass(slots=True)
class _Followed:
    """One source, and what is known of it."""

    name: str
    source: Source
    store: LastKnown | None
    placed: dict[str, Placed]  # by the name of the part: one, or those of a source that has parts itself
    answered: bool = False  # it has given a snapshot of its own
    doubted: int | None = None  # the listing in which most of its tasks were gone
    trouble: str = ""  # why its newest facts are not taken
    trouble_since: float | None = None  # seconds since 1970
    ended: threading.Event = field(default_factory=threading.Event)


class SeveralSources:
    """A `Source` made of others."""

    def __init__(
        self,
        parts: Mapping[str, Source],
        *,
        store: Callable[[str], LastKnown] | None = None,
        head_start: float = HEAD_START,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        unexpected: UnexpectedErrors = UNEXPECTED,
    ) -> None:
        """Follow nothing yet.

        Args:
            parts: the sources by name; that of one may be empty, where others are added to it.
            store: gives the file in which a part's last facts are kept; None: they are not.
        """
        self._store, self._head_start, self._wall_clock = store, head_start, wall_clock
        self._mailbox, self._unexpected = Mailbox(clock), unexpected
        self._lock = threading.RLock()  # around what the parts' threads and `follow` both write
        self._whole = Whole()
        self._causes: list[Cause] = []
        self._listings, self._news = 0, False  # whether something was learnt that was not handed on
        self._following = self._closed = False
        self._parts: dict[str, _Followed] = {}
        for name, source in parts.items():
            self._parts[name] = self._followed(name, source)

    def take(self) -> Snapshot:
        """Return one complete snapshot of all parts, or raise SourceError: one that fails is missing in it."""
        parts = self._parts.copy()
        with ThreadPoolExecutor(max(1, len(parts))) as pool:
            taken = {name: pool.submit(part.source.take) for name, part in parts.items()}
        facts: dict[str, Snapshot] = {}
        prefixes: dict[str, str] = {}
        failures = []
        for name, future in taken.items():
            try:
                own = _own_parts(name, future.result())
            except SourceError as error:
                failures.append(f"source {name}: {error}")
                continue
            facts |= own
            prefixes |= dict.fromkeys(own, self._prefix(parts[name].source, name))
        if failures:
            raise SourceError("; ".join(failures))
        return replace(joined(facts, prefixes), listing=1)

    def follow(self) -> Iterator[Snapshot]:
        """Yield a snapshot as soon as all parts have answered, or their head start is over, and after each change."""
        self._begin()
        try:
            self._mailbox.wait_until(self._complete, self._head_start)
            self._recall()
            while True:
                if snapshot := self._next():
                    yield snapshot
                self._mailbox.wait(float("inf"))
        except Closed:
            return

    def add(self, name: str, source: Source) -> None:
        """Follow one more part, in place of one that has its name; what was known of that one stays till it answers."""
        with self._lock:
            before = self._parts.get(name)
            part = self._followed(name, source)
            if before:
                self._end(before)
                part.placed, part.store = before.placed, before.store
            self._parts = {**self._parts, name: part}
            if self._following:
                self._start(part)

    def remove(self, name: str) -> None:
        """Follow a part no longer, and forget it: its servers are gone."""
        with self._lock:
            part = self._parts.get(name)
            if part is None:
                return
            self._end(part)
            self._parts = {other: each for other, each in self._parts.items() if other != name}
            if part.store:
                part.store.close()
                part.store.path.unlink(missing_ok=True)
            self._causes.append(Cause(f"source {name}: removed", self._wall_clock()))
            self._news = True
        self._mailbox.tell()

    def relist(self) -> None:
        """Ask every part for a new listing."""
        for part in self._parts.copy().values():
            part.source.relist()

    def close(self) -> None:
        """End all parts; what is known of them is on disk then."""
        self._closed = True
        self._mailbox.close()
        for part in self._parts.copy().values():
            self._end(part)
            if part.store:
                part.store.close()

    def states(self) -> tuple[PartState, ...]:
        """Return how it goes with each part."""
        return tuple(self._state(part) for part in self._parts.copy().values())

    @property
    def sources(self) -> list[Source]:
        """The sources, without names."""
        return [part.source for part in self._parts.copy().values()]

    def risks(self) -> list[str]:
        """Return one line for each risk in the parts' settings; ask nobody."""
        found = []
        for name, part in self._parts.items():
            risks: Callable[[], list[str]] = getattr(part.source, "risks", list)
            found += [f"source {name}: {risk}" for risk in risks()]
        return found

    def _state(self, part: _Followed) -> PartState:
        state = part.source.states()[0]
        known = any(placed.facts.services or placed.facts.nodes for placed in part.placed.values())
        failing, since = (part.trouble, part.trouble_since) if part.trouble else (state.failing, state.failing_since)
        return replace(state, name=part.name, failing=failing, failing_since=since, facts=known)

    def _followed(self, name: str, source: Source) -> _Followed:
        return _Followed(name, source, self._store(name) if self._store and name else None, {})

    def _prefix(self, source: Source, name: str) -> str:
        return "" if not name or source.states()[0].kind in OWN_IDS else f"{name}/"

    def _begin(self) -> None:
        with self._lock:
            if not self._following:
                self._following = True
                for part in self._parts.values():
                    self._start(part)

    def _start(self, part: _Followed) -> None:
        threading.Thread(target=self._follow, args=[part], name=f"follow-{part.name}", daemon=True).start()

    def _end(self, part: _Followed) -> None:
        part.ended.set()
        self._unexpected.guard(Part.END).tried(part.source.close)

    def _follow(self, part: _Followed) -> None:
        guard = self._unexpected.guard(Part.SOURCE, f"source {part.name}")

        def hand_on() -> None:
            for snapshot in part.source.follow():
                self._learn(part, snapshot)
                guard.worked()

        guard.keep_up(hand_on, part.ended.wait)

    def _learn(self, part: _Followed, snapshot: Snapshot) -> None:
        """Take over what a part says, in its thread."""
        with self._lock:
            if part.ended.is_set() or self._parts.get(part.name) is not part:
                return
            self._listings += 1
            self._news = True  # also of what changed nothing: it may confirm what the loop doubts
            if self._doubtful(part, snapshot):
                return
            if self._accept(part, snapshot):
                part.answered = True
                if part.store:
                    part.store.keep(replace(snapshot, causes=()))
        self._mailbox.tell()

    def _doubtful(self, part: _Followed, snapshot: Snapshot) -> bool:
        """Tell whether most of a part's tasks are gone, which another listing of its has to confirm."""
        before = sum(len(placed.facts.tasks) for placed in part.placed.values())
        gone = before - len(snapshot.tasks)
        if gone < LEAST or gone * 2 <= before or (part.doubted is not None and snapshot.listing > part.doubted):
            part.doubted = None
            return False
        if part.doubted is None:
            log.warning(
                "held", source=part.name, tasks_vanished=gone, remedy="waiting for a second listing to confirm it"
            )
            part.doubted = snapshot.listing
        part.source.relist()
        return True

    def _accept(self, part: _Followed, snapshot: Snapshot) -> bool:
        """Put a part's facts in the place of those before, unless they cannot stand beside the others'."""
        facts = _own_parts(part.name, snapshot)
        others = {name: each for own in self._parts.values() if own is not part for name, each in own.placed.items()}
        prefix = self._prefix(part.source, part.name)
        known = {name: each for name, each in part.placed.items() if each.prefix == prefix}
        placed = {name: known.get(name) or Placed(name, prefix) for name in facts}
        objects = {name: placed[name].placed(own) for name, own in facts.items()}
        taken = (f"has a part {name}, and there is another one" for name in facts if name in others)
        clashes = (conflict(placed[name], own, objects[name], others) for name, own in facts.items())
        if trouble := next(filter(None, (*taken, *clashes)), ""):
            self._refuse(part, trouble)
            return False
        part.trouble, part.trouble_since = "", None
        for name, own in facts.items():
            placed[name].accept(own, objects[name])
        part.placed, self._news = placed, True
        of = f" (source {part.name})" if part.name else ""
        self._causes += [replace(cause, text=f"{cause.text}{of}") for cause in snapshot.causes]
        return True

    def _refuse(self, part: _Followed, trouble: str) -> None:
        if part.trouble != trouble:
            log.error("source_refused", source=part.name, error=trouble, effect="what was known of it stays in force")
            part.trouble, part.trouble_since = trouble, self._wall_clock()

    def _complete(self) -> bool:
        return all(part.answered or part.trouble for part in self._parts.values())

    def _recall(self) -> None:
        """Put what an earlier run knew in the place of parts that have not answered."""
        with self._lock:
            for part in self._parts.values():
                if not (part.answered or part.placed):
                    self._recall_part(part)

    def _recall_part(self, part: _Followed) -> None:
        facts = part.store.read() if part.store else None
        if facts is None or not self._accept(part, facts):
            log.warning("source_unknown", source=part.name, effect="nothing of it is served until it answers")
            return
        since = f"{datetime.fromtimestamp(facts.taken_at, UTC):%F %T} UTC"
        log.warning("source_away", source=part.name, effect=f"what was known of it at {since} is served")
        self._causes.append(Cause(f"source {part.name}: away, so what was known at {since}", self._wall_clock()))

    def _next(self) -> Snapshot | None:
        with self._lock:
            placed = {name: each for part in self._parts.values() for name, each in part.placed.items()}
            if not (placed and self._news):  # of nothing that is known no snapshot is made: it would empty the proxy
                return None
            self._news = False
            causes, self._causes = tuple(self._causes), []
            notes = tuple(note for each in placed.values() for note in each.facts.notes)
            taken = max(each.facts.taken_at for each in placed.values())
            whole = self._whole.of(placed)
            return replace(whole, causes=causes, notes=notes, taken_at=taken, listing=self._listings)


def _own_parts(name: str, snapshot: Snapshot) -> dict[str, Snapshot]:
    """Return a source's parts by the names that they have in the whole: its own, or those below it."""
    if not snapshot.parts:
        return {name: snapshot}
    return {f"{name}-{part}" if name and part else name or part: facts for part, facts in split(snapshot).items()}
