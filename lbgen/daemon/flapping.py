"""Flapping: a service whose labels change again and again keeps its last ones until it has been calm for a while.

Each change of labels may cost every proxy a reload, and its old workers. The service's tasks, ports and networks are
followed all the time: what is held goes into the snapshot, before the model is made of it. New labels that close what
the held ones leave open are in force at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from lbgen.base.problem import Problem
from lbgen.daemon.counters import Counters
from lbgen.labels.definitions import Definitions
from lbgen.model import Rules
from lbgen.model.definitions import Gatherer
from lbgen.model.label_change import adds_guard, takes_out
from lbgen.model.routes import service_routes
from lbgen.snapshot import Cause, Service, Snapshot

WINDOW, MOST = 60.0, 5  # seconds, and changes of labels in them that are taken as they come
CALM = 15.0  # seconds without a change after which it is over
FIRST_HOLD, LONGEST_HOLD = 30.0, 300.0  # seconds after which the newest labels are taken once, though it goes on
FORGET = 600.0  # seconds without a change after which the next hold is the first again

Labels = Mapping[str, str]
Closes = Callable[[Labels, Labels], bool]


@dataclass(frozen=True, slots=True)
class Flap:
    """How often a service's labels have changed lately, and what it is served by instead of them."""

    said: Labels  # as it says now
    changes: tuple[float, ...] = ()  # when the last of them changed, by the clock; no more than are counted
    held: Labels | None = None  # what it is served by; None: by what it says
    until: float = 0.0  # when the newest labels are taken, calm or not
    hold: float = FIRST_HOLD  # seconds that it is held for next time

    @property
    def served(self) -> Labels:
        """The labels it is served by."""
        return self.said if self.held is None else self.held

    @property
    def due(self) -> float | None:
        """When, by the clock, it is served by what it says again."""
        return None if self.held is None else min(self.changes[-1] + CALM, self.until)

    def after(self, labels: Labels, now: float, closes: Closes) -> Flap:
        """Return it after it has said something else.

        Args:
            closes: tells whether the second labels close something that the first leave open.
        """
        changes = (*(at for at in self.changes if at > now - WINDOW), now)[-MOST - 1 :]
        if len(changes) <= MOST and self.held is None:
            return replace(self, said=labels, changes=changes)
        if closes(self.served, labels):
            return replace(self, said=labels, changes=changes, held=None)
        if self.held is not None:
            return replace(self, said=labels, changes=changes)
        longer = min(2 * self.hold, LONGEST_HOLD)
        return replace(self, said=labels, changes=changes, held=self.said, until=now + self.hold, hold=longer)

    def at(self, now: float) -> Flap:
        """Return it when time has passed."""
        if self.due is not None and now >= self.due:
            return replace(self, held=None, changes=self.changes[-1:] if self.due < self.until else self.changes)
        if self.changes and self.held is None and now >= self.changes[-1] + FORGET:
            return Flap(self.said)
        return self


class Flapping:
    """Remembers the labels of every service in the newest snapshot, and which of them flap."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.problems: tuple[Problem, ...] = ()  # one for each service that is held
        self.counters = Counters()
        self._clock = clock
        self._flaps: dict[str, Flap] = {}  # by the service's id
        self._gatherer: tuple[Rules, Gatherer] | None = None  # reads again only labels that changed since it was asked

    def due(self) -> float | None:
        """Return when, by the clock, a service is to be served by its newest labels, or None."""
        return min((flap.due for flap in self._flaps.values() if flap.due is not None), default=None)

    def damped(self, snapshot: Snapshot, rules: Rules, *, news: bool = True) -> Snapshot:
        """Return the snapshot with the labels by which services are served.

        Args:
            rules: what labels are read with.
            news: it is the newest; if not, its labels are nothing that a service has just said.
        """
        now, before = self._clock(), self._flaps
        flaps, over = {}, []
        for id_, service in snapshot.services.items():
            was = before.get(id_) or Flap(service.labels)
            flap = was.at(now)
            if news and flap.said != service.labels:
                flap = flap.after(service.labels, now, partial(self._closes, service, snapshot, rules))
                if flap.held is not None:
                    self.counters.count("label_changes_held")
            if was.held is not None and flap.held is None:
                over.append(service.name)
            flaps[id_] = flap
        self._flaps = flaps
        held = {id_: flap.held for id_, flap in flaps.items() if flap.held is not None}
        self.problems = tuple(map(_problem, sorted(snapshot.services[id_].name for id_ in held)))
        if not held and not over:
            return snapshot
        services = {
            id_: replace(service, labels=held[id_]) if id_ in held else service
            for id_, service in snapshot.services.items()
        }
        return replace(snapshot, services=services, causes=(*snapshot.causes, *_causes(over)))

    def _closes(self, service: Service, snapshot: Snapshot, rules: Rules, before: Labels, after: Labels) -> bool:
        if not self._gatherer or self._gatherer[0] is not rules:
            self._gatherer = rules, Gatherer(rules)
        definitions = self._gatherer[1].gathered(snapshot)
        return closes(service, rules, before, after, definitions.of(service.part))


def closes(service: Service, rules: Rules, before: Labels, after: Labels, definitions: Definitions) -> bool:
    """Tell whether new labels close what the old ones leave open: by a guard, or because the service takes no part.

    Args:
        definitions: of what the labels name.
    """
    was, now = (service_routes(replace(service, labels=labels), rules, definitions) for labels in (before, after))
    return adds_guard(was, now) or takes_out(was, now)


def _problem(service: str) -> Problem:
    return Problem(
        service,
        f"flapping: its labels have changed more than {MOST} times in {WINDOW:.0f} s, so earlier ones stay in force; "
        "its tasks are followed all the time",
        f"leave its labels alone for {CALM:.0f} s",
    )


def _causes(names: Iterable[str]) -> Iterable[Cause]:
    at = time.time()
    return (Cause(f"service {name}: flapping is over, its newest labels are in force", at) for name in names)
