"""Every route with its servers, for `lbgen ls`: who is served where, how Swarm and the proxies see each server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lbgen.base.address import host_port
from lbgen.daemon.drain_store import Drain
from lbgen.labels.match import Alternative
from lbgen.model import Backend, Model, Route, Server
from lbgen.model.server_names import slot_name
from lbgen.model.servers import node_drains, state_and_reason
from lbgen.report.drains import BY_SWARM, Scene, by_origin, drain_document, seen_document
from lbgen.report.masking import masked
from lbgen.snapshot import Node, Service, Task

Document = dict[str, Any]


def listing(scene: Scene) -> Document:
    """Return the routes, by name, and what is drained."""
    rows = _Rows(scene)
    model = masked(scene.model)
    backends = {backend.name: backend for backend in model.backends}
    return {
        "routes": [rows.route(route, backends[route.backend], model) for route in model.routes],
        "drains": [drain_document(drain) for drain in scene.drains],
    }


class _Rows:
    """Makes the rows."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._tasks = scene.snapshot.tasks_by_service()
        self._services = {service.name: service for service in scene.snapshot.services.values()}
        self._drained = by_origin(scene)

    def route(self, route: Route, backend: Backend, model: Model) -> Document:
        """Return a route with the servers of its backend."""
        listeners = [listener for listener in model.listeners if listener.name in route.listeners]
        return {
            "route": route.name,
            "service": route.service,
            "stack": backend.stack,
            "protocol": route.protocol,
            "listeners": [
                {"name": each.name, "bind": host_port(each.address, each.port), "tls": each.tls} for each in listeners
            ],
            "match": match_text(route.alternatives),
            "backend": backend.name,
            "members": list(backend.members or ((backend.service,) if backend.service else ())),
            "via": backend.via,
            "answer": _answer(backend),
            "servers": [*map(self._server, [backend.name] * len(backend.servers), backend.servers)],
            "absent": [] if _answer(backend) else list(self._absent(backend)),
        }

    def _server(self, backend: str, server: Server) -> Document:
        drain = self._drained.get(server.origin)
        task = self._scene.snapshot.tasks.get(server.origin)
        return {
            "name": server.name,
            "address": host_port(server.address, server.port),
            "node": server.node,
            "state": "drain" if server.leaving else server.state,
            "serves": server.state == "up" and server.weight > 0,
            "backup": server.backup,
            "weight": server.weight,
            "task": {"state": task.state, "desired_state": task.desired_state} if task else None,
            "why": self._why_leaving(server, drain),
            "drain": drain_document(drain) if drain else None,
            "seen": seen_document(backend, server, self._scene.seen),
        }

    def _absent(self, backend: Backend) -> Iterator[Document]:
        """Yield the places that are wanted and have no server: tasks, and nodes of the mesh that are drained."""
        origins = {server.origin for server in backend.servers}
        for name in backend.members or (backend.service,):
            service = self._services.get(name)
            if service is None:
                continue
            if backend.via == "mesh":
                yield from self._absent_nodes(service, origins)
            for task in self._tasks.get(service.id, ()):
                node = self._scene.snapshot.nodes.get(task.node_id)
                state, why = state_and_reason(task, node, by_swarm=backend.via in BY_SWARM)
                if task.id not in origins and task.desired_state == "running" and state != "up":
                    yield self._absent_task(service, task, node, why)

    def _absent_nodes(self, service: Service, origins: set[str]) -> Iterator[Document]:
        for node in self._scene.snapshot.nodes.values():
            if node_drains(node) and node.id not in origins:
                drain = self._drained.get(node.id)
                why = "it is drained" if drain is None else "an operator drains it"
                name = f"{service.name}.{node.hostname or node.id}"
                yield _absent(name, node.hostname, "drained", why, drain)

    def _absent_task(self, service: Service, task: Task, node: Node | None, why: str) -> Document:
        drain = self._drained.get(task.id) if task.state == "running" else None
        name = f"{service.name}.{slot_name(task, node) if node else task.slot or task.id}"
        return _absent(name, node.hostname if node else "", "drained" if drain else task.state, why, drain)

    def _why_leaving(self, server: Server, drain: Drain | None) -> str:
        if not server.leaving:
            return ""
        only = ", and no other server is up" if server.state == "up" else ""
        if drain:
            return f"asked by an operator{only}"
        task, nodes = self._scene.snapshot.tasks.get(server.origin), self._scene.snapshot.nodes
        why = state_and_reason(task, nodes.get(task.node_id))[1] if task else "Swarm drains it"
        return f"{why}{only}"


def match_text(alternatives: Sequence[Alternative]) -> str:
    """Return a route's match for people: "host(a.org) && path(/x) || host(b.org)"."""
    return " || ".join(" && ".join(map(str, tests)) or "every request" for tests in alternatives)


def _absent(name: str, node: str, state: str, why: str, drain: Drain | None) -> Document:
    return {"name": name, "node": node, "state": state, "why": why, "drain": drain_document(drain) if drain else None}


def _answer(backend: Backend) -> str:
    """Return what is answered in place of a server; empty: servers answer."""
    if backend.redirect:
        return f"redirect {backend.redirect.code}"
    return f"deny {backend.deny}" if backend.deny else ""
