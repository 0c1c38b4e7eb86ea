"""One host, followed in a thread of its own for as long as lbgen runs.

What fails leaves what was known as it is: the host counts as unreachable until it answers again, and nobody waits.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

from lbgen.base.errors import SourceError
from lbgen.base.logs import log
from lbgen.base.unexpected import UNEXPECTED, Part, UnexpectedErrors
from lbgen.snapshot import Snapshot
from lbgen.source import PartState
from lbgen.source.engine.api import HOST_PATHS, Engine
from lbgen.source.engine.contact import Contact
from lbgen.source.engine.endpoints import resolve, risk
from lbgen.source.engine.line import Line
from lbgen.source.engine.schedule import Pace
from lbgen.source.engine.subscription import Counters
from lbgen.source.facts import KINDS
from lbgen.source.hosts import session
from lbgen.source.hosts.grouping import Seniority, host_snapshot, successor
from lbgen.source.hosts.host import Host
from lbgen.source.hosts.listing import Containers
from lbgen.source.hosts.session import Found, Session
from lbgen.source.mailbox import Closed, Mailbox

_NOTHING: Snapshot | None = None
TLS_SETTING = "setting tls of the host"


class Store(Protocol):
    """Where a host's last facts are kept over a restart."""

    def read(self) -> Snapshot | None:
        """Return what is there, None if nothing is."""

    def keep(self, facts: Snapshot) -> None:
        """Have this there soon."""

    def close(self) -> None:
        """End; what was to be kept is there then."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What the followers of all hosts have in common."""

    pace: Pace
    rng: random.Random
    environ: Mapping[str, str]
    clock: Callable[[], float]
    wall_clock: Callable[[], float]
    seniority: Seniority
    news: Callable[[], None]  # called when facts, state or listing of a host have changed; from any thread
    unexpected: UnexpectedErrors = UNEXPECTED


class HostFollower:
    """One host, and what is known of it. Its attributes may be read from any thread."""

    def __init__(self, host: Host, needs: Needs, store: Store | None = None) -> None:
        self.host, self.facts, self._store = host, _NOTHING, store
        self.mailbox, self.counters = Mailbox(needs.clock), Counters()
        self.settled = False  # whether it was listed, or could not be
        self.wanted = 1  # number of the listing that is wanted
        self.listed = 0  # number of the last listing
        self._contact, self._needs = Contact(needs.clock), needs
        self._session: Session | None = None
        self._containers: Containers = {}  # as they were when the host was asked last
        self._told_risk = False

    @property
    def reachable(self) -> bool:
        """Whether it answers."""
        return self._contact.established

    def relist(self, number: int) -> None:
        """Have everything listed anew; `listed` is this number then."""
        self.wanted = number
        self.mailbox.relist()

    def recall(self) -> Snapshot | None:
        """Take over what an earlier run knew of the host, if nothing else is known; return what is known then."""
        recalled = self._store.read() if self._store and self.facts is None else None
        if recalled is not None and set(recalled.nodes) == {self.host.name}:
            for service in recalled.services.values():
                self._needs.seniority.of(service.name, service.created_at)
            self.facts = recalled
        return self.facts

    def close(self) -> None:
        """End `run`, also while the engine hangs."""
        self.mailbox.close()
        if self._store:
            self._store.close()

    def state(self) -> PartState:
        """Return how it goes with it."""
        current, counters = self._session, self.counters
        stream = current.stream if current else None
        why, seconds = self._contact.failing()
        return PartState(
            "host",
            name=self.host.name,
            mode=current.mode if current and self.reachable else "none",
            endpoint=self.host.endpoint,
            failing=why,
            failing_since=self._needs.wall_clock() - seconds if why else None,
            stream_age=self.mailbox.clock() - stream.last if stream else None,
            counts={
                "drift": counters.drift,
                "listings": counters.listings,
                "reconnects": max(0, counters.subscriptions - 1),
                "objects": counters.objects,
            },
            facts=self.facts is not None,
        )

    def run(self) -> None:
        """Follow until `close`."""
        backoff = self._needs.pace.backoff(self.mailbox.clock, self._needs.rng)
        guard = self._needs.unexpected.guard(Part.SOURCE, f"host {self.host.name}")
        try:
            while True:
                try:
                    self._follow()
                except SourceError as error:
                    self._contact.failed(self.host.name, self._named(error))
                except Exception as error:
                    if isinstance(error, Closed):
                        raise
                    guard.failed(error)  # other hosts go on, and this one is tried again
                    self._contact.failed(self.host.name, self._named(SourceError(f"unexpected {error!r}")))
                if self._contact.ended() > self._needs.pace.retry_max:
                    backoff.reset()
                    guard.worked()
                self.settled = True
                self._needs.news()
                self.mailbox.pause(backoff.pause())
        except Closed:
            return

    def read(self) -> Snapshot:
        """Return what there is on the host now; raise SourceError if it does not answer."""
        try:
            with closing(self._connected(Line())) as engine:
                found = Session(engine, {}, self._session_needs()).once()
        except SourceError as error:
            raise self._named(error) from error
        return self._snapshot(found)

    def _named(self, error: SourceError) -> SourceError:
        return SourceError(f"host {self.host.name}: {error}")

    def _follow(self) -> None:
        line = Line()
        limit, hang_up = 6 * self._needs.pace.timeout, line.cut
        with closing(self.mailbox.run(self.host.endpoint, lambda: self._connected(line), limit, hang_up)) as engine:
            self._session = Session(engine, self._containers, self._session_needs())
            try:
                self._session.follow()
            finally:
                self._containers, self._session = self._session.containers, None

    def _connected(self, line: Line) -> Engine:
        endpoint = resolve(self.host.endpoint, self.host.tls, self._needs.environ)
        if (why := risk(endpoint, setting=TLS_SETTING)) and not self._told_risk:
            self._told_risk = True
            log.warning("source_unprotected", host=self.host.name, risk=why)
        return Engine(endpoint, self._needs.pace.timeout, line, HOST_PATHS)

    def _session_needs(self) -> session.Needs:
        needs = self._needs
        return session.Needs(
            self.host, needs.pace, needs.rng, self.mailbox, self.counters, lambda: self.wanted, self._know
        )

    def _snapshot(self, found: Found) -> Snapshot:
        containers = found.containers.values()
        return host_snapshot(self.host, containers, found.engine, found.moments, self._needs.seniority)

    def _know(self, found: Found) -> None:
        """Take over what there is now."""
        before, fresh = self.facts or Snapshot(), self._snapshot(found)
        facts = successor(before, **{kind: getattr(fresh, kind) for kind in KINDS})
        if facts is self.facts and not found.listing:
            return
        if self._store and facts is not self.facts:
            self._store.keep(facts)
        self.facts = facts
        if found.listing:  # set after the facts: who reads it first has facts that are as new
            self.listed, self.settled = found.listing, True
            self._greet()
        self._needs.news()

    def _greet(self) -> None:
        current = self._session
        if current and not self._contact.established:
            gone = self._contact.begun()
            engine = current.engine
            about = {"endpoint": engine.endpoint.name, "engine": engine.version, "api": engine.api}
            away = {} if gone is None else {"gone_s": round(gone, 1)}
            log.info("host_following", host=self.host.name, mode=current.mode, **about, **away)
