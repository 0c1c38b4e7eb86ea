"""What the names mean that an operator drains: nodes, hosts, and the tasks behind servers. Pure.

A node is named by hostname or id, a server as backends have it (``web.1``, ``web.node2``); ``PART/`` before it asks for
that of one source. A name stands for a place: a task that takes another one's slot has its name, and is drained too.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from lbgen.model.server_names import node_name, slot_name
from lbgen.snapshot import Node, Service, Snapshot, Task

SEPARATOR = "/"  # between a part and a name in it
MOST_NEAR = 3  # similar names that are suggested
_SHORT = 8  # characters of a task's id that tell two servers of one name apart, as `servers.distinct` writes them


@dataclass(frozen=True, slots=True)
class Meant:
    """What one name means in one snapshot."""

    name: str
    nodes: frozenset[str] = frozenset()  # ids
    tasks: frozenset[str] = frozenset()  # ids
    kind: str = ""  # "node", "host", "server"; empty: it means nothing

    @property
    def label(self) -> str:
        """What it is called in sentences: "node node2"."""
        return f"{self.kind or 'name'} {self.name}"


def meant(name: str, snapshot: Snapshot) -> Meant:
    """Return what a name means: nodes before servers, and everything that has the name."""
    nodes = [node for node in snapshot.nodes.values() if name in _node_names(node)]
    if nodes:
        kind = "host" if all(node.role == "host" for node in nodes) else "node"
        return Meant(name, frozenset(node.id for node in nodes), kind=kind)
    tasks = frozenset(task.id for service in _candidates(name, snapshot) for task in _tasks(name, service, snapshot))
    return Meant(name, tasks=tasks, kind="server" if tasks else "")


def choices(name: str, snapshot: Snapshot) -> list[str]:
    """Return the unmistakable names of what a name means, where that is several things of several parts."""
    found = meant(name, snapshot)
    tasks = (snapshot.services.get(snapshot.tasks[id_].service_id) for id_ in found.tasks)
    parts = {snapshot.nodes[id_].part for id_ in found.nodes} | {service.part for service in tasks if service}
    return sorted(f"{part}{SEPARATOR}{name}" for part in parts) if len(parts) > 1 else []


def near(name: str, snapshot: Snapshot) -> list[str]:
    """Return names like one that means nothing."""
    known = sorted({node.hostname or node.id for node in snapshot.nodes.values()} | set(_server_names(snapshot)))
    bare = name.rpartition(SEPARATOR)[2]
    alike = difflib.get_close_matches(bare, known, MOST_NEAR)
    inside = [each for each in known if each.partition(".")[0] == bare or each.partition(".")[0].endswith(f"_{bare}")]
    return list(dict.fromkeys([*inside[:MOST_NEAR], *alike]))[:MOST_NEAR]


def mesh_node(name: str, snapshot: Snapshot) -> Node | None:
    """Return the node of a name as servers have it that stand for a node's port in the mesh; None: it is another."""
    candidates = _candidates(name, snapshot)
    for node in snapshot.nodes.values():
        label = f".{node_name(node)}"
        if name.endswith(label) and any(name == own + label for each in candidates for own in _service_names(each)):
            return node
    return None


def _node_names(node: Node) -> tuple[str, ...]:
    part = (f"{node.part}{SEPARATOR}{node.hostname}", f"{node.part}{SEPARATOR}{node.id}") if node.part else ()
    return (node.id, *([node.hostname] if node.hostname else []), *part)


def _service_names(service: Service) -> tuple[str, ...]:
    """Return what a service's servers may be called after.

    The name that is its alone, as backends have it; those that would be if another part had, or had not, the name, so
    that what was drained stays drained when a part comes or goes; and each in its part.
    """
    if not service.part:
        return (service.name,)
    own, told = service.own_name, f"{service.part}_{service.own_name}"
    return own, told, f"{service.part}{SEPARATOR}{own}", f"{service.part}{SEPARATOR}{told}"


def _candidates(name: str, snapshot: Snapshot) -> list[Service]:
    """Return the services that a server of this name may be of."""
    return [
        service
        for service in snapshot.services.values()
        if any(name.startswith(f"{own}.") for own in _service_names(service))
    ]


def _tasks(name: str, service: Service, snapshot: Snapshot) -> Iterator[Task]:
    for task in snapshot.tasks.values():
        node = snapshot.nodes.get(task.node_id)
        if task.service_id == service.id and node is not None:
            places = [f"{own}.{slot_name(task, node)}" for own in _service_names(service)]
            if name in chain(places, (f"{place}-{task.id[:length]}" for place in places for length in (_SHORT, 99))):
                yield task


def _server_names(snapshot: Snapshot) -> Iterator[str]:
    for task in snapshot.tasks.values():
        service, node = snapshot.services.get(task.service_id), snapshot.nodes.get(task.node_id)
        if service and node and task.state == "running":
            yield f"{service.name}.{slot_name(task, node)}"
