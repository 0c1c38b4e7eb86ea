"""What `lbgen drain` takes out, and how far it is: what the command and the status API tell of drained names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lbgen.base.address import host_port
from lbgen.daemon.drain_store import Drain, stamp
from lbgen.model import Backend, Model, Server
from lbgen.model.drain_names import Meant, choices, meant, mesh_node, near
from lbgen.proxies.proxy import ByServer, Seen
from lbgen.snapshot import Node, Snapshot, Task

Document = dict[str, Any]
BY_SWARM = ("mesh", "vip")  # ways on which Swarm, and not the proxy, chooses the task


@dataclass(frozen=True, slots=True)
class Scene:
    """What there is to know of drains at one moment."""

    snapshot: Snapshot
    model: Model
    drains: tuple[Drain, ...] = ()  # in force
    seen: Mapping[str, ByServer] = field(default_factory=dict)  # by target
    in_force: bool = True  # every target serves this model


def drains_document(scene: Scene, names: Sequence[str] = ()) -> list[Document]:
    """Return a document for each name, in this order; without names for all that are drained.

    Whether a backend has no other server is told for all of them together.
    """
    asked = {drain.name: drain for drain in scene.drains}
    wanted = [meant(name, scene.snapshot) for name in dict.fromkeys(names or asked)]
    others = [meant(name, scene.snapshot) for name in asked if name not in names]
    leaving = _Leaving.of([*wanted, *others], scene.snapshot)
    return [_document(each, asked.get(each.name), leaving, scene) for each in wanted]


def by_origin(scene: Scene) -> dict[str, Drain]:
    """Return the drains by the id of the task or node that each takes out: a task's own before that of its node."""
    own: dict[str, Drain] = {}
    for drain in scene.drains:
        found = meant(drain.name, scene.snapshot)
        own |= dict.fromkeys((*found.nodes, *found.tasks), drain)
    if not own:
        return {}
    return {task.id: own[task.node_id] for task in scene.snapshot.tasks.values() if task.node_id in own} | own


def drain_document(drain: Drain) -> Document:
    """Return what was asked for, and how it is taken back."""
    return {
        "name": drain.name,
        "since": stamp(drain.since),
        "reason": drain.reason,
        "until": None if drain.until is None else stamp(drain.until),
        "undo": f"lbgen drain --undo {drain.name}",
    }


def seen_document(backend: str, server: Server, seen: Mapping[str, ByServer]) -> Document:
    """Return, by target, how the proxies see a server that they know."""
    return {target: asdict(found) for target, by in seen.items() if (found := _seen(backend, server, by))}


@dataclass(frozen=True, slots=True)
class _Leaving:
    """Everything that names take out."""

    nodes: frozenset[str]
    tasks: frozenset[str]
    snapshot: Snapshot

    @classmethod
    def of(cls, names: Sequence[Meant], snapshot: Snapshot) -> _Leaving:
        nodes = frozenset[str]().union(*(each.nodes for each in names))
        return cls(nodes, frozenset[str]().union(*(each.tasks for each in names)), snapshot)

    def has(self, server: Server) -> bool:
        task = self.snapshot.tasks.get(server.origin)
        return (
            server.origin in self.nodes
            or server.origin in self.tasks
            or (task is not None and task.node_id in self.nodes)
        )


def _document(name: Meant, drain: Drain | None, leaving: _Leaving, scene: Scene) -> Document:
    own = _Leaving.of([name], scene.snapshot)
    alone, worse, rows = [], [], []
    for backend in scene.model.backends:
        servers = [server for server in backend.servers if own.has(server)]
        others = [server for server in backend.servers if _stays(server, leaving)]
        if servers and not others:
            alone.append(backend.name)
        elif servers and all(_is_down(backend, server, scene) for server in others):
            worse.append(backend.name)
        rows += [_server(backend, server, scene) for server in servers]
    mesh = list(_by_swarm(own, scene))
    nowhere = not name.kind
    node = mesh_node(name.name, scene.snapshot) if nowhere or not (rows or own.nodes) else None
    return {
        "name": name.name,
        "kind": name.kind,
        "asked": drain is not None,
        **{key: value for key, value in _asked(drain).items() if key != "name"},
        "choices": choices(name.name, scene.snapshot),
        "near": near(name.name, scene.snapshot) if nowhere else [],
        "mesh_node": (node.hostname or node.id) if node else "",
        "servers": rows,
        "only": alone,
        "others_down": worse,
        "by_swarm": mesh,
        "done": scene.in_force and drain is not None and all(_is_out(row, alone) for row in rows),
    }


def _asked(drain: Drain | None) -> Document:
    return drain_document(drain) if drain else dict.fromkeys(("since", "reason", "until", "undo"))


def _server(backend: Backend, server: Server, scene: Scene) -> Document:
    state = "draining" if server.state == "drain" else "only" if server.leaving else "up"
    return {
        "backend": backend.name,
        "service": backend.service,
        "server": server.name,
        "address": host_port(server.address, server.port),
        "node": server.node,
        "state": state,
        "seen": seen_document(backend.name, server, scene.seen),
    }


def _is_out(row: Document, alone: Collection[str]) -> bool:
    """Tell whether a server gets nothing any more, or will get requests for want of another one."""
    if row["state"] != "draining":
        return row["backend"] in alone
    sessions = [seen["sessions"] for seen in row["seen"].values()]
    return bool(sessions) and all(number == 0 for number in sessions)


def _stays(server: Server, leaving: _Leaving) -> bool:
    """Tell whether a server is up when everything has left that is to leave."""
    return server.state == "up" and not server.leaving and server.weight > 0 and not leaving.has(server)


def _is_down(backend: Backend, server: Server, scene: Scene) -> bool:
    """Tell whether a proxy finds a server down."""
    found = [seen for by in scene.seen.values() if (seen := _seen(backend.name, server, by))]
    return any(seen.state.startswith("down") for seen in found)


def _seen(backend: str, server: Server, by: ByServer) -> Seen | None:
    return by.get((backend, server.name)) or by.get((backend, host_port(server.address, server.port)))


def _by_swarm(own: _Leaving, scene: Scene) -> Iterator[str]:
    """Yield the services whose tasks there Swarm itself sends requests to, whatever the proxy does."""
    reached = {backend.service for backend in scene.model.backends if backend.via in BY_SWARM}
    services = {service.id for service in scene.snapshot.services.values() if service.name in reached}
    found = set()
    for task in scene.snapshot.tasks.values():
        node = scene.snapshot.nodes.get(task.node_id)
        leaves = task.id in own.tasks or task.node_id in own.nodes
        if leaves and task.service_id in services and node and _stays_there(task, node):
            found.add(scene.snapshot.services[task.service_id].name)
    yield from sorted(found)


def _stays_there(task: Task, node: Node) -> bool:
    """Tell whether Swarm leaves a task where it is."""
    wanted = (task.state, task.desired_state) == ("running", "running")
    return wanted and node.availability != "drain" and node.state != "down"
