"""The `docker` source: services, tasks, nodes and networks from the Engine API of a Swarm manager.

Lists and follows through the first endpoint that answers as a manager of the pinned cluster, and goes on with the
next one when it fails. Only GET requests, to the paths in `api.PATHS`. Whatever fails, what was known stays known.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from lbgen.base.errors import SourceError
from lbgen.base.logs import log
from lbgen.snapshot import Snapshot
from lbgen.source import diff
from lbgen.source.engine import endpoints as addresses
from lbgen.source.engine.api import Engine
from lbgen.source.engine.endpoints import Tls
from lbgen.source.engine.events import EVENTS
from lbgen.source.engine.follower import Follower, Known, Terms
from lbgen.source.engine.listing import Lister, Round, combined
from lbgen.source.engine.schedule import Backoff, Pace
from lbgen.source.facts import EMPTY, KINDS
from lbgen.source.mailbox import Closed, Signals
from lbgen.source.swarmkit import watch

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stats:
    """How following goes, at one moment."""

    mode: str  # "push": every change is told; "events": all but tasks'; "polling": none is; "none": no endpoint answers
    no_push: str  # why changes are not pushed; empty while they are, or are not meant to be
    endpoint: str  # the one followed, or followed last
    cluster: str  # its id, once pinned
    stream_age: float | None  # seconds since the stream last said anything, or began; None without one
    drift: int  # changes found by listing that the stream had not told
    listings: int  # full listings
    reconnects: int  # streams opened, besides the first
    objects: int  # objects read, out of listings and messages


class EngineSource:
    """A `Source` that follows a Swarm through one of several engine endpoints."""

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        tls: Tls | None = None,
        cluster: str = "",
        pace: Pace = Pace(),  # noqa: B008 -- frozen
        rng: random.Random | None = None,
        control_socket: str = watch.OFF,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Contact nobody yet.

        Args:
            endpoints: tried in this order; none at all stands for what docker itself would talk to.
            tls: for ``tcp://`` endpoints, instead of what a context or the environment says.
            cluster: id of the only cluster to accept; empty for that of the first manager that answers.
            control_socket: path of a manager's control socket, which pushes changes; "auto" for the well-known one
                beside ``unix://`` endpoints; "off" for none. Without it, or while it fails, events have to do.
        Raises:
            SourceError: an endpoint's text has no known form.
        """
        self._endpoints = tuple(endpoints) or ("",)
        self._tls, self._cluster, self._pace, self._environ = tls, cluster, pace, environ
        self._rng, self._control_socket = rng or random.Random(), control_socket
        for text in self._endpoints:
            if text and not text.startswith("context:"):
                addresses.resolve(text, tls, environ)
        self._signals, self._known, self._lock = Signals(), Known(), threading.Lock()
        self._outage = _Outage()
        self._follower: Follower | None = None
        self._endpoint = ""
        self._good_since = 0.0

    def take(self) -> Snapshot:
        """Return one complete snapshot from the first endpoint that has one; raise SourceError if none has."""
        failures = []
        for text in self._endpoints:
            try:
                return self._run(text, self._taken)
            except SourceError as error:
                failures.append(str(error))
            except Closed as closed:
                raise SourceError("the source was closed") from closed
        raise SourceError("; ".join(failures))

    def follow(self) -> Iterator[Snapshot]:
        """Yield a snapshot at once and one after each change, until `close`. Outages are logged, never raised."""
        backoff = Backoff(self._pace, self._rng)
        turn = failures = 0
        try:
            while True:
                text = self._endpoints[turn % len(self._endpoints)]
                try:
                    yield from self._follow(text)
                except SourceError as error:
                    self._outage.failed(text, error)
                if self._good_since and time.monotonic() - self._good_since > self._pace.retry_max:
                    backoff.reset()
                    failures = 0
                turn, failures, self._good_since = turn + 1, failures + 1, 0.0
                if failures % len(self._endpoints) == 0:
                    self._signals.pause(backoff.pause())
        except Closed:
            return

    def relist(self) -> None:
        """Ask `follow` for a new, independent listing, which it yields even if nothing changed."""
        self._signals.relist()

    def close(self) -> None:
        """End `follow` and `take`, also while an engine hangs."""
        self._signals.close()

    @property
    def stats(self) -> Stats:
        """How following goes now."""
        follower, counters = self._follower, self._known.counters
        stream = follower.stream if follower else None
        return Stats(
            mode=follower.mode if follower else "none",
            no_push=counters.why.get(watch.MODE, ""),
            endpoint=self._endpoint,
            cluster=self._cluster,
            stream_age=time.monotonic() - stream.last if stream else None,
            drift=counters.drift,
            listings=counters.listings,
            reconnects=max(0, counters.subscriptions - 1),
            objects=counters.objects,
        )

    def _follow(self, text: str) -> Iterator[Snapshot]:
        engine = self._run(text, self._connected)
        self._endpoint = engine.endpoint.name
        ways = [*watch.ways(self._control_socket, engine.endpoint), EVENTS]
        terms = Terms(self._pace, self._rng, self._signals, ways, self._verified, self._listed)
        try:
            self._follower = Follower(engine, self._known, terms)
            yield from self._follower.snapshots()
        finally:
            self._follower = None
            engine.close()

    def _run(self, text: str, work: Callable[[str], T]) -> T:
        return self._signals.run(text or "Docker's own endpoint", lambda: work(text), 6 * self._pace.timeout)

    def _taken(self, text: str) -> Snapshot:
        engine = self._connected(text)
        try:
            look = Round(Lister(engine), EMPTY, {})
            look.list(KINDS)
            snapshot = combined(Snapshot(), look.facts, self._verified(engine))
        finally:
            engine.close()
        now = time.time()
        found = diff.between(Snapshot(), snapshot, now)
        return replace(snapshot, taken_at=now, listing=self._number(), causes=found)

    def _connected(self, text: str) -> Engine:
        engine = Engine(addresses.resolve(text, self._tls, self._environ), self._pace.timeout)
        try:
            self._verified(engine)
        except BaseException:
            engine.close()
            raise
        return engine

    def _verified(self, engine: Engine) -> str:
        """Return the cluster's id, pinned at first contact; raise SourceError if the engine is of another one."""
        found = engine.cluster()
        with self._lock:
            pinned = self._cluster = self._cluster or found
        if found != pinned:
            raise SourceError(
                f"{engine.endpoint.name}: belongs to cluster {found}, but {pinned} is followed: "
                "remove this endpoint, or restart lbgen to follow the other cluster"
            )
        return found

    def _number(self) -> int:
        with self._lock:
            self._known.counters.listings += 1
            return self._known.counters.listings

    def _listed(self, engine: Engine) -> int:
        if not self._good_since:
            self._good_since = time.monotonic()
            gone = self._outage.over()
            log.info(
                "source_following",
                endpoint=engine.endpoint.name,
                cluster=self._cluster,
                engine=engine.version,
                api=engine.api,
                mode=self.stats.mode,
                **({} if gone is None else {"gone_s": round(gone, 1)}),
            )
        return self._number()


class _Outage:
    """Logs what is wrong with each endpoint once, until one of them works again."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._logged: set[str] = set()

    def failed(self, text: str, error: SourceError) -> None:
        if self._since is None:
            self._since = time.monotonic()
        if text not in self._logged:
            self._logged.add(text)
            log.warning("source_failed", error=str(error), effect="what was known last stays in force")
        else:
            log.debug("source_failed_again", error=str(error))

    def over(self) -> float | None:
        """Return how many seconds nothing could be listed, None if there was no outage."""
        since, self._since = self._since, None
        self._logged.clear()
        return None if since is None else time.monotonic() - since
