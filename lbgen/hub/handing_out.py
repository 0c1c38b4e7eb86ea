"""Hands settings and templates out to edges, one version after another, as the rollout's table says.

All of it happens in one thread, which looks at the edges, at the directory and at what `lbgen hub rollout` wrote. What
was decided is on disk before any edge hears of it, so that a hub that is started again goes on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lbgen.base.file_watch import watched
from lbgen.base.logs import log
from lbgen.base.unexpected import UNEXPECTED, Part
from lbgen.hub import fleet
from lbgen.hub.fleet import Fleet, FleetRefused
from lbgen.hub.rollout import Event, Phase, Rollout
from lbgen.hub.rollout_events import EdgeState, Site
from lbgen.hub.rollout_store import Kept, RolloutStore, StoreFailed, VersionLost
from lbgen.hub.seen import Seen
from lbgen.settings.fleet import FleetSettings
from lbgen.source.hub.handout import Bundle, Handout

LOOK = 1.0  # seconds between two looks
AGAIN = 60.0  # seconds after which an edge that has answered something else is handed the same once more
Labels = tuple[tuple[str, str], ...]
UNANSWERED = 900.0  # seconds after which one that has not answered at all is; a trial takes a minute at most
MOST_AT_ONCE = 50  # edges that are busy with it: each message is as large as the bundle, and one may refuse it yet
UNREAD = 30.0  # seconds after which an edge that has not answered keeps no other one waiting
_COMMANDS = {"resume": Event.RESUME, "abort": Event.ABORT}


@dataclass(frozen=True)
class _Handed:
    """What an edge was handed last, over which connection, and when."""

    version: str
    sequence: int
    connection: float
    at: float


class HandingOut:
    """One hub's rollouts."""

    def __init__(
        self,
        settings: FleetSettings,
        store: RolloutStore,
        sign: Callable[[bytes], bytes],
        edges: Callable[[], Mapping[str, Seen]],
        send: Callable[[str, dict[str, Any]], None],
        clock: Callable[[], float] = time.time,
        *,
        waits: Callable[[], str] = lambda: "",
    ) -> None:
        """
        Args:
            sign: by the key of the fleet's authority.
            edges: all that are known, by name.
            send: sends a message's body to an edge, if it is connected.
            waits: names the hub that hands settings out in place of this one; empty: none.
        """
        self._settings, self._store, self._sign, self._edges, self._send = settings, store, sign, edges, send
        self._clock, self._began, self._waits = clock, clock(), waits
        self._canaries = frozenset(settings.canaries)
        kept = store.read()
        self._rollout, self._sequences = kept.rollout, dict(kept.sequences)
        self._fleets: dict[str, Fleet | None] = {}
        self._bundles: dict[
            tuple[str, str, Labels], tuple[Bundle, str] | None
        ] = {}  # by the directory's version, and edge
        self._handed: dict[str, _Handed] = {}
        self._seen: Mapping[str, Seen] = {}
        self._saved, self._complaint, self._unwritten = True, "", ""
        self._ended, self._news = False, threading.Event()
        self._guard = UNEXPECTED.guard(Part.HUB, "handing out settings", effect="edges keep what they have")
        self._thread = threading.Thread(target=self._run, name="fleet", daemon=True)

    @property
    def rollout(self) -> Rollout:
        """The rollout, as it is now."""
        return self._rollout

    @property
    def waiting(self) -> str:
        """The hub that hands settings out in place of this one; empty: none."""
        return self._waits()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._ended = True
        self._news.set()
        if self._thread.ident:
            self._thread.join(5.0)

    def tell(self) -> None:
        """Have it look at once: an edge has said something."""
        self._news.set()

    def saved(self) -> None:
        """Have the directory read again."""
        self._saved = True
        self._news.set()

    def step(self) -> None:
        """Look once, and do what follows."""
        self._seen = self._edges()
        if leader := self._waits():
            self._wait_for(leader)
            return
        if self._saved:
            self._saved = False
            try:
                self._read_directory()
            except StoreFailed:
                self._saved = True
                raise
        if event := _COMMANDS.get(self._store.command()):
            self._follow(event, "lbgen hub rollout abort" if event is Event.ABORT else "")
        for _ in Phase:  # as many as there are: no edge can keep it busy
            site = self._site()
            self._note_ready(site)
            found = site.next_event(self._clock())
            if found is None:
                break
            self._follow(*found)
        self._hand_out()
        self._store.write(self._kept())

    def _run(self) -> None:
        with watched(lambda: [self._settings.directory], self.saved):
            while not self._ended:
                self._guard.tried(self.look)
                self._news.wait(LOOK)
                self._news.clear()

    def look(self) -> None:
        """Do a step; where it cannot be written that is told once, and the step is done another time."""
        unwritten = ""
        try:
            self.step()
        except StoreFailed as error:
            unwritten = str(error)
        if unwritten != self._unwritten:
            if unwritten:
                effect = "edges keep what they have, and are handed nothing; it is tried again"
                log.error("rollout_unwritten", error=unwritten, effect=effect)
            else:
                log.info("rollout_written_again")
        self._unwritten = unwritten

    def _wait_for(self, leader: str) -> None:
        """Leave the edges to another hub: two would take from each other what they hand out."""
        why = f"hub {leader} hands settings out, and this one only while that one cannot be reached"
        if why != self._complaint:
            log.warning("fleet_waits", hub=leader, effect=why, remedy="give hub.fleet to one hub")
        self._complaint, self._saved = why, True
        self._store.write(self._kept())

    def _read_directory(self) -> None:
        """Begin another rollout if there is another version; what cannot be used is told once, and changes nothing."""
        try:
            found = fleet.read(self._settings.directory)
        except (FleetRefused, OSError) as error:
            if str(error) != self._complaint:
                log.error(
                    "fleet_refused", error=str(error), effect="the version before stays the one that is handed out"
                )
            self._complaint = str(error)
            return
        self._complaint = ""
        if found.version != self._rollout.version or self._rollout.phase is Phase.IDLE:
            self._store.keep(found)
            self._rollout = self._rollout.of(found.version, self._clock())
            self._bundles.clear()
            self._fleets.clear()
            log.info("rollout", phase=self._rollout.phase.value, version=found.version)

    def _follow(self, event: Event, reason: str = "") -> None:
        before, self._rollout = self._rollout, self._rollout.after(event, self._clock(), reason)
        if self._rollout is before:
            return
        tell = log.error if self._rollout.phase is Phase.STOPPED else log.info
        tell(
            "rollout", phase=self._rollout.phase.value, version=self._rollout.version, after=event.value, reason=reason
        )

    def _site(self) -> Site:
        states = {name: self._state(name, seen) for name, seen in self._seen.items()}
        wanted = {}
        for name in {*states, *self._canaries}:
            found = self._wanted(name)
            wanted[name] = found[1] if found else states.get(name, EdgeState()).version
        return Site(self._rollout, states, self._canaries, wanted.__getitem__, self._settings.pause, self._began)

    def _state(self, name: str, seen: Seen) -> EdgeState:
        state, handed = seen.state(), self._handed.get(name)
        if handed and handed.sequence > state.sequence:  # it speaks of what it was handed before
            return replace(state, refused="")
        return state

    def _note_ready(self, site: Site) -> None:
        for name in self._rollout.tried & site.edges.keys():
            state = site.edges[name]
            if state.ready and state.has(site.wanted(name)):
                self._rollout = self._rollout.handed(name, ready=True)

    def _wanted(self, edge: str) -> tuple[Bundle, str] | None:
        """Return the bundle that an edge is to have now, and its version; None: what it has."""
        version = self._rollout.version_for(edge, self._canaries)
        if not version and edge not in self._rollout.tried:
            return None  # this hub never handed it anything: what it has may be of one that has lost its state
        labels = self._seen.get(edge, Seen()).labels
        key = version, edge, tuple(sorted(labels.items()))
        if key not in self._bundles:
            fleet = self._fleet(version)
            bundle = fleet.bundle(edge, labels) if fleet else None
            self._bundles[key] = (bundle, bundle.version) if bundle else None
        return self._bundles[key]

    def _fleet(self, version: str) -> Fleet | None:
        if version and version not in self._fleets:
            try:
                self._fleets[version] = self._store.fleet(version)
            except VersionLost as error:
                log.error(
                    "fleet_version_lost", error=str(error), effect="edges that are to have it keep what they have"
                )
                self._fleets[version] = None
        return self._fleets[version] if version else Fleet()

    def _hand_out(self) -> None:
        """Give edges what they are to have; on disk is first what they are given."""
        site, now = self._site(), self._clock()
        due = [name for name in site.to_hand_out() if self._is_due(name, site, now)]
        unread = [name for name, handed in self._handed.items() if now - handed.at < UNREAD and name in site.edges]
        busy = [name for name in unread if site.edges[name].sequence < self._handed[name].sequence]
        due = due[: max(0, MOST_AT_ONCE - len(busy))]
        if not due:
            return
        for name in due:
            self._sequences[name] = max(self._sequences.get(name, 0), site.edges[name].sequence) + 1
            if self._rollout.version_for(name, self._canaries) == self._rollout.version:
                self._rollout = self._rollout.handed(name, ready=site.edges[name].ready)
        self._store.write(self._kept())
        for name in due:
            found = self._wanted(name)
            if found is None:
                continue
            bundle, version = found
            self._handed[name] = _Handed(version, self._sequences[name], self._seen[name].since, now)
            self._send(name, Handout(name, self._sequences[name], bundle).signed(self._sign))
            log.info("fleet_handed_out", edge=name, version=version or "none", sequence=self._sequences[name])

    def _is_due(self, name: str, site: Site, now: float) -> bool:
        """Tell whether an edge is to be handed something: not while it has yet to answer over the same connection."""
        handed, wanted = self._handed.get(name), site.wanted(name)
        if handed is None or handed.version != wanted or handed.connection != self._seen[name].since:
            return True
        if site.edges[name].refused == wanted and wanted:  # it was resumed
            return True
        answered = site.edges[name].sequence >= handed.sequence
        return now - handed.at >= (AGAIN if answered else UNANSWERED)

    def _kept(self) -> Kept:
        site = self._site()
        edges = {
            name: {"version": state.version, "refused": state.refused, "error": state.error, "ready": state.ready,
                   "connected": state.connected, "accept": list(state.accept), "wanted": site.wanted(name)}
            for name, state in sorted(site.edges.items())
        }  # fmt: skip
        return Kept(self._rollout, self._sequences, site.awaited(), edges, sorted(self._canaries), self._complaint)
