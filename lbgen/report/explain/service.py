"""The whole explanation of one service, as a document: what `lbgen explain` and the status API tell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from lbgen.base.problem import Problem, once
from lbgen.daemon.kept_labels import Kept
from lbgen.labels import dialects
from lbgen.labels.route_spec import ServiceLabels
from lbgen.model.own_names import read_labels
from lbgen.model.types import Closed
from lbgen.proxies.kind import NO
from lbgen.report.closed import closed_documents
from lbgen.report.doubts import doubts_of
from lbgen.report.drains import Scene, by_origin, drain_document
from lbgen.report.explain import labels
from lbgen.report.explain.facts import Facts
from lbgen.report.explain.names import defined_rows, joined_rows, used_rows
from lbgen.report.explain.routes import Routes
from lbgen.report.limits import Limit, limits
from lbgen.report.taken import remarks
from lbgen.snapshot import Network, Service

Document = dict[str, Any]


def explanation(facts: Facts, name: str) -> Document:
    """Explain the service of this name or id; raise UnknownService if there is none."""
    service = facts.service(name)
    definitions = facts.definitions.of(service.part)
    context = facts.rules.label_context(definitions, on_hosts=service.on_hosts)
    read = read_labels(service, context)
    routes = [*map(Routes(facts, service).of, read.routes)]
    told = _problems(facts, service, routes)
    problems = [problem for problem in told if not problem.note]
    limited = _limits(facts, [route["backend"] for route in routes])
    joined = joined_rows(read)
    routed = any(route["served"] for route in routes) or bool(joined)
    defines = defined_rows(facts, service, definitions)
    used = [f"traefik.{each['protocol']}.{each['kind']}s.{each['name']}." for each in defines if each["used_by"]]
    return {
        "service": service.name,
        "id": service.id,
        "source": service.part or None,
        "routed": routed,
        "ok": routed and not problems and not any(limit.level == NO for limit in limited),
        "why": _why(facts, service, read, routes),
        "dialects": list(context.names),
        **_as_swarm_has_it(service, facts.snapshot.networks.values()),
        "routes": routes,
        "joined": joined,
        "defines": defines,
        "uses": used_rows(service, read, definitions),
        "closed": closed_documents(_closed(facts, service)),
        "problems": _with_text(problems),
        "remarks": _with_text(remarks(facts.model, service.name)),
        "left_out": _with_text(note for note in told if note.note),
        "doubts": _with_text(doubts_of(service, read.routes)),
        "limits": _with_text(limited),
        "drains": _drains(facts, service, routes),
        "labels_kept": _kept(facts.kept.get(service.key)),
        "labels": labels.label_rows(service, read, told, context, facts.kept.get(service.key), used),
    }


def _as_swarm_has_it(service: Service, networks: Iterable[Network]) -> Document:
    """Return what no label says."""
    return {
        "mode": service.mode,
        "replicas": service.replicas,
        "endpoint_mode": service.endpoint_mode,
        "published": [asdict(port) for port in service.ports],
        "networks": _networks(service, networks),
    }


def _with_text(rows: Iterable[Problem | Limit]) -> list[Document]:
    """Return what is told of a service, field by field and as the sentence that people read."""
    return [asdict(row) | {"text": str(row)} for row in rows]


def _closed(facts: Facts, service: Service) -> list[Closed]:
    return [item for item in facts.model.closed if item.age[1] == service.id]


def _why(facts: Facts, service: Service, read: ServiceLabels, routes: Sequence[Document]) -> list[str]:
    """Say why the service, or a part of it, is not routed; nothing if all of it is."""
    if not read.enabled:
        exposed = facts.rules.expose_by_default
        unless = read.unless if exposed else f"{read.unless}, and setting discovery.expose_by_default is false"
        others = [name for name in dialects.DIALECTS if name not in facts.rules.dialects]
        return [unless] + [
            f"it has labels of dialect {name}, which setting discovery.dialects does not have"
            for name in others
            if dialects.speaks(name, service.labels)
        ]
    reasons = []
    for route in routes:
        if not route["served"]:
            reasons.append(f"route {route['route']}: {route['why']}" if route["route"] else route["why"])
    known = {route.name for route in read.routes}
    named = {problem.route for problem in read.problems if problem.route}
    reasons += [f"route {name} is closed: a label of its has a problem" for name in sorted(named - known)]
    if not routes and not reasons and not read.joined:
        reasons.append("a label has a problem" if read.problems else "no label asks for a route")
    for target in facts.targets:
        if held := target.held.get(service.id):
            kept = "what it asked for before stays in force" if held.instead is not None else "it is left out"
            reasons.append(f"target {target.name} refuses the configuration with it: {kept}")
    return reasons


def _drains(facts: Facts, service: Service, routes: Sequence[Document]) -> list[Document]:
    """Return what operators drain of the service's tasks, and of the nodes that send it the mesh's traffic."""
    found = by_origin(Scene(facts.snapshot, facts.model, facts.drains))
    mesh = any(route["via"] and route["via"]["value"] == "mesh" for route in routes)
    origins = {task.id for task in facts.tasks(service)} | (set(facts.snapshot.nodes) if mesh else set())
    own = {drain for origin, drain in found.items() if origin in origins}
    return [drain_document(drain) for drain in facts.drains if drain in own]


def _kept(kept: Kept | None) -> Document | None:
    """Say since when the service's previous labels are in force, and which problems of the newest are the reason."""
    if kept is None:
        return None
    since = datetime.fromtimestamp(kept.since, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"since": since, "because": [asdict(problem) | {"text": str(problem)} for problem in kept.why]}


def _problems(facts: Facts, service: Service, routes: Sequence[Document]) -> list[Problem]:
    """Return the service's problems and notes, and the problems of nodes that keep it from a server."""
    hosts = {
        told["node"]
        for route in routes
        for told in (*route["nodes"], *route["not_servers"])
        if "address" in told["why"]
    }
    return list(
        once(
            problem
            for problem in facts.model.problems
            if problem.service == service.name or (problem.node and problem.node in hosts)
        )
    )


def _limits(facts: Facts, backends: Iterable[str]) -> list[Limit]:
    """Return the limits of the proxies that concern these backends' routes."""
    wanted = set(backends)
    own = replace(
        facts.model,
        routes=tuple(route for route in facts.model.routes if route.backend in wanted),
        backends=tuple(backend for backend in facts.model.backends if backend.name in wanted),
    )
    listed: list[Limit] = []
    for target in facts.targets:
        served = own if target.listeners is None else own.only(target.listeners)
        listed += limits(
            served, facts.snapshot, target.name, target.proxy, target.version, target.options, target.features
        )
    return listed


def _networks(service: Service, networks: Iterable[Network]) -> list[str]:
    attached = {*service.networks, *service.virtual_ips}
    return sorted(network.name for network in networks if {network.id, network.name} & attached and not network.ingress)
