"""What was decided about each route of a service: who may use it, where its traffic goes, who its servers are."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from lbgen.base.problem import printable
from lbgen.labels.keys.table import RouteKeys
from lbgen.labels.match import match_text
from lbgen.labels.route_spec import RouteSpec
from lbgen.labels.values.value_type import BadValue
from lbgen.model import Backend
from lbgen.model.backends import route_backend
from lbgen.model.claims import group_scope
from lbgen.model.groups import Member, backend_name
from lbgen.model.guards import Guards
from lbgen.model.own_names import read_labels
from lbgen.model.routes import RouteRequest, route_name, route_request
from lbgen.model.servers import RouteServers
from lbgen.report.explain import servers
from lbgen.report.explain.facts import Facts
from lbgen.report.explain.listeners import Listeners
from lbgen.report.explain.settings import settings_of
from lbgen.report.masking import masked_check
from lbgen.snapshot import Service, Task

# What is known only of a route that was decided.
_UNDECIDED: dict[str, Any] = {
    "listeners": [],
    "certificates": [],
    "backend": "",
    "group": None,
    "via": None,
    "port": None,
    "network": None,
    "nodes": [],
    "servers": [],
    "not_servers": [],
    "health_check": None,
    "server_tls": None,
    "settings": {},
}


class Routes:
    """Explains the routes of one service."""

    def __init__(self, facts: Facts, service: Service) -> None:
        self._facts, self._service = facts, service
        self._tasks: Sequence[Task] = facts.tasks(service)
        self._listeners = Listeners(facts)
        self._routes = {route.name: route for route in facts.model.routes}
        self._backends = {backend.name: backend for backend in facts.model.backends}

    def of(self, spec: RouteSpec) -> dict[str, Any]:
        """Explain one route."""
        head = {
            "name": route_name(self._service.name, spec),
            "route": spec.name,
            "protocol": spec.protocol,
            "dialect": spec.dialect,
            "origin": spec.origin,
            "rule": match_text(spec.match),
            "priority": spec.priority,
        }
        try:
            request = route_request(self._service, spec, self._facts.rules)
            backend, chosen = route_backend(
                self._service, self._tasks, request, self._facts.around.of(self._service.part)
            )
            scope = group_scope(self._service, spec, request.route, backend, self._facts.rules.claims)
        except BadValue as bad:
            return head | _UNDECIDED | self._refused(spec, bad)
        return head | self._decided(request, Member.of(spec, request.route, backend, scope), backend, chosen)

    def _refused(self, spec: RouteSpec, bad: BadValue) -> dict[str, Any]:
        label = spec.label_to_blame(bad)[0]
        nodes = []
        if bad.key == "nodes":
            with contextlib.suppress(BadValue):  # the label is no list of constraints
                nodes = servers.nodes(spec.keys, self._facts.around.of(self._service.part))
        message = spec.problem(self._service.name, bad).message  # fit to be told
        why = f"label {printable(label)}: {message}" if label else message
        return {"served": False, "why": why, "nodes": nodes}

    def _decided(
        self, request: RouteRequest, member: Member | None, alone: Backend, chosen: RouteServers
    ) -> dict[str, Any]:
        spec, route = request.spec, request.route
        name = backend_name(member) if member else route.backend
        backend, routed = self._backends.get(name, alone), self._routes.get(route.name)
        chosen = servers.without_gone(chosen, backend, self._facts)
        listeners = self._listeners.of(routed, chosen=spec.keys.listener is not None) if routed else []
        served, why = _served(listeners)
        if member and member.wants_all and not routed and _among(alone, backend) and self._listeners.reach(name):
            served, why = True, f"its requests are those of group {member.group}, which service {backend.service} leads"
        return {
            "served": served,
            "why": why,
            "listeners": listeners,
            "certificates": self._listeners.certificates(routed) if routed else [],
            "backend": name,
            "group": servers.group(member.group, backend) if member else None,
            **servers.destination(self._service, self._tasks, spec, chosen, self._facts.around.of(self._service.part)),
            "servers": servers.serving(chosen, backend, self._facts),
            "health_check": asdict(masked_check(backend.health_check)) if backend.health_check else None,
            "server_tls": servers.tls(backend),
            "settings": settings_of(self._in_force(spec, backend)),
        }

    def _in_force(self, spec: RouteSpec, backend: Backend) -> RouteKeys:
        """Return the settings that hold: of a group those of the service that leads it, and the guards of all."""
        keys = self._leading(spec, backend).keys
        return replace(keys, **Guards.of(backend).as_keys()) if keys.group else keys

    def _leading(self, spec: RouteSpec, backend: Backend) -> RouteSpec:
        if backend.service == self._service.name:
            return spec
        leader = self._facts.service(backend.service)
        definitions = self._facts.definitions.of(leader.part)
        labels = read_labels(leader, self._facts.rules.label_context(definitions, on_hosts=leader.on_hosts))
        same = (route for route in labels.routes if (route.protocol, route.name) == (backend.protocol, backend.route))
        return next(same, spec)


def _among(alone: Backend, backend: Backend) -> bool:
    """Tell whether servers of a backend are among those of another one."""
    others = {(server.address, server.port) for server in backend.servers}
    return any((server.address, server.port) in others for server in alone.servers)


def _served(listeners: Sequence[dict[str, Any]]) -> tuple[bool, str]:
    """Return whether some listener leads to a route, and why others do not."""
    if not listeners:
        return False, "it is not part of the configuration in force"
    why = "; ".join(f"listener {found['name']}: {found['why']}" for found in listeners if not found["served"])
    return any(listener["served"] for listener in listeners), why
