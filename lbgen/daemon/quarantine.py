"""Which services a proxy will not have, and what is served of them meanwhile: what they asked for before, or nothing.

Labels are judged before anything is rendered, so this is for what nobody could foresee: a template of an author's own,
a limit of one version of a proxy. Whoever is to blame is found by bisection among the services that changed; all others
are served in the same round. Of a service that is held, the labels stay behind: its tasks go on being followed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lbgen.base.errors import CheckFailed, TemplateError
from lbgen.base.problem import Problem, printable
from lbgen.model import Builder, Model
from lbgen.snapshot import Service, Snapshot, moment

FIRST_TRIAL, LONGEST_PAUSE = 60.0, 600.0  # seconds until a held service is tried again, though nothing about it changed
MOST = 8  # culprits of one round; whoever is not judged by then waits for the next
LONGEST = 500  # characters of the checker's words that a problem repeats
Labels = Mapping[str, str]
Refusal = CheckFailed | TemplateError
Judge = Callable[[Model, Snapshot], None]  # has the files of a model rendered and checked; raises a Refusal


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


class Quarantine:
    """What one target holds back."""

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}  # by the service's id
        self.good: Mapping[str, Labels] = {}  # what services said when they were last accepted, by id
        self.asked = 0  # verdicts asked for so far
        self._trial, self._pause = 0.0, FIRST_TRIAL  # when held services are tried again (time.monotonic)
        self._judged_at = 0.0
        self._trying = False  # they are on trial: not held back until there is a verdict
        self._stamp: object = None
        self._accepted: object = None  # the stamp of what was last accepted
        self._builder: Builder | None = None
        self._relabelled: dict[str, tuple[Service, Labels, Service]] = {}

    def due(self) -> float | None:
        """Return when (time.monotonic) held services are to be tried again, or None."""
        if not self.held or self._trying:
            return None
        return self._trial if all(held.error for held in self.held.values()) else self._judged_at

    def problems(self, target: str) -> list[Problem]:
        """Return a problem for each service that was found to be to blame."""
        return [held.problem(target) for held in self.held.copy().values() if held.error]

    def relieved(self, model: Model, snapshot: Snapshot, stamp: object, now: float) -> tuple[Model, Snapshot]:
        """Return both with what is held as it is served; forget what is not to be held any longer.

        Args:
            stamp: of everything else that a verdict depends on: templates, settings.
        """
        self.held = {id_: held for id_, held in self.held.items() if _still(held, id_, snapshot)}
        self._trying = bool(self.held) and (self._trying or self._stamp != stamp or self._trial <= now)
        if not self.held or self._trying:
            return model, snapshot
        return self.decided(model, self.saying(snapshot, self._instead()))

    def accepted(self, snapshot: Snapshot, stamp: object) -> None:
        """Remember what the services ask for: it was checked, and is in force.

        Args:
            stamp: as for `relieved`.
        """
        self._accepted = stamp
        self.good = {id_: service.labels for id_, service in snapshot.services.items()}
        if self._trying:
            self.held, self._trying = {}, False
        if not self.held:
            self._pause = FIRST_TRIAL

    def find(self, model: Model, snapshot: Snapshot, refusal: Refusal, judge: Judge, stamp: object, now: float) -> bool:
        """Find who is to blame for a refusal, and hold them; return False where the rest is refused as well.

        Nobody is to blame if everybody would be: a template that is saved with a mistake takes no service away.

        Args:
            model, snapshot: with nobody held back.
            stamp: as for `relieved`.
        """
        if model.basis is None:  # made by hand, in a test
            return False
        before, self.held = self.held, {} if self._trying else self.held
        for candidates, said in self._suspects(snapshot, changed=self._accepted not in (None, stamp)):
            search = _Search(self, model, snapshot, candidates, said, judge)
            if candidates and search.refusal(0) is None:
                found = self.held | search.run(refusal)
                if self._leaves_some(model, snapshot, found):
                    self.held = found
                    self._again(stamp, now)
                    return True
        self.held = before
        return False

    def _leaves_some(self, model: Model, snapshot: Snapshot, held: Mapping[str, Held]) -> bool:
        """Tell whether anything is left to serve without those who are held, if nothing was accepted before.

        Then everybody is new, and what everybody is refused for may as well be the templates' fault.
        """
        left = self.saying(snapshot, {id_: each.instead for id_, each in held.items()})
        alone = len(model.backends) < 2
        return self._accepted is not None or alone or bool(self.decided(model, left)[0].backends)

    def _again(self, stamp: object, now: float) -> None:
        """Note when who is held is tried again."""
        self._trying, self._stamp, self._judged_at = False, stamp, now
        self._trial, self._pause = now + self._pause, min(self._pause * 2, LONGEST_PAUSE)

    def fallbacks(self) -> dict[str, Labels]:
        """Return what is served of those that are held, as far as anything is, by id."""
        return {id_: said for id_, said in self._instead().items() if said is not None}

    def _instead(self) -> dict[str, Labels | None]:
        return {id_: held.instead for id_, held in self.held.items()}

    def _suspects(self, snapshot: Snapshot, *, changed: bool) -> Iterator[tuple[list[str], Mapping[str, Labels]]]:
        """Give whom to suspect, oldest first, with what they said before: first who says something new, then all.

        Args:
            changed: the templates or the settings are others than those that all was accepted with.
        """
        free = [service for service in snapshot.services.values() if service.id not in self.held]
        free.sort(key=lambda service: (moment(service.created_at), service.id))
        yield [service.id for service in free if self.good.get(service.id) != service.labels], self.good
        # What is to blame then is no label: a task, a node, a name; or what has changed, and then nobody is.
        if not changed:
            yield [service.id for service in free], {}

    def saying(self, snapshot: Snapshot, labels: Mapping[str, Labels | None]) -> Snapshot:
        """Return the snapshot with some services saying something else, or gone (None)."""
        services = {}
        for id_, service in snapshot.services.items():
            said = labels.get(id_, service.labels)
            if said is not None:
                services[id_] = service if said is service.labels else self._relabel(service, said)
        return replace(snapshot, services=services)

    def _relabel(self, service: Service, labels: Labels) -> Service:
        """Return the service with these labels: the very same object as the last time, for the builder's memory."""
        known = self._relabelled.get(service.id)
        if not known or known[0] is not service or known[1] != labels:
            known = self._relabelled[service.id] = service, labels, replace(service, labels=labels)
        return known[2]

    def decided(self, model: Model, snapshot: Snapshot) -> tuple[Model, Snapshot]:
        """Return the model of other facts, decided by the same settings at the same moment."""
        basis = model.basis
        assert basis is not None
        if not self._builder or self._builder.rules != basis.rules:
            self._builder = Builder(basis.rules)
        return replace(self._builder.build(snapshot, basis.drained), problems=model.problems), snapshot


def culprits(model: Model, snapshot: Snapshot, refusal: Refusal, judge: Judge) -> list[str]:
    """Return the services without which the rest is accepted, by name; nobody where the rest is refused as well."""
    quarantine = Quarantine()
    quarantine.find(model, snapshot, refusal, judge, None, 0.0)
    return sorted(held.name for held in quarantine.held.values() if held.error)


def _still(held: Held, id_: str, snapshot: Snapshot) -> bool:
    return bool(held.error) and id_ in snapshot.services and snapshot.services[id_].labels == held.refused


@dataclass(slots=True)
class _Search:
    """One bisection: the first so many candidates say what they say now, the others what they said before."""

    quarantine: Quarantine
    model: Model
    snapshot: Snapshot
    candidates: Sequence[str]  # ids
    before: Mapping[str, Labels]  # who is not in it said nothing
    judge: Judge
    found: dict[str, Held] = field(default_factory=dict)

    def run(self, refusal: Refusal | None) -> dict[str, Held]:
        """Return the culprits, with at most log2(n) + 1 verdicts for each; without all candidates there is none.

        Args:
            refusal: of everything.
        """
        good, everybody = 0, len(self.candidates)
        while refusal and len(self.found) < MOST:
            bad = everybody
            while bad - good > 1:
                middle = (good + bad) // 2
                here = self.refusal(middle)
                if here:
                    bad, refusal = middle, here
                else:
                    good = middle
            self._hold(self.candidates[bad - 1], str(refusal))
            good = bad  # with that one held, all up to here are accepted
            refusal = self.refusal(everybody) if good < everybody else None
        if refusal:
            for id_ in self.candidates[good:]:
                self._hold(id_, "")
        return self.found

    def refusal(self, number: int) -> Refusal | None:
        """Return why the first so many cannot say what they say now, less the culprits; None: they can."""
        labels: dict[str, Labels | None] = {id_: self.before.get(id_) for id_ in self.candidates[number:]}
        labels |= {id_: held.instead for id_, held in (self.quarantine.held | self.found).items()}
        self.quarantine.asked += 1
        try:
            self.judge(*self.quarantine.decided(self.model, self.quarantine.saying(self.snapshot, labels)))
        except (CheckFailed, TemplateError) as error:
            return error
        return None

    def _hold(self, id_: str, error: str) -> None:
        service = self.snapshot.services[id_]
        self.found[id_] = Held(service.name, service.labels, self.before.get(id_), error)
