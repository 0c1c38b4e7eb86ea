"""Which services a proxy refuses, and what is served of them meanwhile: what they asked for before, or nothing.

Labels are judged before anything is rendered, so this is for what nobody could foresee: a template of an author's own,
a limit of one version of a proxy. The culprits are found by bisection among the services that changed; all others are
served in the same round. Of a service that is held, the labels stay behind: its tasks go on being followed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

from lbgen.base.backoff import Backoff
from lbgen.base.logs import log
from lbgen.base.problem import Problem
from lbgen.daemon.bisection import Bisection, Held, Judge, Labels, Refusal, WhatIf
from lbgen.daemon.counters import Counters
from lbgen.model import Model
from lbgen.snapshot import Service, Snapshot, moment

FIRST_TRIAL, LONGEST_PAUSE = 60.0, 600.0  # seconds until a held service is tried again, though nothing about it changed


class Quarantine:
    """What one target holds back.

    Args that are called ``stamp`` stand for all that a verdict depends on besides the services: templates, settings.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.held: dict[str, Held] = {}  # by the service's id
        self.good: Mapping[str, Labels] = {}  # what services said when they were last accepted, by id
        self._clock, self._trials = clock, Backoff(FIRST_TRIAL, LONGEST_PAUSE, clock)
        self._judged_at = 0.0
        self._trying = False  # they are on trial: not held back until there is a verdict
        self._stamp: object = None  # of the verdict that they are held for
        self._accepted: object = None  # the stamp of what was last accepted
        self._what_if = WhatIf()

    def due(self) -> float | None:
        """Return when, by the clock, held services are to be tried again, or None."""
        if not self.held or self._trying:
            return None
        return self._trials.due if all(held.error for held in self.held.values()) else self._judged_at

    def problems(self, target: str) -> list[Problem]:
        """Return a problem for each culprit."""
        return [held.problem(target) for held in self.held.copy().values() if held.error]

    def tell(self, target: str, before: Mapping[str, Held], counters: Counters) -> bool:
        """Log and count which services are held from now on, and which no longer are; return whether that differs."""
        for id_, held in self.held.items():
            if held.error and before.get(id_) != held:
                instead = "what it asked for before" if held.instead is not None else "left out"
                log.error("quarantined", target=target, service=held.name, error=held.error, instead=instead)
                counters.count("refused")
        for id_ in before.keys() - self.held.keys():
            log.info("quarantine_over", target=target, service=before[id_].name)
        return self.held != before

    def to_serve(self, model: Model, snapshot: Snapshot, stamp: object) -> tuple[Model, Snapshot]:
        """Return both with what is held as it is served; forget what is not to be held any longer."""
        self.held = {id_: held for id_, held in self.held.items() if _still_refused(held, id_, snapshot)}
        again = self._trying or self._stamp != stamp or self._trials.remaining() == 0
        self._trying = bool(self.held) and again
        if not self.held or self._trying:
            return model, snapshot
        return self._what_if.facts(model, snapshot, _instead(self.held))

    def accepted(self, snapshot: Snapshot, stamp: object) -> None:
        """Remember what the services ask for: it was checked, and is in force."""
        self._accepted = stamp
        self.good = {id_: service.labels for id_, service in snapshot.services.items()}
        if self._trying:
            self.held, self._trying = {}, False
        if not self.held:
            self._trials.reset()

    def hold_culprits(self, model: Model, snapshot: Snapshot, refusal: Refusal, judge: Judge, stamp: object) -> bool:
        """Find who is to blame for a refusal, and hold them; return False where the rest is refused as well.

        Nobody is to blame if everybody would be: a template that is saved with a mistake takes no service away.

        Args:
            model, snapshot: with nobody held back.
        """
        if model.basis is None:  # made by hand, in a test
            return False
        before = {} if self._trying else self.held
        free = [service for service in snapshot.services.values() if service.id not in before]
        for suspects, said in self._suspects(free, changed=self._accepted not in (None, stamp)):
            search = Bisection(self._what_if, model, snapshot, suspects, said, before, judge, self._clock)
            if suspects and search.refusal(0) is None:
                held = before | search.run(refusal)
                if self._leaves_some(model, snapshot, held):
                    self.held, self._trying, self._stamp = held, False, stamp
                    self._judged_at = self._clock()
                    self._trials.pause()
                    return True
        return False

    def fallbacks(self) -> dict[str, Labels]:
        """Return the labels that held services are served by, by id; those left out have none."""
        return {id_: said for id_, said in _instead(self.held).items() if said is not None}

    def _suspects(self, free: list[Service], *, changed: bool) -> Iterator[tuple[list[str], Mapping[str, Labels]]]:
        """Give the suspects, oldest first, with what they said before: those that say something new, then all.

        Args:
            changed: the templates or the settings are not those that all was accepted with.
        """
        free.sort(key=lambda service: (moment(service.created_at), service.id))
        yield [service.id for service in free if self.good.get(service.id) != service.labels], self.good
        # What is to blame then is no label: a task, a node, a name; or what has changed, and then nobody is.
        if not changed:
            yield [service.id for service in free], {}

    def _leaves_some(self, model: Model, snapshot: Snapshot, held: Mapping[str, Held]) -> bool:
        """Tell whether anything is left to serve without those who are held, if nothing was accepted before.

        Then everybody is new, and what everybody is refused for may as well be the templates' fault.
        """
        if self._accepted is not None or len(model.backends) < 2:
            return True
        return bool(self._what_if.facts(model, snapshot, _instead(held))[0].backends)


def culprits(model: Model, snapshot: Snapshot, refusal: Refusal, judge: Judge) -> list[str]:
    """Return the services without which the rest is accepted, by name; nobody where the rest is refused as well."""
    quarantine = Quarantine()
    quarantine.hold_culprits(model, snapshot, refusal, judge, None)
    return sorted(held.name for held in quarantine.held.values() if held.error)


def _instead(held: Mapping[str, Held]) -> dict[str, Labels | None]:
    return {id_: each.instead for id_, each in held.items()}


def _still_refused(held: Held, id_: str, snapshot: Snapshot) -> bool:
    return bool(held.error) and id_ in snapshot.services and snapshot.services[id_].labels == held.refused
