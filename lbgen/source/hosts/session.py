"""An engine without Swarm, for as long as it answers: subscribe, list, look again at what is said to have changed.

What is told is looked at within one request; everything is listed anew on a timer, and what that finds and nobody had
told is counted, as with a Swarm's manager.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from lbgen.base.logs import log
from lbgen.source.engine.api import Engine
from lbgen.source.engine.events import ChangeStream, StreamKind
from lbgen.source.engine.schedule import Drift, Pace, Schedule
from lbgen.source.engine.subscription import POLLING, Counters, Subscription
from lbgen.source.facts import ALL, changed
from lbgen.source.hosts.containers import Container, Details
from lbgen.source.hosts.events import CONTAINERS, EVENTS, Happening
from lbgen.source.hosts.grouping import EngineFacts, Moments, stamp_of
from lbgen.source.hosts.host import Host
from lbgen.source.hosts.listing import Containers, Reader
from lbgen.source.hosts.said import STATES, Said
from lbgen.source.hosts.stopping import Stopping
from lbgen.source.mailbox import Mailbox

T = TypeVar("T")
MANY = 50  # containers that changed at once; more are found quicker in a list of all
POLLED = frozenset({CONTAINERS})
PASSING = frozenset({"created", "restarting", "starting", "removing"})  # states that a container soon leaves
_ENDS = frozenset({"die", "start", "destroy"})  # after these a signal that was sent before is no news any more


@dataclass(frozen=True, slots=True)
class Found:
    """What there is on a host now."""

    containers: Containers
    engine: EngineFacts
    moments: Moments
    listing: int = 0  # number that was wanted when everything was listed; 0: only some was


@dataclass(frozen=True, slots=True)
class Needs:
    """What a session needs besides its engine."""

    host: Host
    pace: Pace
    rng: random.Random
    mailbox: Mailbox
    counters: Counters
    wanted: Callable[[], int]  # number of the listing that is wanted
    found: Callable[[Found], None]  # called after each look that found something, or listed everything


class Session:
    """One engine, followed until it fails. Mode and stream may be read from any thread."""

    def __init__(self, engine: Engine, known: Containers, needs: Needs) -> None:
        """
        Args:
            known: the containers, as they were when the engine answered last.
        """
        self.engine, self.containers = engine, known
        self._needs, self._mailbox, self._pace, self._clock = needs, needs.mailbox, needs.pace, needs.mailbox.clock
        self._reader = Reader(engine, needs.host)
        self._facts = EngineFacts()
        self._at: dict[str, str] = {}  # id of a container -> when what changed it happened
        self._stopping, self._said = Stopping(self._clock), Said(self._clock)
        self._schedule = Schedule(self._pace, needs.rng, polled=POLLED)
        self._drift = Drift(self._pace, covers=frozenset())
        self._next_ping = self._clock() + self._pace.slow
        self._log = log.bind(host=needs.host.name)
        self._subscription = Subscription(
            [EVENTS],
            self._subscribe,
            self._mailbox.wait_until,
            *(self._pace, needs.rng, self._clock, needs.counters, self._log),
        )

    @property
    def mode(self) -> str:
        """How changes are learnt now."""
        return self._subscription.mode

    @property
    def stream(self) -> ChangeStream | None:
        """What tells of changes now; None while they are polled for."""
        return self._subscription.changes

    def follow(self) -> None:
        """Follow until the engine fails: SourceError; or the source is closed: Closed."""
        try:
            self._facts = self._run(self._reader.engine_facts)
            while True:
                self._turn()
        finally:
            self._subscription.close()

    def once(self) -> Found:
        """Return what there is now, without following."""
        self._facts = self._reader.engine_facts().with_networks(self._reader.networks())
        return Found(self._reader.all({}), self._facts, Moments(), 1)

    def _turn(self) -> None:
        """Wait for what is told or due, and act on it."""
        if self._subscription.ensure():
            self._drift = Drift(self._pace, self.stream.covers if self.stream else frozenset())
            self._schedule.want_all()
            self._schedule.polled = POLLED if self.mode == POLLING else frozenset()
        parts = (self._schedule, self._drift, self._subscription, self._stopping, self._said)
        self._hear(min(self._next_ping, *(part.due() for part in parts)))
        self._judge()
        if self._stopping.expire():
            self._tell()
        self._look_at(self._said.take_due(), {})
        if self._schedule.due() <= self._clock():
            self._list_all()
        elif self._next_ping <= self._clock():
            # A connection whose other end is gone says nothing: neither would the stream.
            self._run(lambda: self.engine.body("/_ping"))

    def _subscribe(self, kind: StreamKind) -> ChangeStream:
        return self._run(lambda: kind.subscribe(self.engine, self._mailbox))

    def _run(self, work: Callable[[], T]) -> T:
        done = self._mailbox.run(self.engine.endpoint.name, work, 6 * self._pace.timeout, self.engine.line.cut)
        self._next_ping = self._clock() + self._pace.slow
        return done

    def _hear(self, until: float) -> None:
        mail = self._mailbox.wait(until)
        self._drift.heard(mail.kinds, mail.changes)
        if mail.relist or mail.kinds or len(mail.changes) > MANY:
            self._schedule.want_all()
        if mail.changes:
            self._look([change.item for change in mail.changes])

    def _judge(self) -> None:
        """Count what listings found and the stream never told; a stream that misses changes is replaced."""
        if untold := self._drift.judged(self._clock()):
            counters = self._needs.counters
            counters.drift += sum(untold.values())
            self._log.warning("source_drift", containers=sum(untold.values()), drift_total=counters.drift)
            self._subscription.restart()

    def _look(self, happenings: Iterable[Happening]) -> None:
        """Take what is said of containers, at once where it says all, and look at them."""
        by_id = {each.container: each for each in happenings}
        for id_, each in by_id.items():
            self._said.hear(id_, each.action)
            if each.action in _ENDS:
                self._stopping.forget(id_)
        # Of one that has ended or is paused nothing else is to be learnt right now.
        unclear = [id_ for id_, each in by_id.items() if each.action not in STATES]
        known = {id_: own for id_ in by_id if (own := self.containers.get(id_))}
        seen = {id_: self._said.seen(own) for id_, own in known.items()}
        if not unclear or seen != known:  # else all that is new comes with the look
            self._know(seen, by_id)
        self._look_at(unclear, by_id)

    def _look_at(self, ids: Collection[str], said: Mapping[str, Happening]) -> None:
        """Look at these containers."""
        if not ids:
            return
        signalled = [id_ for id_ in ids if id_ in said and said[id_].action == "kill"]
        known = self.containers
        listed, details = self._run(lambda: (self._reader.some(ids, known), self._details(signalled)))
        self._needs.counters.objects += len(listed)
        for id_ in details:
            if self._stopping.sent(id_, said[id_].signal, said[id_].at, details[id_]):
                self._at[id_] = stamp_of(said[id_].at)
        found = {id_: self._said.listed(each) for id_, each in listed.items()}
        self._know({id_: found.get(id_) for id_ in ids}, said)

    def _know(self, found: Mapping[str, Container | None], said: Mapping[str, Happening]) -> None:
        """Take over what these containers are now, and say so; None: there is no such container."""
        after = dict(self.containers)
        for id_, now in found.items():
            before = after.get(id_)
            if now != before and id_ in said:
                self._at[id_] = stamp_of(said[id_].at)
            if now is None:
                after.pop(id_, None)
            elif now != before:
                after[id_] = now
        self.containers = after
        self._tell()

    def _details(self, ids: Collection[str]) -> Mapping[str, Details]:
        return {id_: details for id_ in ids if (details := self._reader.details(id_)) is not None}

    def _list_all(self) -> None:
        """List everything."""
        number, began, known = self._needs.wanted(), self._clock(), self.containers
        self._schedule.begin(began)
        found, networks = self._run(lambda: (self._reader.all(known), self._reader.networks()))
        now = self._clock()
        self._drift.listed(POLLED, {CONTAINERS: changed(known, found)}, now)
        self._schedule.done(ALL, began, now, any(each.state in PASSING for each in found.values()))
        self._needs.counters.objects += len(found)
        self._needs.counters.listings += 1
        self._facts = self._facts.with_networks(networks)
        self._said.keep(found)
        self.containers = {id_: self._said.listed(each) for id_, each in found.items()}
        self._at = {id_: at for id_, at in self._at.items() if id_ in found}
        self._stopping.keep([id_ for id_, each in self.containers.items() if not each.ended])
        self._tell(number)

    def _tell(self, listing: int = 0) -> None:
        moments = Moments(dict(self._at), self._stopping.ids)
        self._needs.found(Found(self.containers, self._facts, moments, listing))
