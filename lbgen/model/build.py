"""From facts and settings to listeners, routes and backends.

Pure: no clock, no network, no environment. Equal snapshots give equal models in the same order, so an unchanged
cluster renders the same bytes. Each service is decided alone; only what they compete for is decided together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from lbgen.base.problem import Problem
from lbgen.labels import dialects
from lbgen.labels.definitions import Defined, DefinitionsByPart
from lbgen.labels.values.users import LabelUsers
from lbgen.labels.values.value_type import BadValue
from lbgen.model import claims
from lbgen.model.backends import route_backend
from lbgen.model.closed import CANNOT_SERVE, MISSING_GUARD, closed_as, closed_backends, with_headers
from lbgen.model.decided import Decided, Inputs, identical
from lbgen.model.definitions import Gatherer, unused
from lbgen.model.groups import Group, Member, join_members
from lbgen.model.listener_redirects import redirect_backends
from lbgen.model.listener_table import listener_table
from lbgen.model.logins import Logins
from lbgen.model.mirrors import Mirrors
from lbgen.model.page_services import PageServices
from lbgen.model.part import LoginRequest, Part
from lbgen.model.parts import Around, Parts
from lbgen.model.routes import RouteRequest, ServiceRoutes, service_routes
from lbgen.model.servers import Surroundings
from lbgen.model.types import Backend, Basis, Listener, Model, Rules
from lbgen.snapshot import Service, Snapshot, Task, moment


def build(snapshot: Snapshot, rules: Rules, drained: Collection[str] = frozenset()) -> Model:
    """Return the model of a snapshot.

    Args:
        drained: ids of tasks and nodes whose time to drain is over; the caller has the clock, this has not.
    """
    return Builder(rules).build(snapshot, drained)


class Builder:
    """Builds one model after another; decides again only the services whose facts have changed.

    The result is the same as without the memory, and what did not change is the same object as in the model before.
    A service's labels are parsed again only when they change, not with its tasks.
    """

    def __init__(self, rules: Rules, mistaken: Callable[[Service, Exception], None] | None = None) -> None:
        """
        Args:
            mistaken: is told of what nobody expected of one service, which then stays as it was; None: it is raised.
        """
        self.rules, self._mistaken = rules, mistaken
        self.parsed = self.decided = self.tabled = 0  # services parsed and decided, listeners' tables made, so far
        self._secure = frozenset(listener.name for listener in rules.listeners if listener.tls)
        self._decided: dict[str, Decided] = {}  # by the service's id
        self._unguarded: frozenset[str] = frozenset()  # names of the services that closed a route for want of a guard
        self._routes: list[tuple[object, ...]] = []
        self._tables: list[tuple[Listener, list[Problem]]] = []
        self._mirrors = Mirrors()
        self._page_services = PageServices()
        self._groups: dict[tuple[str, str, str], tuple[list[Member], Group]] = {}
        self._logins = Logins()
        self._context = rules.label_context()
        self._gatherer, self._definitions = Gatherer(rules, self._define), DefinitionsByPart()
        self._places = Parts()
        self._redirects = tuple(redirect_backends(rules.listeners))

    def decision(self, service: Service) -> Decided | None:
        """Return what was decided of a service in the last model; None: it is not there, or lbgen made a mistake."""
        known = self._decided.get(service.id)
        return known if known and known.inputs.service is service else None

    def definitions(self, snapshot: Snapshot) -> DefinitionsByPart:
        """Return what the labels of a snapshot define; while nothing of a part's changes, the same object."""
        return self._gatherer.gathered(snapshot)

    def build(
        self, snapshot: Snapshot, drained: Collection[str] = frozenset(), only: Collection[str] | None = None
    ) -> Model:
        """Return the model of a snapshot; see `build`.

        Args:
            only: ids of the services to decide, among all the others; None: all.
        """
        self._definitions = self.definitions(snapshot)
        around = self._places.around(snapshot, self.rules, drained, self._unguarded)
        parts = self._parts(snapshot, around, only)
        unguarded = frozenset(known.inputs.service.name for known in self._decided.values() if known.unguarded)
        if unguarded != self._unguarded:  # who shares requests with one of these is decided again
            self._unguarded, around = unguarded, self._places.around(snapshot, self.rules, drained, unguarded)
            parts = self._parts(snapshot, around, only)
        parts.append(Part(problems=tuple(self._unused())))
        joined, logins = self._logins.join(parts, snapshot, around)
        model = self._assemble(joined, logins, Basis(self.rules, drained, self._definitions))
        model = self._page_services.found(model, snapshot, around)
        return self._mirrors.aimed(model, snapshot, around, self._asked)

    def _parts(self, snapshot: Snapshot, everywhere: Around, only: Collection[str] | None) -> list[Part]:
        """Decide each service, the oldest first."""
        decided: dict[str, Decided] = {}
        parts = []
        names: set[str] = set()
        for service in sorted(snapshot.services.values(), key=lambda service: (moment(service.created_at), service.id)):
            if service.name in names:  # not in Swarm, but in a file written by hand
                same = Problem(service.name, "an older service has the same name", "rename one")
                parts.append(Part(problems=(same,)))
                continue
            names.add(service.name)
            if only is not None and service.id not in only:
                continue
            around = everywhere.of(service.part)
            own = around.tasks_of(service)
            over = around.drained_nodes | {task.id for task in own if task.id in around.drained}
            inputs = Inputs(service, own, around.nodes, around.networks, over)
            parts.append(self._part(inputs, around, decided))
        self._decided = decided
        return parts

    def _asked(self, service: Service) -> Sequence[RouteRequest]:
        """Return the routes that a service of this model asks for."""
        known = self._decided.get(service.id)
        return known.asked.requests if known else ()

    def _part(self, inputs: Inputs, around: Surroundings, decided: dict[str, Decided]) -> Part:
        """Return a service's part of the model and store it in ``decided``; after an error, its last part."""
        id_, name = inputs.service.id, inputs.service.name
        before = self._decided.get(id_)
        try:
            decided[id_] = self._decide(inputs, around, before)
        except Exception as error:
            if not self._mistaken:
                raise
            self._mistaken(inputs.service, error)
            kept = "what it had stays in force" if before else "it is left out"
            message = f"lbgen made a mistake with its labels ({type(error).__name__}), so {kept}"
            problem = Problem(name, message, "report it, with the traceback in lbgen's log")
            if before is None:
                return Part(problems=(problem,))
            decided[id_] = before
            return replace(before.part, problems=(*before.part.problems, problem))
        return decided[id_].part

    def _decide(self, inputs: Inputs, around: Surroundings, before: Decided | None) -> Decided:
        definitions = self._definitions.of(inputs.service.part)
        if before and before.inputs.asks_the_same(inputs.service) and before.means_the_same(definitions):
            asked = before.asked
        else:
            self.parsed += 1
            asked = service_routes(inputs.service, self.rules, definitions)
        inputs = inputs.with_shared(asked, around)
        if before and asked is before.asked and before.inputs.same(inputs):
            return before if before.definitions is definitions else replace(before, definitions=definitions)
        self.decided += 1
        part = service_part(inputs.service, inputs.tasks, asked, around)
        return Decided(inputs, asked, _with_old_objects(before.part, part) if before else part, definitions)

    def _define(self, service: Service) -> Defined:
        try:
            return dialects.define(service.own_name, service.labels, self._context)
        except Exception:
            if not self._mistaken:
                raise
            return Defined(service.own_name)  # it is told of where the labels are parsed

    def _unused(self) -> Iterator[Problem]:
        parts: dict[str, list[ServiceRoutes]] = {}
        for known in self._decided.values():
            parts.setdefault(known.inputs.service.part, []).append(known.asked)
        for own in parts.values():
            offered = [offer for asked in own for offer in asked.offers]
            if offered:
                yield from unused(offered, (use for asked in own for use in asked.uses))

    def _assemble(self, parts: Sequence[Part], logins: Sequence[Backend], basis: Basis) -> Model:
        """Join the services' parts and decide what several of them claim."""
        groups = self._join(parts)
        routes = [part.routes for part in parts] + [group.routes for group in groups]
        flat = [route for own in routes for route in own]
        closed = [item for part in parts for item in part.closed]
        closed += [
            closed_as(out.route, MISSING_GUARD, out.backend.policy) for group in groups for out in group.left_out
        ]
        backends = [backend for part in parts for backend in part.backends] + [group.backend for group in groups]
        backends += [*logins, *self._redirects]
        asked = [*routes, *(part.closed for part in parts)]
        if not self._tables or not identical(asked, self._routes):
            self.tabled += len(self.rules.listeners)
            self._routes = asked
            self._tables = [listener_table(listener, flat, closed, self._secure) for listener in self.rules.listeners]
        backends += closed_backends((name for listener, _ in self._tables for name in listener.answers), closed)
        problems = {problem for part in parts for problem in part.problems}
        problems.update(problem for group in groups for problem in group.problems)
        problems.update(problem for _, claimed in self._tables for problem in claimed)
        return Model(
            listeners=tuple(listener for listener, _ in self._tables),
            routes=tuple(sorted(flat, key=lambda route: route.name)),
            backends=tuple(sorted(backends, key=lambda backend: backend.name)),
            problems=tuple(sorted(problems)),
            remarks=tuple(sorted({remark for group in groups for remark in group.remarks})),
            closed=tuple(sorted(closed, key=lambda item: (item.name, item.listeners))),
            basis=basis,
            users=_by_name(user for part in parts for user in part.users),
        )

    def _join(self, parts: Sequence[Part]) -> list[Group]:
        """Join what services share; a group none of whose members changed is the same object as before."""
        members: dict[tuple[str, str, str], list[Member]] = {}
        for member in (member for part in parts for member in part.members):
            members.setdefault(member.key, []).append(member)
        before, self._groups = self._groups, {}
        for key, own in members.items():
            known = before.get(key)
            if not known or not identical(known[0], own):
                known = own, join_members(own, self._secure, any_check=self.rules.any_health_check)
            self._groups[key] = known
        return [group for _, group in self._groups.values()]


def service_part(service: Service, tasks: Sequence[Task], asked: ServiceRoutes, around: Surroundings) -> Part:
    """Give each of a service's routes its servers. Nothing here can fail another service."""
    routes, backends, members, users, logins = [], [], [], [], []
    problems, closed = list(asked.problems), list(asked.closed)
    for request in asked.requests:
        try:
            backend, servers = route_backend(service, tasks, request, around, asked.requests)
            scope = claims.group_scope(service, request.spec, request.route, backend, around.rules.claims)
        except BadValue as bad:
            problems.append(request.spec.problem(service.name, bad))
            unclaimed = 0 if isinstance(bad, claims.NotAllowed) else CANNOT_SERVE
            closed.append(closed_as(request.route, CANNOT_SERVE, request.policy, unclaimed=unclaimed))
            continue
        if member := Member.of(request.spec, request.route, backend, scope):
            members.append(member)
        else:
            routes.append(request.route)
            backends.append(backend)
        if request.policy.forward_auth:
            entries = claims.allowing(service, request.spec, request.route, backend, around.rules.claims)
            logins.append(LoginRequest(request.spec, request.route, service.part, service.stack, entries))
        problems += servers.problems
        users += [request.spec.users] if request.spec.users else []
    return Part(
        tuple(routes),
        tuple(backends),
        tuple(problems),
        tuple(members),
        tuple(users),
        tuple(with_headers(closed, around.rules)),
        tuple(logins),
    )


def _by_name(users: Iterable[LabelUsers]) -> tuple[LabelUsers, ...]:
    return tuple(sorted(set(users), key=lambda item: item.name))


def _with_old_objects(before: Part, part: Part) -> Part:
    """Return the new part, with everything that is equal to the old one's replaced by it."""
    if part == before:
        return before
    backends = {backend.name: backend for backend in before.backends}
    return Part(
        before.routes if part.routes == before.routes else part.routes,
        tuple(backends[item.name] if backends.get(item.name) == item else item for item in part.backends),
        part.problems,
        before.members if part.members == before.members else part.members,
        part.users,
        before.closed if part.closed == before.closed else part.closed,
        part.logins,
    )
