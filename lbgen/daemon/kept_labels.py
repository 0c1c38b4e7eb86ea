"""Labels change whole: a service is served by its previous labels while a mistake in its new ones would close it.

Its tasks, ports and networks are followed all the time: what is kept goes into the snapshot, before the model is made
of it, and only where the model finds with it what was served. Labels that guard more are in force at once, closed
where they are broken. A definition that others use is kept as well where the new one would close their routes
(`label_judge`). What a service is served by is remembered by its name, over a restart too.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from lbgen.base.problem import Problem
from lbgen.daemon.history import KEPT as MOST_CHANGES
from lbgen.daemon.history import Change
from lbgen.daemon.label_judge import Case, Judge
from lbgen.daemon.label_store import Labels, LabelStore, Served
from lbgen.labels.dialects import DIALECTS, dialect_of
from lbgen.labels.route_spec import Use
from lbgen.model import Builder, Rules
from lbgen.snapshot import Service, Snapshot, moment

AGAIN = 30.0  # seconds until what could not be written is tried again
METHOD = "labels"  # of changes that are the loop's own, in the history


@dataclass(frozen=True, slots=True)
class Kept:
    """Why a service is not served by its newest labels."""

    since: float  # seconds since 1970
    newest: Labels
    why: tuple[Problem, ...]  # of the newest labels

    def problems(self) -> Iterator[Problem]:
        """Yield the problems of the newest labels, with what comes of them."""
        moment_ = datetime.fromtimestamp(self.since, UTC)
        for problem in self.why:
            message = f"{problem.message} (the service's previous labels stay in force, since {moment_:%F %T} UTC)"
            yield replace(problem, message=message)


class KeptLabels:
    """Remembers what every service in the snapshot in force is served by."""

    def __init__(
        self,
        store: LabelStore | None = None,
        clock: Callable[[], float] = time.time,
        loop_clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            store: outlives this process.
            clock: seconds since 1970.
            loop_clock: what `due` goes by.
        """
        self.kept: Mapping[str, Kept] = {}  # by the service's key
        self.changes: deque[Change] = deque(maxlen=MOST_CHANGES)  # when labels were kept, and when no longer
        self._store, self._clock, self._loop_clock = store, clock, loop_clock
        self._saved_at = loop_clock()
        self._served: dict[str, Served] | None = None  # by the service's key; None: not read yet
        self._next: dict[str, Kept] = {}  # those of the snapshot that was asked for last
        self._known: dict[str, tuple[Service, object]] = {}  # as they were when `_served` was written down
        self._uses: dict[str, tuple[Use, ...]] = {}  # names of others' labels that services' own use
        self._names: dict[str, str] = {}  # of services, by key
        self._judge: Judge | None = None

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Those of the labels that are not in force."""
        return tuple(problem for kept in self.kept.values() for problem in kept.problems())

    def whole(self, snapshot: Snapshot, rules: Rules) -> Snapshot:
        """Return the snapshot with the labels by which services are served."""
        served = self._remembered()
        changed = {}
        for name, service in _by_key(snapshot).items():
            before = served.get(name)
            if before and _matters(before) and self._known.get(name, (None,))[0] is not service:
                newest = own_labels(service.labels, rules)
                if newest != before.labels:
                    changed[name] = service, newest
        self._next = {}
        services = dict(snapshot.services)
        for name, (service, previous, why) in self._judged(snapshot, rules, changed):
            since = served[name].kept_since or self._clock()
            self._next[name] = Kept(since, changed[name][1], why)
            services[service.id] = previous
        return replace(snapshot, services=services) if self._next else snapshot

    def accept(self, snapshot: Snapshot, builder: Builder) -> None:
        """Remember what services are served by, in the snapshot that `whole` gave last: it is in force.

        Args:
            builder: made the model of it.
        """
        before, known = self._remembered(), self._known
        served: dict[str, Served] = {}
        self._known, self._uses = {}, {}
        for name, service in _by_key(snapshot).items():
            decision = builder.decision(service)
            if decision is None:  # lbgen made a mistake with it: what it had stays
                served |= {name: before[name]} if name in before else {}
                continue
            self._known[name] = service, decision.part
            self._uses[name] = decision.asked.uses
            was = known.get(name)
            if name in before and name not in self._next and was and was[0] is service and was[1] is decision.part:
                served[name] = before[name]
                continue
            routes = tuple(sorted(route.name for route in decision.part.takes))
            since = self._next[name].since if name in self._next else None
            served[name] = Served(own_labels(service.labels, builder.rules), routes, since)
        self._tell(snapshot)
        self.kept, self._served = self._next, served

    def save(self) -> None:
        """Have it on disk for the next lbgen."""
        if self._store:
            self._saved_at = self._loop_clock()
            self._store.write({name: each for name, each in self._remembered().items() if _matters(each)})

    def due(self) -> float | None:
        """Return when, by the clock, what could not be written is to be tried again: in a round, as any `save`."""
        return self._saved_at + AGAIN if self._store and self._store.failing else None

    def _remembered(self) -> dict[str, Served]:
        if self._served is None:
            self._served = self._store.read() if self._store else {}
        return self._served

    def _judged(
        self, snapshot: Snapshot, rules: Rules, changed: Mapping[str, tuple[Service, Labels]]
    ) -> Iterator[tuple[str, tuple[Service, Service, tuple[Problem, ...]]]]:
        """Yield who keeps its previous labels: the service as it is, as it was labelled, and why."""
        if not changed:
            self._judge = None
            return
        if not self._judge or self._judge.rules != rules:
            self._judge = Judge(rules)
        served = self._remembered()
        previous = {
            name: replace(service, labels=_with_own(service.labels, served[name].labels, rules))
            for name, (service, _) in changed.items()
        }
        routes = {name: each.routes for name, each in served.items()}
        for name, why in self._judge.held(Case(snapshot, previous, routes, self._uses)).items():
            yield name, (changed[name][0], previous[name], why)

    def _tell(self, snapshot: Snapshot) -> None:
        """Write down whose labels are kept from now on, and whose no longer are."""
        left = {key: self._names[key] for key in self.kept if key in self._names}
        self._names = left | {service.key: service.name for service in snapshot.services.values()}
        for name in sorted(self._next.keys() - self.kept.keys()):
            what = "its previous labels stay in force: a mistake in its new ones would close it"
            self._change(snapshot, self._next[name].since, name, what)
        for name in sorted(self.kept.keys() - self._next.keys()):
            self._change(snapshot, self._clock(), name, "its newest labels are in force")

    def _change(self, snapshot: Snapshot, at: float, key: str, what: str) -> None:
        name = self._names.get(key, key)
        causes = tuple(cause for cause in snapshot.causes if cause.text.startswith(f"service {name}: "))
        self.changes.append(Change(at, "", "", METHOD, f"service {name}: {what}", 0.0, causes))


def _matters(served: Served) -> bool:
    """Tell whether a service's labels are in force for somebody: it is routed, or they may define what others use."""
    return bool(served.routes) or any(DIALECTS[name].defines for name in set(map(dialect_of, served.labels)) - {""})


def own_labels(labels: Labels, rules: Rules) -> dict[str, str]:
    """Return those of a service's labels that say how it is served: other programs' may hold anything."""
    read = {*rules.dialects, "lbgen"}  # short keys of lbgen's hold beside those of others
    return {label: value for label, value in labels.items() if dialect_of(label) in read}


def _with_own(labels: Labels, own: Labels, rules: Rules) -> dict[str, str]:
    mine = own_labels(labels, rules)
    return {label: value for label, value in labels.items() if label not in mine} | dict(own)


def _by_key(snapshot: Snapshot) -> dict[str, Service]:
    """Return the services by key; of two that share one, which only a file can have, the one that is served."""
    named: dict[str, Service] = {}
    for service in snapshot.services.values():
        other = named.setdefault(service.key, service)
        if other is not service:
            named[service.key] = min(other, service, key=lambda each: (moment(each.created_at), each.id))
    return named
