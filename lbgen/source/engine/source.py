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
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from lbgen.base.errors import SourceError
from lbgen.base.logs import log
from lbgen.base.problem import printable
from lbgen.base.unexpected import UNEXPECTED, Part, UnexpectedErrors
from lbgen.snapshot import Snapshot
from lbgen.source import PartState, diff
from lbgen.source.engine.api import Engine
from lbgen.source.engine.contact import Contact
from lbgen.source.engine.endpoints import Endpoint, Tls, resolve, risk
from lbgen.source.engine.events import EVENTS
from lbgen.source.engine.follower import Dependencies, Follower, Known
from lbgen.source.engine.line import Line
from lbgen.source.engine.listing import Lister, Round, combined
from lbgen.source.engine.schedule import Pace
from lbgen.source.engine.subscription import Counters
from lbgen.source.facts import EMPTY, KINDS
from lbgen.source.mailbox import Closed, Mailbox
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


COUNTED = ("drift", "listings", "reconnects", "objects")  # fields of `Stats`


def state_of(stats: Stats, failing: str = "", since: float | None = None) -> PartState:
    """Return what is said of every kind of source.

    Args:
        failing: why nothing is learnt; empty: nothing is wrong.
        since: seconds since 1970.
    """
    return PartState(
        "docker",
        mode=stats.mode,
        endpoint=stats.endpoint,
        cluster=stats.cluster,
        failing=failing,
        failing_since=since,
        no_push=stats.no_push,
        stream_age=stats.stream_age,
        counts={name: getattr(stats, name) for name in COUNTED},
    )


@dataclass(frozen=True, slots=True)
class _Session:
    """The endpoint that is followed, or was followed last."""

    endpoint: str = ""
    follower: Follower | None = None  # None: it is not followed any more


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
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        unexpected: UnexpectedErrors = UNEXPECTED,
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
        self._rng, self.control_socket = rng or random.Random(), control_socket
        for text in self._endpoints:
            if text and not text.startswith("context:"):
                resolve(text, tls, environ)
        self.mailbox, self._wall_clock = Mailbox(clock), wall_clock
        self._known, self._counters, self._lock = Known(), Counters(), threading.Lock()
        self._contact = Contact(clock)
        self._told: set[Endpoint] = set()  # whose risk the log has
        self._guard = unexpected.guard(Part.SOURCE, "an engine")
        self._session = _Session()

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
        backoff = self._pace.backoff(self.mailbox.clock, self._rng)
        turn = failures = 0
        try:
            while True:
                text = self._endpoints[turn % len(self._endpoints)]
                try:
                    yield from self._follow(text)
                except SourceError as error:
                    self._contact.failed(text, error)
                except Closed:
                    return
                except Exception as error:  # the next endpoint may do better
                    self._guard.failed(error)
                    self._contact.failed(text, SourceError(f"{text}: unexpected {error!r}"))
                if self._contact.ended() > self._pace.retry_max:
                    backoff.reset()
                    failures = 0
                turn, failures = turn + 1, failures + 1
                if failures % len(self._endpoints) == 0:
                    self.mailbox.pause(backoff.pause())
        except Closed:
            return

    def risks(self) -> list[str]:
        """Return one line for each endpoint that is open to attack on the network path; ask no endpoint."""
        found = []
        for text in self._endpoints:
            with suppress(SourceError):  # told where it is followed
                found.append(risk(resolve(text, self._tls, self._environ)))
        return list(filter(None, found))

    def relist(self) -> None:
        """Ask `follow` for a new, independent listing, which it yields even if nothing changed."""
        self.mailbox.relist()

    def close(self) -> None:
        """End `follow` and `take`, also while an engine hangs."""
        self.mailbox.close()

    @property
    def stats(self) -> Stats:
        """How following goes now."""
        follower, counters = self._session.follower, self._counters
        stream, no_push = follower.stream if follower else None, counters.lost.get(watch.MODE)
        return Stats(
            mode=follower.mode if follower else "none",
            no_push=no_push.why if no_push else "",
            endpoint=self._session.endpoint,
            cluster=self._cluster,
            stream_age=self.mailbox.clock() - stream.last if stream else None,
            drift=counters.drift,
            listings=counters.listings,
            reconnects=max(0, counters.subscriptions - 1),
            objects=counters.objects,
        )

    def states(self) -> tuple[PartState, ...]:
        """Return how following goes now, for whom the kind of source does not matter."""
        why, seconds = self._contact.failing()
        return (state_of(self.stats, why, self._wall_clock() - seconds if why else None),)

    @property
    def follower(self) -> Follower | None:
        """What follows an engine now; None while no endpoint answers."""
        return self._session.follower

    def _follow(self, text: str) -> Iterator[Snapshot]:
        with closing(self._run(text, self._connected)) as engine:
            kinds = [*watch.stream_kinds(self.control_socket, engine.endpoint), EVENTS]
            needs = Dependencies(
                self._pace,
                self._rng,
                self.mailbox,
                self._counters,
                kinds,
                self._verified,
                self._listed,
                self._wall_clock,
            )
            follower = Follower(engine, self._known, needs)
            self._session = _Session(engine.endpoint.name, follower)
            try:
                yield from follower.snapshots()
            finally:
                self._known = follower.known
                self._session = _Session(engine.endpoint.name)

    def _run(self, text: str, work: Callable[[str, Line], T]) -> T:
        line = Line()
        who, limit = text or "Docker's own endpoint", 6 * self._pace.timeout
        return self.mailbox.run(who, lambda: work(text, line), limit, line.cut)

    def _taken(self, text: str, line: Line) -> Snapshot:
        with closing(self._connected(text, line)) as engine:
            look = Round(Lister(engine), EMPTY, {})
            look.list(KINDS)
            snapshot = combined(Snapshot(), look.facts, self._verified(engine))
        now = self._wall_clock()
        causes = diff.between(Snapshot(), snapshot, now)
        return replace(snapshot, taken_at=now, listing=self._number(), causes=causes)

    def _connected(self, text: str, line: Line) -> Engine:
        endpoint = resolve(text, self._tls, self._environ)
        if (why := risk(endpoint)) and endpoint not in self._told:
            self._told.add(endpoint)
            log.warning("source_unprotected", risk=why)
        engine = Engine(endpoint, self._pace.timeout, line)
        try:
            self._verified(engine)
        except BaseException:
            engine.close()
            raise
        return engine

    def _verified(self, engine: Engine) -> str:
        """Return the cluster's id, pinned at first contact; raise SourceError if the engine is of another one."""
        cluster = engine.cluster()
        with self._lock:
            pinned = self._cluster = self._cluster or cluster
        if cluster != pinned:
            raise SourceError(
                f"{engine.endpoint.name}: belongs to cluster {printable(cluster)}, but {printable(pinned)} "
                "is followed: remove this endpoint, or restart lbgen to follow the other cluster"
            )
        return cluster

    def _number(self) -> int:
        with self._lock:
            self._counters.listings += 1
            return self._counters.listings

    def _listed(self, engine: Engine) -> int:
        if not self._contact.established:
            gone = self._contact.begun()
            log.info(
                "source_following",
                endpoint=engine.endpoint.name,
                cluster=self._cluster,
                engine=engine.version,
                api=engine.api,
                mode=self.stats.mode,
                **({} if gone is None else {"gone_s": round(gone, 1)}),
            )
        else:  # at the first listing nobody knows yet whether this session is better than the one that failed
            self._guard.worked()
        return self._number()
