"""Where a route's traffic goes and why, and why each task or node is a server or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from lbgen.labels.context import Ways
from lbgen.labels.keys.table import RouteKeys
from lbgen.labels.route_spec import RouteSpec
from lbgen.model import Backend, Server
from lbgen.model.addresses import SharedNetwork
from lbgen.model.destination import Destination
from lbgen.model.servers import RouteServers, Surroundings, chosen_nodes, node_drains, state_and_reason
from lbgen.report.explain.facts import Facts
from lbgen.snapshot import Service, Task

_MODES = {"mesh": "ingress", "host": "host"}


def destination(
    service: Service, tasks: Sequence[Task], spec: RouteSpec, chosen: RouteServers, around: Surroundings
) -> dict[str, Any]:
    """Say which way the traffic goes, to which port, over which network and nodes, and which tasks get none."""
    where = chosen.destination
    if not where:
        return {"via": None, "port": None, "network": None, "nodes": [], "not_servers": []}
    return {
        "via": {"value": where.via, "asked": spec.keys.via or "auto", "why": _why_via(service, spec, where)},
        "port": {
            "target": where.port.target,
            "published": where.port.published or None,
            "protocol": where.port.protocol,
            "why": _why_port(service, spec, where),
        },
        "network": _network(service, spec, chosen.network) if chosen.network else None,
        "nodes": nodes(spec.keys, around, chosen.left_out) if where.via == "mesh" else [],
        "not_servers": _left_out(tasks, chosen, around),
    }


def without_gone(chosen: RouteServers, backend: Backend, facts: Facts) -> RouteServers:
    """Return how servers were chosen, those left out that the backend no longer has: their time to drain is over."""
    places = {(server.address, server.port) for server in backend.servers}
    gone = [own for own in chosen.servers if own.state == "over" and (own.address, own.port) not in places]
    left_out = chosen.left_out | {server.origin: _why_leaving(server, facts) for server in gone}
    return replace(chosen, servers=[server for server in chosen.servers if server not in gone], left_out=left_out)


def serving(chosen: RouteServers, backend: Backend, facts: Facts) -> list[dict[str, Any]]:
    """List the servers that a service has in a backend, as the proxy is told of them, and why one is leaving."""
    told = {(server.address, server.port): server for server in backend.servers}
    listed = []
    for own in chosen.servers:
        server = told.get((own.address, own.port), own)
        why = _why_leaving(own, facts)
        if why and server.state == "up":
            why += ", and no other server is up"
        listed.append(asdict(server) | {"why": why})
    return listed


def _why_leaving(server: Server, facts: Facts) -> str:
    """Say why a server as it was chosen is not to stay; empty: it is."""
    if task := facts.snapshot.tasks.get(server.origin):
        return state_and_reason(task, facts.snapshot.nodes.get(task.node_id), facts.drained)[1]
    if server.state == "up":
        return ""
    node = facts.snapshot.nodes.get(server.origin)
    why = "no task of the service stays"
    if node and node_drains(node):
        why = "it is drained" if node.availability == "drain" else "an operator drains it"
    return why if server.state == "drain" else f"{why}, and its time to drain is over"


def nodes(keys: RouteKeys, around: Surroundings, left_out: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """Say of each node whether it was chosen for mesh traffic, and if not why.

    Args:
        left_out: what is known of those that the placement constraints leave; None: only these were asked.
    """
    refused = chosen_nodes(keys, around)[1] if left_out is None else left_out
    told = sorted(around.nodes.values(), key=lambda node: (node.hostname, node.id))
    return [{"node": node.hostname, "chosen": node.id not in refused, "why": refused.get(node.id, "")} for node in told]


def tls(backend: Backend) -> dict[str, Any] | None:
    """Say which name servers are asked for by TLS, and who vouches for them; None: there is no TLS with them."""
    return {"name": backend.server_name, "ca": backend.server_ca} if backend.by_tls else None


def group(name: str, backend: Backend) -> dict[str, Any]:
    """Say who leads a group, and which share of its requests each service gets: a standby none beside others."""
    weights: dict[str, int] = {}
    for server in backend.servers:
        member = server.name.partition(".")[0]  # a service's name has no dot
        stands_by = server.backup and not backend.backup
        weights[member] = weights.get(member, 0) + (0 if stands_by else server.weight)
    total = sum(weights.values()) or 1
    shares = [{"service": member, "percent": round(100 * weights[member] / total, 1)} for member in sorted(weights)]
    return {"name": name, "leader": backend.service, "shares": shares}


def _left_out(tasks: Sequence[Task], chosen: RouteServers, around: Surroundings) -> list[dict[str, Any]]:
    """List the tasks that get no traffic; behind the mesh or a virtual IP those that Swarm would not send any."""
    listed = []
    serving = {server.origin for server in chosen.servers}
    for task in tasks:
        node = around.nodes.get(task.node_id)
        by_swarm = chosen.via in ("mesh", "vip")
        state, why = state_and_reason(task, node, around.drained, by_swarm=by_swarm)
        if task.id in serving or (by_swarm and state in ("up", "drain")):
            continue
        listed.append(
            {
                "task": task.id,
                "slot": task.slot,
                "node": node.hostname if node else task.node_id,
                "node_state": node.state if node else "",
                "state": task.state,
                "desired_state": task.desired_state,
                "why": chosen.left_out.get(task.id, why),
            }
        )
    # Those that Swarm wants to run first: the others are its history.
    return sorted(
        listed, key=lambda task: (task["desired_state"] != "running", task["slot"], task["node"], task["task"])
    )


def label_of(service: Service, spec: RouteSpec, field: str) -> str:
    """Return the label that was written for a key; empty if none was."""
    label = spec.written.get(field, ("", ""))[0]
    return label if label in service.labels else ""


def _why_via(service: Service, spec: RouteSpec, where: Destination) -> str:
    label, said = label_of(service, spec, "via"), spec.keys.via or "auto"
    if label and said != "auto":
        return f"label {label} says so"
    source = f"label {label}" if label else f"setting {Ways.setting(spec.dialect)}"
    if said != "auto":
        return f"{source} says {said}"
    # That is what lbgen's own labels mean unless something else is said.
    by_itself = not label and (spec.dialect == "lbgen" or service.on_hosts)
    return _why_auto(where) if by_itself else f"{source} says auto: {_why_auto(where)}"


def _why_auto(where: Destination) -> str:
    port, ingress = where.port, [port for port in where.fitting if port.mode == "ingress"]
    if where.via == "mesh":
        return f"port {port.target} is published in ingress mode, as {port.published}"
    if where.via == "host":
        published = f"as {port.published}" if port.published else "as a port that the node chooses"
        return f"port {port.target} is published in host mode, {published}, and none is in ingress mode"
    if ingress:
        return "the port in ingress mode has no number yet, and none is published in host mode"
    return f"no {port.protocol} port that fits is published"


def _why_port(service: Service, spec: RouteSpec, where: Destination) -> str:
    for field in ("port", "published_port"):
        if label := label_of(service, spec, field):
            return f"label {label} says so"
    mode = f" in {_MODES[where.via]} mode" if where.via in _MODES else ""
    return f"it is the only one that is published{mode}"


def _network(service: Service, spec: RouteSpec, shared: SharedNetwork) -> dict[str, Any]:
    label = label_of(service, spec, "network")
    why = {
        "label": f"label {label} names it",
        "setting": "setting discovery.networks prefers it",
        "only": "it is the only one that the service is on",
    }
    return {"name": shared.network.name, "by": shared.by, "candidates": list(shared.candidates), "why": why[shared.by]}
