"""Whose previous labels stay in force: of a service whose new ones would close its own routes, or those of others.

Labels define what others use: so each change is judged in the whole snapshot, by the routes of the service itself and
by those of all that use what it defines.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from lbgen.base.problem import Problem
from lbgen.labels.definitions import DefinitionsByPart
from lbgen.labels.route_spec import Use
from lbgen.model import Builder, Rules
from lbgen.model.decided import Decided
from lbgen.model.label_change import mistakes
from lbgen.snapshot import Service, Snapshot

Why = tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """What is to be judged."""

    snapshot: Snapshot  # as it is
    previous: Mapping[str, Service]  # services whose labels changed, by key, with those that they are served by
    routes: Mapping[str, tuple[str, ...]]  # names of those that services are served by
    uses: Mapping[str, tuple[Use, ...]]  # names that services' labels use, as far as they are known


class Judge:
    """Judges one change after another."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._before, self._after = Builder(rules, _ignored), Builder(rules, _ignored)

    def held(self, case: Case) -> dict[str, Why]:
        """Return the services that keep their previous labels, by key, and why."""
        held: dict[str, Why] = {}
        while found := self._found(case, held):  # with what is held by then
            held |= found
        return held

    def _found(self, case: Case, held: Collection[str]) -> dict[str, Why]:
        services = dict(case.snapshot.services)
        was = replace(case.snapshot, services=services | {each.id: each for each in case.previous.values()})
        keep = {case.previous[name].id: case.previous[name] for name in held}
        now = replace(case.snapshot, services=services | keep)
        users = set(self._users(case, self._before.definitions(was), self._after.definitions(now)))
        judged = [*case.previous.values(), *(services[id_] for id_ in users)]
        for builder, snapshot in ((self._before, was), (self._after, now)):
            builder.build(snapshot, only={service.id for service in judged})
        found: dict[str, Why] = {}
        for service in judged:
            before = self._before.decision(was.services[service.id])
            after = self._after.decision(now.services[service.id])
            routes = case.routes.get(service.key, ())
            if not (before and after and routes):
                continue
            if service.key not in case.previous:
                changed = {
                    each.own_name: each
                    for key, each in case.previous.items()
                    if each.part == service.part and key not in held
                }
                found = _joined(found, _blamed(service.name, before, after, routes, changed))
            elif service.key not in held and (why := mistakes(before, after, routes)):
                found = _joined(found, [(service.key, why)])
        return found

    def _users(self, case: Case, before: DefinitionsByPart, after: DefinitionsByPart) -> Iterator[str]:
        """Yield the ids of services whose labels have not changed, and use what means something else now."""
        for id_, service in case.snapshot.services.items():
            if service.key in case.previous or not case.routes.get(service.key):
                continue
            uses = case.uses.get(service.key)
            was, now = before.of(service.part), after.of(service.part)
            if uses is None or (was is not now and any(was.answer(use) != now.answer(use) for use in uses)):
                yield id_


def _blamed(
    name: str, before: Decided, after: Decided, routes: tuple[str, ...], changed: Mapping[str, Service]
) -> Iterator[tuple[str, Why]]:
    """Yield the services whose new definitions would close routes of one whose own labels have not changed.

    Args:
        changed: the services whose labels changed, by their names in the part.
    """
    named = frozenset(use.reference for use in before.asked.uses)
    for problem in mistakes(before, after, routes, named)[:1]:
        message = f"would close routes of service {name}, which uses what these labels define: {problem.message}"
        for definer in sorted(_definers(before, after).intersection(changed)):
            yield changed[definer].key, (Problem(changed[definer].name, message, problem.remedy),)


def _definers(before: Decided, after: Decided) -> set[str]:
    """Return the services that define what means something else now."""
    found: set[str] = set()
    for use in before.asked.uses:
        if before.definitions.answer(use) != after.definitions.answer(use):
            key = use.protocol, use.kind, use.reference.partition("@")[0]
            defined = (*before.definitions.named.get(key, ()), *after.definitions.named.get(key, ()))
            found.update(each.service for each in defined)
    return found


def _joined(found: dict[str, Why], more: Collection[tuple[str, Why]] | Iterator[tuple[str, Why]]) -> dict[str, Why]:
    joined = dict(found)
    for name, why in more:
        joined[name] = (*joined.get(name, ()), *why)
    return joined


def _ignored(_service: Service, _error: Exception) -> None:
    """The loop's own builder meets the same mistake, and tells it."""
