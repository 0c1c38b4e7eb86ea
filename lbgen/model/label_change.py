"""What new labels do to a service that is served by earlier ones: a mistake in them closes it, or they guard more.

Pure. Each answer is about one service as if no other was in its way: what others claim is no mistake of its labels.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from lbgen.base.problem import Problem
from lbgen.labels.keys.table import guards_of
from lbgen.labels.match import Alternative, Match, Test
from lbgen.labels.route_spec import DENIES, MATCHING, ClosedSpec, RouteSpec
from lbgen.model.decided import Decided
from lbgen.model.routes import ServiceRoutes
from lbgen.model.screens import exclude
from lbgen.model.types import Closed, Route

_WHERE = MATCHING | {"rule", "listener"}  # the fields of the keys that say which requests are guarded


def mistakes(
    before: Decided, after: Decided, served: Collection[str], named: frozenset[str] = frozenset()
) -> tuple[Problem, ...]:
    """Return the problems for which a service is to be served by its labels of before.

    None: by its new labels. They close nothing that is served; or they guard what is open by those of before; or these
    do not find all the servers any more that they found.

    Args:
        before, after: the service by either labels, with today's tasks, ports and networks.
        served: names of the routes that labels of before were served by.
        named: what the labels name, if they are the same before and after: none of it is a guard that they add.
    """
    took = {route.name: route for route in before.part.takes}
    if not served or not set(served) <= took.keys() or guards_more(before.asked, after.asked, named):
        return ()
    takes = {route.name for route in after.part.takes}
    closed = [item for item in after.part.closed if item.name not in takes]
    new = sorted(set(after.part.problems) - set(before.part.problems))
    closing = any(
        item.name in served or (item not in before.part.closed and any(_meet(item, took[each]) for each in served))
        for item in closed
    )
    # What closes nothing because nothing of it can be read, or which of the routes there are at all.
    told = takes.union(item.name for item in closed)
    absent = [problem for problem in new if not _names(problem, told)]
    return tuple(new) if closing or (absent and set(served) - takes) else ()


def guards_more(before: ServiceRoutes, after: ServiceRoutes, named: frozenset[str] = frozenset()) -> bool:
    """Tell whether new labels guard anything that those of before leave open, or by something else, honoured or not.

    Args:
        named: see `mistakes`.
    """
    known = _guarding(before)
    anywhere = _Guarding(_guards(known), {}, None)
    return any(
        replace(guarding, guards=guarding.guards - named).beyond(anywhere if guarding.whole else known.get(key))
        for key, guarding in _guarding(after).items()
    )


def adds_guard(before: ServiceRoutes, after: ServiceRoutes) -> bool:
    """Tell whether new labels have a guard, honoured or not, that its route did not have; a new one: that none had."""
    known = _guarding(before)
    return any(
        guarding.guards - (known[key].guards if key in known else _guards(known))
        for key, guarding in _guarding(after).items()
    )


def takes_out(before: ServiceRoutes, after: ServiceRoutes) -> bool:
    """Tell whether by its new labels a service has no part in anything, while by those of before it had."""
    return bool(before.requests or before.unhonoured) and not (after.requests or after.unhonoured)


@dataclass(frozen=True, slots=True)
class _Guarding:
    """What one route guards, and by what."""

    guards: frozenset[str]  # fields of the keys, with those that cannot be honoured
    values: Mapping[str, object]  # of those that can
    where: tuple[Match, object] | None  # match and listeners; None: it cannot be read
    whole: bool = False  # it stands for all routes

    @classmethod
    def of(cls, spec: RouteSpec | ClosedSpec) -> _Guarding:
        """Return it for a route, or for one that cannot be honoured."""
        values: dict[str, object] = {name: getattr(spec.keys, name) for name in guards_of(spec.keys)}
        values |= {"users": spec.users} if spec.users else {}
        where = (spec.match, spec.keys.listener)
        if isinstance(spec, RouteSpec):
            values |= {"denials": spec.denials} if spec.denials else {}
            return cls(spec.guards, values, where)
        guards = guards_of(spec.keys) | spec.missing | (DENIES if spec.denies else frozenset())
        return cls(guards, values, None if spec.broken & _WHERE else where, spec.whole)

    def beyond(self, before: _Guarding | None) -> bool:
        """Tell whether it keeps out, or may keep out, what the route of before did not."""
        if before is None:
            return bool(self.guards)
        if self.guards - before.guards:
            return True
        if any(before.values.get(name, value) != value for name, value in self.values.items()):
            return True
        return bool(self.guards and self.where and before.where and self.where != before.where)


def _guarding(asked: ServiceRoutes) -> dict[tuple[str, str], _Guarding]:
    specs: list[RouteSpec | ClosedSpec] = [*(request.spec for request in asked.requests), *asked.unhonoured]
    return {(spec.protocol, spec.name): _Guarding.of(spec) for spec in specs}


def _guards(known: Mapping[tuple[str, str], _Guarding]) -> frozenset[str]:
    return frozenset[str]().union(*(guarding.guards for guarding in known.values()))


def _names(problem: Problem, names: Iterable[str]) -> bool:
    """Tell whether a problem is of one of these routes."""
    if not problem.route:
        return problem.service in names
    return any(name.rpartition(".")[2] == problem.route for name in names if name != problem.service)


def _meet(closed: Closed, route: Route) -> bool:
    """Tell whether requests of a route may be those of a closed one."""
    if closed.protocol != route.protocol or set(closed.listeners).isdisjoint(route.listeners):
        return False
    return any(
        not exclude(one, other) and not _paths_apart(one, other)
        for one in closed.alternatives
        for other in route.alternatives
    )


def _paths_apart(one: Alternative, other: Alternative) -> bool:
    return any(not _overlap(mine, theirs) for mine in one for theirs in other if _is_path(mine) and _is_path(theirs))


def _is_path(test: Test) -> bool:
    return test.kind in ("path", "path_prefix") and not test.negated


def _overlap(one: Test, other: Test) -> bool:
    return _reaches(one, other.value) or _reaches(other, one.value)


def _reaches(test: Test, path: str) -> bool:
    return path == test.value or (test.kind == "path_prefix" and f"{path}/".startswith(test.value.rstrip("/") + "/"))
