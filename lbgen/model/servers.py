"""Which servers a route has, decided from one service, its tasks and the nodes; who is none, and why."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from lbgen.base.problem import Problem
from lbgen.labels.keys.table import RouteKeys
from lbgen.labels.values.value_type import BadValue
from lbgen.model.addresses import SharedNetwork, node_address, shared_network
from lbgen.model.destination import Destination, destination
from lbgen.model.placement import chooser
from lbgen.model.types import Rules, Server
from lbgen.snapshot import Network, Node, PublishedPort, Service, Snapshot, Task, moment


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What surrounds every service: the same for all of them."""

    rules: Rules
    nodes: Mapping[str, Node]
    networks: Mapping[str, Network]
    retired: Collection[str] = frozenset()  # ids of tasks and nodes whose time to drain is over


@dataclass(slots=True)
class Found:
    """The servers of a route, how they were found, and what was wrong on the way."""

    via: str
    servers: list[Server] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)  # id of a task or node that is no server -> why not
    destination: Destination | None = None  # None: a redirect
    network: SharedNetwork | None = None  # via task and vip


def servers(
    service: Service, tasks: Sequence[Task], keys: RouteKeys, around: Surroundings, transport: str = "tcp"
) -> Found:
    """Find the servers of one route.

    Args:
        transport: "tcp" or "udp": which published ports count.
    Raises:
        BadValue: nothing says, or too many things say, where the traffic should go.
    """
    if service.mode.endswith("-job"):
        raise BadValue(f"the service is a {service.mode}, which ends by itself", "do not route it", "enable")
    chooser(keys.nodes)  # a bad value is a problem even where it chooses nothing
    where = destination(service, keys, transport)
    match where.via:
        case "mesh":
            found = _mesh(service, tasks, keys, where.port, around)
        case "host":
            found = _host(service, tasks, where.port, around)
        case "task":
            found = _task(service, tasks, keys, where.port, around)
        case _:
            found = _vip(service, tasks, keys, where.port, around)
    found.destination = where
    return found


def judged(task: Task, node: Node | None, retired: Collection[str] = frozenset()) -> tuple[str, str]:
    """Return "up", "drain", or "" to leave the task out; and why it is not "up"."""
    if task.state != "running":
        return "", "it does not run"
    if node is None:
        return "", "it is on no node that is known"
    # Only "down" counts: after a manager leader change every node is "unknown" for a while.
    if node.state == "down":
        return "", "its node is down"
    if task.desired_state != "running":
        return _departing(task.id, retired, "Swarm wants it gone")
    if node.availability == "drain":
        return _departing(task.id, retired, "its node is drained")
    return "up", ""


def _departing(id_: str, retired: Collection[str], why: str) -> tuple[str, str]:
    return ("", "its time to drain is over") if id_ in retired else ("drain", why)


def server_state(task: Task, node: Node | None, retired: Collection[str] = frozenset()) -> str:
    """Return "up", "drain", or "" to leave the task out."""
    return judged(task, node, retired)[0]


def chosen_nodes(keys: RouteKeys, around: Surroundings) -> tuple[list[Node], dict[str, str]]:
    """Return the nodes that the placement constraints leave, and the ids of the others with the reason."""
    wanted, allowed = chooser(keys.nodes), chooser(around.rules.nodes)
    chosen, refused = [], {}
    for node in around.nodes.values():
        if constraint := wanted.refusal(node):
            refused[node.id] = f"key nodes asks for {constraint}"
        elif constraint := allowed.refusal(node):
            refused[node.id] = f"setting discovery.nodes asks for {constraint}"
        else:
            chosen.append(node)
    return chosen, refused


def _mesh(service: Service, tasks: Sequence[Task], keys: RouteKeys, port: PublishedPort, around: Surroundings) -> Found:
    found = Found("mesh")
    chosen, found.left_out = chosen_nodes(keys, around)
    if not chosen:
        raise BadValue(
            "no node satisfies the placement constraints", "correct this label or setting discovery.nodes", "nodes"
        )
    running = {task.node_id for task in tasks if server_state(task, around.nodes.get(task.node_id))}
    overall = _service_state(tasks, around)
    for node in chosen:
        leaving = node.availability == "drain"
        if node.state == "down":
            found.left_out[node.id] = "it is down"
        elif not overall:
            found.left_out[node.id] = "no task of the service runs"
        elif keys.mesh_nodes == "running" and node.id not in running:
            found.left_out[node.id] = "it runs no task of the service, and key mesh-nodes is running"
        elif leaving and node.id in around.retired:
            found.left_out[node.id] = "it is drained, and its time to drain is over"
        else:
            _add(
                found,
                service,
                _label_of(node),
                node,
                [port.published],
                "drain" if leaving else overall,
                node.id,
                around,
            )
    return _named(found, newest=())


def _host(service: Service, tasks: Sequence[Task], port: PublishedPort, around: Surroundings) -> Found:
    found = Found("host")
    for task, node, state in _serving(tasks, around, found.left_out):
        bound = [real.published for real in task.ports if (real.target, real.protocol) == (port.target, port.protocol)]
        if port.published in bound:
            bound = [port.published]
        if bound and bound[0]:
            _add(found, service, _slot(task, node), node, bound, state, task.id, around)
        else:
            found.left_out[task.id] = "its port is not bound on the node"
    return _named(found, newest=_by_age(tasks))


def _task(service: Service, tasks: Sequence[Task], keys: RouteKeys, port: PublishedPort, around: Surroundings) -> Found:
    shared = shared_network(service, around.networks, keys.network, around.rules.networks)
    found = Found("task", network=shared)
    for task, node, state in _serving(tasks, around, found.left_out):
        address = task.addresses.get(shared.network.id)
        if address:
            name = f"{service.name}.{_slot(task, node)}"
            found.servers.append(Server(name, address, port.target, state, node.hostname, task.id))
        else:  # a task of before an update that added the network; it is about to go
            found.left_out[task.id] = "it has no address on the network"
    return _named(found, newest=_by_age(tasks))


def _vip(service: Service, tasks: Sequence[Task], keys: RouteKeys, port: PublishedPort, around: Surroundings) -> Found:
    shared = shared_network(service, around.networks, keys.network, around.rules.networks)
    address = service.virtual_ips.get(shared.network.id)
    if service.endpoint_mode != "vip" or not address:
        raise BadValue(
            f"the service has no virtual IP on {shared.network.name} (endpoint mode {service.endpoint_mode})",
            "use lbgen.via=task, or endpoint mode vip",
            "via",
        )
    state = _service_state(tasks, around)
    name = f"{service.name}.vip"
    servers = [Server(name, address, port.target, state, "", service.id)] if state else []
    return Found("vip", servers, network=shared)


def _serving(
    tasks: Sequence[Task], around: Surroundings, left_out: dict[str, str] | None = None
) -> list[tuple[Task, Node, str]]:
    """Return the tasks that receive or finish traffic, each with its node and state; note why others do not."""
    serving = []
    for task in tasks:
        node = around.nodes.get(task.node_id)
        state, why = judged(task, node, around.retired)
        if node and state:
            serving.append((task, node, state))
        elif left_out is not None:
            left_out[task.id] = why
    return serving


def _service_state(tasks: Sequence[Task], around: Surroundings) -> str:
    """Return the state of what stands for all tasks at once: up while one is, else drain while one drains."""
    states = {state for _, _, state in _serving(tasks, around)}
    return "up" if "up" in states else "drain" if states else ""


def _add(
    found: Found,
    service: Service,
    label: str,
    node: Node,
    ports: Sequence[int],
    state: str,
    origin: str,
    around: Surroundings,
) -> None:
    """Add a server on a node's address, or the problem why it has none.

    Args:
        ports: that lead to it there; where IPv4 and IPv6 have ports of their own, in this order.
    """
    address = node_address(node, around.rules.node_cidrs)
    if isinstance(address, Problem):
        found.problems.append(address)
        found.left_out[origin] = "the node has no address that reaches it"
    else:
        port = ports[-1] if ":" in address else ports[0]
        found.servers.append(Server(f"{service.name}.{label}", address, port, state, node.hostname, origin))


def _slot(task: Task, node: Node) -> str:
    return str(task.slot) if task.slot else _label_of(node)


def _label_of(node: Node) -> str:
    return _clean(node.hostname or node.id)


def _clean(text: str) -> str:
    """Put the text into the characters that every proxy allows in a server name."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", text)


def _by_age(tasks: Sequence[Task]) -> tuple[str, ...]:
    return tuple(task.id for task in sorted(tasks, key=lambda task: (moment(task.created_at), task.id), reverse=True))


def _named(found: Found, newest: Sequence[str]) -> Found:
    """Give servers of one name distinct ones: who is up, then who is newest, keeps the plain name.

    So the plain name moves to the successor at once, where it stays, and the predecessor leaves under a name of its
    own. Two live nodes with one hostname are told apart the same way.
    """
    position = {id_: index for index, id_ in enumerate(newest)}
    taken: set[str] = set()
    renamed = []
    for server in sorted(
        found.servers, key=lambda server: (server.state != "up", position.get(server.origin, 0), server.origin)
    ):
        candidates = (server.name, *(f"{server.name}-{_clean(server.origin[:length])}" for length in (8, 99)))
        name = next((name for name in candidates if name not in taken), f"{server.name}-{len(taken)}")
        taken.add(name)
        renamed.append(Server(name, server.address, server.port, server.state, server.node, server.origin))
    found.servers = sorted(renamed, key=lambda server: natural(server.name))
    return found


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts web.2 before web.10."""
    parts = re.split(r"(\d+)", name)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part)


def leaving(snapshot: Snapshot) -> frozenset[str]:
    """Return the ids of the running tasks that are no longer wanted, and of the nodes being drained."""
    tasks = (task for task in snapshot.tasks.values() if task.state == "running")
    departing = {task.id for task in tasks if server_state(task, snapshot.nodes.get(task.node_id)) == "drain"}
    return frozenset(departing | {node.id for node in snapshot.nodes.values() if node.availability == "drain"})
