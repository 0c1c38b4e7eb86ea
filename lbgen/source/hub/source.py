"""The `hub` source: an edge's. It dials one of several hubs, and goes on with the next one when that is lost.

What it was told last is on disk, so that it begins with that and needs no hub to boot. Everything that waits does so in
one asyncio thread (`connections`); what comes out is handed to `follow` here.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

from lbgen.base.errors import SourceError
from lbgen.base.logs import log
from lbgen.base.unexpected import UNEXPECTED, Part, UnexpectedErrors
from lbgen.snapshot import Snapshot
from lbgen.source import PartState, Source, diff
from lbgen.source.hub.connections import Connections, Pass
from lbgen.source.hub.messages import Fleet, Message, Report
from lbgen.source.hub.offering import Offering
from lbgen.source.hub.replica import Replica

TAKEN = 20.0  # seconds for one snapshot, where a command asks for one


class Store(Protocol):
    """Keeps the last facts over a restart: `LastKnown`, in short."""

    def read(self) -> Snapshot | None:
        """Return what was kept; None: nothing that can be used."""

    def keep(self, facts: Snapshot) -> None:
        """Keep this, now or soon. Errors are logged."""

    def close(self) -> None:
        """Write what is not written yet."""


class HubSource:
    """A `Source` that gets its facts from a hub."""

    def __init__(
        self,
        urls: Sequence[str],
        identity: Pass,
        store: Store | None = None,
        *,
        facts: bool = True,
        offer: Source | None = None,
        accept: Sequence[str] = (),
        patience: float = TAKEN,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        unexpected: UnexpectedErrors = UNEXPECTED,
    ) -> None:
        """Contact nobody yet.

        Args:
            urls: of the hubs, ``https://HOST:PORT``, in the order in which they are tried first.
            identity: proves who this edge is.
            store: keeps the last facts; None: nothing does.
            facts: whether it wants any; an agent without targets does not.
            offer: whose facts go to all hubs.
            accept: what is taken over of settings that hubs hand out.
            patience: seconds in which a hub has to answer `take`.
        """
        self.urls, self.validities = tuple(urls), identity.validities
        self._store, self._facts, self._wall_clock, self._clock = store, facts, wall_clock, clock
        self._replica, self._patience = Replica(), patience
        self._condition = threading.Condition()
        self._fresh, self._closed, self._owed, self._listing = False, False, True, 0
        self._listings = itertools.count(1)
        self.on_fleet: Callable[[dict[str, Any]], None] = lambda _body: None  # in the asyncio thread: be quick
        self.report: Callable[[], Report] = Report
        self._offering = Offering(offer, unexpected) if offer else None
        self._connections = Connections(
            self.urls, identity, self._replica, self._learnt, self._said, self._reported, self._offering,
            facts=facts, accept=accept, clock=clock, wall_clock=wall_clock,
        )  # fmt: skip
        self._guard = unexpected.guard(Part.EDGE, "the connection to a hub")
        self._thread: threading.Thread | None = None

    def take(self) -> Snapshot:
        """Return one complete snapshot: a hub's, or else the last one that is on disk; raise SourceError."""
        self._connections.once = True
        self._begin()
        try:
            with self._condition:
                self._condition.wait_for(lambda: self._fresh or self._closed, self._patience)
                if self._fresh and self._replica.facts:
                    return self._numbered(Snapshot(), self._replica.facts)
        finally:
            self.close()
        if stored := self._stored():
            log.warning(
                "hub_away", effect="the last facts that a hub has told are used", error=self._connections.hubs.why()
            )
            return self._numbered(Snapshot(), stored)
        raise SourceError(self._connections.hubs.why() or f"no hub has told anything within {self._patience:g} s")

    def follow(self) -> Iterator[Snapshot]:
        """Yield what was known last, then a snapshot after each change, until `close`."""
        last = Snapshot()
        if self._facts and (stored := self._stored()):
            self._replica.facts = stored
            last = self._numbered(last, stored)
            yield last
        self._begin()
        while (facts := self._next()) is not None:
            fresh = self._numbered(last, facts)
            if fresh != last or fresh.listing != last.listing:
                if self._store:
                    self._store.keep(facts)
                last = fresh
                yield last
        if self._store:
            self._store.close()

    def relist(self) -> None:
        """Ask the hub for everything, and hand it on even if nothing changed."""
        self._connections.resend()

    def close(self) -> None:
        """End `follow` and all connections."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
        self._connections.close()
        if self._offering:
            self._offering.close()

    def send(self, message: Message) -> None:
        """Send a message to the hub, if there is one at the moment."""
        self._connections.send(message)

    def states(self) -> tuple[PartState, ...]:
        """Return which hub tells the facts, and how it goes with the others."""
        members = tuple(each.state for each in self._connections.hubs.all())
        at = next((each for each in members if each.mode != "none"), None)
        return (
            PartState(
                "hub",
                mode=at.mode if at else "none",
                endpoint=at.endpoint if at else "",
                cluster=self._replica.facts.cluster if self._replica.facts else "",
                failing=at.failing if at else self._connections.hubs.why(),
                failing_since=at.failing_since if at else self._connections.lost_at,
                stream_age=self._connections.age(),
                counts={"reconnects": max(0, self._connections.made - 1)},
                facts=self._replica.facts is not None,
                members=members,
            ),
        )

    def _stored(self) -> Snapshot | None:
        return self._store.read() if self._store else None

    def _begin(self) -> None:
        self._thread = threading.Thread(target=self._run, name="hub-source", daemon=True)
        self._thread.start()
        if self._offering and not self._connections.once:
            self._offering.start()

    def _run(self) -> None:
        self._guard.keep_up(self._connections.run, self._ended)

    def _ended(self, seconds: float) -> bool:
        with self._condition:
            return self._condition.wait_for(lambda: self._closed, seconds)

    def _next(self) -> Snapshot | None:
        """Wait for news; None: closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._fresh or self._closed)
            self._fresh = False
            return None if self._closed else self._replica.facts

    def _learnt(self, *, listing: bool) -> None:
        """Take note that something is in force: in the asyncio thread.

        Args:
            listing: it was told as a whole.
        """
        self._guard.worked()
        with self._condition:
            if listing:
                self._listing = next(self._listings)
            self._fresh = True
            self._condition.notify_all()

    def _said(self, message: Message) -> None:
        if isinstance(message, Fleet):
            self.on_fleet(message.body)

    def _reported(self) -> Report:
        return replace(self.report(), sequence=self._replica.sequence)

    def _numbered(self, last: Snapshot, facts: Snapshot) -> Snapshot:
        causes = diff.between(last, facts, self._wall_clock())
        return replace(facts, listing=self._listing, causes=causes)
