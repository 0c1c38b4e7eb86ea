"""Which of the services that changed are to blame for a refusal: asked of the same cluster with other labels."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lbgen.base.errors import CheckFailed, TemplateError
from lbgen.base.problem import Problem, printable
from lbgen.model import Builder, Model
from lbgen.snapshot import Service, Snapshot

Labels = Mapping[str, str]


class WhatIf:
    """Builds such models; remembers what it made, so that whatever is equal is the same object again."""

    def __init__(self) -> None:
        self._builder: Builder | None = None
        self._relabelled: dict[str, tuple[Service, Labels, Service]] = {}

    def facts(self, model: Model, snapshot: Snapshot, labels: Mapping[str, Labels | None]) -> tuple[Model, Snapshot]:
        """Return model and snapshot with these labels instead, by service id; None: as if the service was not there.

        They are decided by the same settings and at the same moment as the given model.
        """
        basis = model.basis
        assert basis is not None
        if not self._builder or self._builder.rules != basis.rules:
            self._builder = Builder(basis.rules, mistaken=lambda *_: None)  # the loop's has been told
        said = replace(snapshot, services=self._services(snapshot, labels))
        return replace(self._builder.build(said, basis.drained), problems=model.problems), said

    def _services(self, snapshot: Snapshot, labels: Mapping[str, Labels | None]) -> dict[str, Service]:
        services = {}
        for id_, service in snapshot.services.items():
            said = labels.get(id_, service.labels)
            if said is not None:
                services[id_] = service if said is service.labels else self._relabel(service, said)
        return services

    def _relabel(self, service: Service, labels: Labels) -> Service:
        known = self._relabelled.get(service.id)
        if not known or known[0] is not service or known[1] != labels:
            known = self._relabelled[service.id] = service, labels, replace(service, labels=labels)
        return known[2]


LONGEST_SEARCH = 60.0  # seconds; the search for a culprit that has begun by then is finished
MOST = 8  # culprits of one round; a service that is not judged by then waits for the next
LONGEST = 500  # characters of the checker's words that a problem repeats
Refusal = CheckFailed | TemplateError
Judge = Callable[[Model, Snapshot], None]  # renders and checks the files of a model; raises a Refusal


@dataclass(frozen=True, slots=True)
class Held:
    """A service that is not served as it asks."""

    name: str
    refused: Labels  # as long as it says this, it is held
    instead: Labels | None  # what it said when it was last accepted; None: it is left out
    error: str  # the checker's words, or the template's; empty: it was not its turn yet

    def problem(self, target: str) -> Problem:
        """Return it as its owner should hear of it."""
        kept = "what it asked for before stays in force" if self.instead is not None else "it is left out till then"
        words = printable(" ".join(self.error.split()), LONGEST)
        return Problem(
            self.name,
            f"target {target} refuses the configuration with this service in it, so {kept}: {words}",
            "correct its labels, or the template; it returns by itself",
        )


@dataclass(slots=True)
class Bisection:
    """One search: the first so many suspects say what they say now, the others what they said before."""

    what_if: WhatIf
    model: Model
    snapshot: Snapshot
    suspects: Sequence[str]  # ids; the oldest first, so that of two which disagree the younger is to blame
    before: Mapping[str, Labels]  # a service that is not in it said nothing
    held: Mapping[str, Held]  # already, whatever comes of it
    judge: Judge
    clock: Callable[[], float] = time.monotonic
    culprits: dict[str, Held] = field(default_factory=dict)

    def run(self, refusal: Refusal | None) -> dict[str, Held]:
        """Return the culprits, with at most log2(n) + 1 verdicts for each; without any suspect all has to be accepted.

        Args:
            refusal: of everything.
        """
        good, everybody = 0, len(self.suspects)
        end = self.clock() + LONGEST_SEARCH
        while refusal and len(self.culprits) < MOST and (not self.culprits or self.clock() < end):
            bad = everybody
            while bad - good > 1:
                middle = (good + bad) // 2
                here = self.refusal(middle)
                if here:
                    bad, refusal = middle, here
                else:
                    good = middle
            self._hold(self.suspects[bad - 1], str(refusal))
            good = bad  # with that one held, all up to here are accepted
            refusal = self.refusal(everybody) if good < everybody else None
        if refusal:
            for id_ in self.suspects[good:]:
                self._hold(id_, "")
        return self.culprits

    def refusal(self, number: int) -> Refusal | None:
        """Return why the first so many cannot say what they say now, less the culprits; None: they can."""
        labels: dict[str, Labels | None] = {id_: self.before.get(id_) for id_ in self.suspects[number:]}
        labels |= {id_: held.instead for id_, held in {**self.held, **self.culprits}.items()}
        try:
            self.judge(*self.what_if.facts(self.model, self.snapshot, labels))
        except (CheckFailed, TemplateError) as error:
            return error
        return None

    def _hold(self, id_: str, error: str) -> None:
        service = self.snapshot.services[id_]
        self.culprits[id_] = Held(service.name, service.labels, self.before.get(id_), error)
