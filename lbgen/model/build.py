"""From facts and settings to listeners, routes and backends.

Pure: no clock, no network, no environment. Equal snapshots give equal models in the same order, so an unchanged
cluster renders the same bytes. Each service is decided alone; only what they compete for is decided together.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from lbgen.base.problem import Problem
from lbgen.labels import dialects
from lbgen.labels.keys.table import RouteKeys
from lbgen.labels.match import MAX_TESTS, Alternative, Test, TooManyAlternatives, alternatives
from lbgen.labels.route_spec import RouteSpec
from lbgen.labels.values.value_type import BadValue
from lbgen.model.groups import Group, Member, grouped
from lbgen.model.policy import Policy, policy_of
from lbgen.model.routing import routed
from lbgen.model.servers import Found, Surroundings, servers
from lbgen.model.tls import secured
from lbgen.model.types import Backend, Basis, HealthCheck, Listener, Model, Redirect, Route, Rules
from lbgen.snapshot import Network, Node, Service, Snapshot, Task, moment

# What Swarm accepts as a service name (swarmkit, manager/controlapi); every proxy accepts it as an identifier. It has
# no dot, so that "<service>.<protocol>.<route>" cannot be another service's name.
_SERVICE_NAME = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9_-]{0,61}[a-zA-Z0-9])?")


@dataclass(frozen=True, slots=True)
class Part:
    """What one service adds to the model."""

    routes: tuple[Route, ...] = ()
    backends: tuple[Backend, ...] = ()
    problems: tuple[Problem, ...] = ()
    members: tuple[Member, ...] = ()  # routes that share their backend with other services


def build(snapshot: Snapshot, rules: Rules, retired: Collection[str] = frozenset()) -> Model:
    """Return the model of a snapshot.

    Args:
        retired: ids of tasks and nodes whose time to drain is over; the caller has the clock, this has not.
    """
    return Builder(rules).build(snapshot, retired)


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What a service's part was decided from."""

    service: Service
    tasks: tuple[Task, ...]
    nodes: Mapping[str, Node]
    networks: Mapping[str, Network]
    retired: frozenset[str]

    def same(self, other: _Inputs) -> bool:
        """Compare by identity: sources hand on the very same object for what did not change."""
        return (
            self.service is other.service
            and self.nodes is other.nodes
            and self.networks is other.networks
            and self.retired == other.retired
            and _identical(self.tasks, other.tasks)
        )


class Builder:
    """Builds one model after another; decides again only the services whose facts have changed.

    The result is the same as without the memory, and what did not change is the same object as in the model before.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.decided = self.tabled = 0  # services decided, and listeners' tables made, so far
        self._parts: dict[str, tuple[_Inputs, Part]] = {}
        self._routes: list[tuple[Route, ...]] = []
        self._tables: list[tuple[Listener, list[Problem]]] = []
        self._groups: dict[tuple[str, str], tuple[list[Member], Group]] = {}

    def build(self, snapshot: Snapshot, retired: Collection[str] = frozenset()) -> Model:
        """Return the model of a snapshot; see `build`."""
        around = Surroundings(self.rules, snapshot.nodes, snapshot.networks, retired)
        tasks = snapshot.tasks_by_service()
        nodes_over = frozenset(id_ for id_ in retired if id_ in snapshot.nodes)
        decided: dict[str, tuple[_Inputs, Part]] = {}
        parts = []
        names: set[str] = set()
        for service in sorted(snapshot.services.values(), key=lambda service: (moment(service.created_at), service.id)):
            if service.name in names:  # not in Swarm, but in a file written by hand
                same = Problem(service.name, "an older service has the same name", "rename one")
                parts.append(Part(problems=(same,)))
                continue
            names.add(service.name)
            own = tuple(tasks.get(service.id, ()))
            over = nodes_over | {task.id for task in own if task.id in retired}
            inputs = _Inputs(service, own, snapshot.nodes, snapshot.networks, over)
            found = self._part(inputs, around)
            decided[service.id] = inputs, found
            parts.append(found)
        self._parts = decided
        return self._assemble(parts, Basis(self.rules, retired))

    def _part(self, inputs: _Inputs, around: Surroundings) -> Part:
        before = self._parts.get(inputs.service.id)
        if before and before[0].same(inputs):
            return before[1]
        self.decided += 1
        found = part(inputs.service, inputs.tasks, around)
        return _kept(before[1], found) if before else found

    def _assemble(self, parts: Sequence[Part], basis: Basis) -> Model:
        """Join the services' parts and decide what several of them claim."""
        groups = self._grouped(parts)
        routes = [part.routes for part in parts] + [group.routes for group in groups]
        flat = [route for own in routes for route in own]
        backends = [backend for part in parts for backend in part.backends] + [group.backend for group in groups]
        if not self._tables or not _identical(routes, self._routes):
            self.tabled += len(self.rules.listeners)
            self._routes, self._tables = routes, [_table(listener, flat) for listener in self.rules.listeners]
        problems = {problem for part in parts for problem in part.problems}
        problems.update(problem for group in groups for problem in group.problems)
        problems.update(problem for _, claimed in self._tables for problem in claimed)
        return Model(
            listeners=tuple(listener for listener, _ in self._tables),
            routes=tuple(sorted(flat, key=lambda route: route.name)),
            backends=tuple(sorted(backends, key=lambda backend: backend.name)),
            problems=tuple(sorted(problems)),
            basis=basis,
        )

    def _grouped(self, parts: Sequence[Part]) -> list[Group]:
        """Join what services share; a group none of whose members changed is the same object as before."""
        members: dict[tuple[str, str], list[Member]] = {}
        for member in (member for part in parts for member in part.members):
            members.setdefault(member.key, []).append(member)
        before, self._groups = self._groups, {}
        for key, own in members.items():
            known = before.get(key)
            self._groups[key] = known if known and _identical(known[0], own) else (own, grouped(own))
        return [group for _, group in self._groups.values()]


def _table(listener: Listener, routes: Sequence[Route]) -> tuple[Listener, list[Problem]]:
    secure, carried, problems = secured(listener, routes)
    filled, conflicts = routed(secure, carried)
    return filled, problems + [conflict.problem for conflict in conflicts]


def _identical(these: Sequence[object], those: Sequence[object]) -> bool:
    return len(these) == len(those) and all(one is other for one, other in zip(these, those, strict=True))


def _kept(before: Part, found: Part) -> Part:
    """Return the new part, with everything that is equal to the old one's replaced by it."""
    if found == before:
        return before
    backends = {backend.name: backend for backend in before.backends}
    return Part(
        before.routes if found.routes == before.routes else found.routes,
        tuple(backends[item.name] if backends.get(item.name) == item else item for item in found.backends),
        found.problems,
        before.members if found.members == before.members else found.members,
    )


def part(service: Service, tasks: Sequence[Task], around: Surroundings) -> Part:
    """Decide one service: its routes with their servers, and its problems. Nothing here can fail another service."""
    if not _SERVICE_NAME.fullmatch(service.name):
        return Part(problems=(Problem(service.name, "is not a Swarm service name", "rename the service"),))
    labels = dialects.parse(service.name, service.labels, around.rules.label_context())
    routes, backends, members, problems = [], [], [], list(labels.problems)
    tests = 0
    for spec in labels.routes:
        try:
            if tests > MAX_TESTS:
                remedy = "use fewer values, or split the service"
                raise BadValue(f"the service's routes multiply out to more than {MAX_TESTS} tests", remedy)
            route, backend, found = decide(service, tasks, spec, around)
            tests += sum(map(len, route.alternatives))
        except BadValue as bad:
            problems.append(spec.problem(service.name, bad))
            continue
        if spec.keys.group:
            members.append(Member(spec.keys.group, route, backend, frozenset(spec.written)))
        else:
            routes.append(route)
            backends.append(backend)
        problems += found.problems
    return Part(tuple(routes), tuple(backends), tuple(problems), tuple(members))


def decide(
    service: Service, tasks: Sequence[Task], spec: RouteSpec, around: Surroundings
) -> tuple[Route, Backend, Found]:
    """Decide one route: which requests it takes, to which backend, and how that one's servers were found.

    Raises:
        BadValue: a key cannot be honoured; the route is not served.
    """
    route = _route(service, spec, around.rules)
    policy = policy_of(spec.keys)
    found = _servers(service, tasks, spec, around)
    return route, _backend(service, spec, route.name, found, policy), found


def route_name(service: str, spec: RouteSpec) -> str:
    """Return the name that the route and its backend have."""
    return f"{service}.{spec.protocol}.{spec.name}" if spec.name else service


def _route(service: Service, spec: RouteSpec, rules: Rules) -> Route:
    name = route_name(service.name, spec)
    try:
        expanded = alternatives(spec.match)
    except TooManyAlternatives as error:
        raise BadValue(str(error), "use fewer values, or path prefixes", "host") from error
    if spec.protocol == "tcp" and any(_more_than_a_name(alternative) for alternative in expanded):
        raise BadValue("asks for more than a server name", "write HostSNI and || only", "rule")
    by_host = "client-ca" if spec.keys.client_ca else "tls" if spec.keys.tls else ""
    if by_host and not all(any(_names_host(test) for test in alternative) for alternative in expanded):
        raise BadValue("is chosen by host, and this route is for any", "add the key host", by_host)
    if spec.keys.group and spec.keys.redirect:
        raise BadValue("shares servers, and a redirect has none", "remove it, or the redirect", "group")
    return Route(
        name=name,
        backend=name,
        service=service.name,
        protocol=spec.protocol,
        listeners=_listeners(spec, rules),
        alternatives=expanded,
        priority=spec.priority,
        age=(moment(service.created_at), service.id),
        certificate=spec.keys.tls or "",
        client_ca=spec.keys.client_ca,
    )


def _more_than_a_name(alternative: Alternative) -> bool:
    return len(alternative) > 1 or any(test.kind != "sni" or test.negated for test in alternative)


def _names_host(test: Test) -> bool:
    return test.kind == "host" and not test.negated


def _servers(service: Service, tasks: Sequence[Task], spec: RouteSpec, around: Surroundings) -> Found:
    if spec.keys.redirect:  # it is answered by the proxy itself
        return Found("")
    return servers(service, tasks, spec.keys, around, "udp" if spec.protocol == "udp" else "tcp")


def _listeners(spec: RouteSpec, rules: Rules) -> tuple[str, ...]:
    """Return the listeners that carry the route; asked for by label, or the default ones of its protocol."""
    keys, protocol = spec.keys, spec.protocol
    known = {listener.name: listener for listener in rules.listeners}
    secure = [name for name, listener in known.items() if listener.protocol == protocol and listener.tls]
    tls = "client-ca" if keys.client_ca else "tls" if keys.tls is not None else ""  # the key that asks for it
    fitting = ", ".join(name for name, listener in known.items() if listener.protocol == protocol) or "none"
    if keys.listener is None:
        names = [name for name in rules.default_listeners if known[name].protocol == protocol]
        if tls and not secure:
            raise BadValue("asks for TLS, which no HTTP listener has", "give a listener tls: true", tls)
        if tls:
            names = [name for name in names if name in secure] or secure
        if not names:
            raise BadValue(f"no default listener carries {protocol}", f"name one (there are: {fitting})", "listener")
    else:
        names = list(keys.listener)
    for name in names:
        if name not in known:
            raise BadValue(f"there is no listener {name}", f"use one of the settings' ({fitting})", "listener")
        if known[name].protocol != protocol:
            raise BadValue(
                f"listener {name} carries {known[name].protocol}, not {protocol}", f"use: {fitting}", "listener"
            )
        if tls and name not in secure:
            remedy = f"use: {', '.join(secure)}" if secure else "give a listener tls: true"
            raise BadValue(f"asks for TLS, which listener {name} does not have", remedy, tls)
        if keys.passthrough and known[name].tls:
            raise BadValue(f"listener {name} ends TLS", "use a listener without tls", "passthrough")
    return tuple(names)


def _backend(service: Service, spec: RouteSpec, name: str, found: Found, policy: Policy) -> Backend:
    keys = spec.keys
    return Backend(
        name=name,
        service=service.name,
        route=spec.name,
        protocol=spec.protocol,
        via=found.via,
        servers=tuple(replace(server, weight=keys.weight) for server in found.servers),
        balance="source" if keys.sticky == "source" else keys.balance,
        weight=keys.weight,
        health_check=None if spec.protocol == "udp" or keys.redirect else _health_check(keys),
        timeout_connect=keys.timeout_connect,
        timeout_response=keys.timeout_response,
        timeout_idle=keys.timeout_idle,
        retries=keys.retries,
        max_conn=keys.max_conn,
        backup=keys.backup,
        sticky_cookie="" if keys.sticky in ("", "source") else keys.sticky,
        redirect=Redirect(keys.redirect_code, keys.redirect) if keys.redirect else None,
        redirect_https=keys.redirect_https,
        scheme=keys.scheme,
        slow_start=keys.slow_start,
        send_proxy=keys.send_proxy,
        policy=policy,
        client_ca=keys.client_ca,
    )


def _health_check(keys: RouteKeys) -> HealthCheck | None:
    kind = keys.health_check or ("http" if keys.health_check_path else "tcp")
    if kind == "off":
        return None
    return HealthCheck(
        kind=kind,
        interval=keys.health_check_interval,
        timeout=keys.health_check_timeout,
        rise=keys.health_check_rise,
        fall=keys.health_check_fall,
        path=keys.health_check_path or "/",
        method=keys.health_check_method,
        host=keys.health_check_host or "",
        status=keys.health_check_status,
        scheme=keys.health_check_scheme or ("https" if keys.scheme == "https" else "http"),
        port=keys.health_check_port,
    )
