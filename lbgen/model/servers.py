"""Which servers a route has, decided from one service, its tasks and the nodes."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from lbgen.labels.keys import RouteKeys
from lbgen.labels.values import BadValue
from lbgen.model.addresses import node_address, shared_network
from lbgen.model.placement import chooser
from lbgen.model.types import Rules, Server
from lbgen.problem import Problem
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
    via, port = _destination(service, keys, transport)
    match via:
        case "mesh":
            return _mesh(service, tasks, keys, port, around)
        case "host":
            return _host(service, tasks, port, around)
        case "task":
            return _task(service, tasks, keys, port, around)
        case _:
            return _vip(service, tasks, keys, port, around)


def server_state(task: Task, node: Node | None, retired: Collection[str] = frozenset()) -> str:
    """Return "up", "drain", or "" to leave the task out."""
    # Only "down" counts: after a manager leader change every node is "unknown" for a while.
    if task.state != "running" or node is None or node.state == "down":
        return ""
    if task.desired_state == "running" and node.availability != "drain":
        return "up"
    return "" if task.id in retired else "drain"


def _destination(service: Service, keys: RouteKeys, transport: str) -> tuple[str, PublishedPort]:
    """Decide between mesh, host, task and vip, and on the port."""
    fitting = [
        port
        for port in service.ports
        if port.protocol == transport
        and keys.port in (None, port.target)
        and (keys.published_port is None or keys.published_port == port.published)
    ]
    ingress = [port for port in fitting if port.mode == "ingress" and port.published]
    host = [port for port in fitting if port.mode == "host"]
    via = keys.via
    if via == "auto":
        via = "mesh" if ingress else "host" if host else "task"
    if via in ("mesh", "host"):
        return via, _only(ingress if via == "mesh" else host, via, keys, transport)
    if keys.port is not None:
        return via, PublishedPort(keys.port, protocol=transport)
    targets = {port.target for port in fitting}
    if len(targets) != 1:
        raise BadValue(_which_port(sorted(targets)), "say where the application listens", "port")
    return via, PublishedPort(targets.pop(), protocol=transport)


def _only(candidates: list[PublishedPort], via: str, keys: RouteKeys, transport: str) -> PublishedPort:
    mode = "ingress" if via == "mesh" else "host"
    if not candidates:
        asked = (
            f"port {keys.port or keys.published_port}" if keys.port or keys.published_port else f"no {transport} port"
        )
        verb = "is not published" if keys.port or keys.published_port else "is published"
        raise BadValue(
            f"{asked} {verb} in {mode} mode", f"publish the port with mode={mode}, or choose another way", "via"
        )
    if len(candidates) > 1:
        shown = ", ".join(f"{port.published or '*'}->{port.target}" for port in candidates)
        raise BadValue(
            f"several ports are published in {mode} mode ({shown})",
            "say which by this label or lbgen.published-port",
            "port",
        )
    return candidates[0]


def _which_port(targets: list[int]) -> str:
    if not targets:
        return "nothing says which port the application listens on"
    return f"several ports are possible ({', '.join(map(str, targets))})"


def _mesh(service: Service, tasks: Sequence[Task], keys: RouteKeys, port: PublishedPort, around: Surroundings) -> Found:
    found = Found("mesh")
    wanted, allowed = chooser(keys.nodes), chooser(around.rules.nodes)
    running = {task.node_id for task in tasks if server_state(task, around.nodes.get(task.node_id))}
    overall = _service_state(tasks, around)
    chosen = [node for node in around.nodes.values() if wanted(node) and allowed(node)]
    if not chosen:
        raise BadValue(
            "no node satisfies the placement constraints", "correct this label or setting discovery.nodes", "nodes"
        )
    for node in chosen:
        if node.state == "down" or not overall or (keys.mesh_nodes == "running" and node.id not in running):
            continue
        leaving = node.availability == "drain"
        if leaving and node.id in around.retired:
            continue
        state = "drain" if leaving else overall
        _add(found, service, _label_of(node), node, [port.published], state, node.id, around)
    return _named(found, newest=())


def _host(service: Service, tasks: Sequence[Task], port: PublishedPort, around: Surroundings) -> Found:
    found = Found("host")
    for task, node, state in _serving(tasks, around):
        bound = [real.published for real in task.ports if (real.target, real.protocol) == (port.target, port.protocol)]
        if port.published in bound:
            bound = [port.published]
        if bound and bound[0]:
            _add(found, service, _slot(task, node), node, bound, state, task.id, around)
    return _named(found, newest=_by_age(tasks))


def _task(service: Service, tasks: Sequence[Task], keys: RouteKeys, port: PublishedPort, around: Surroundings) -> Found:
    network = shared_network(service, around.networks, keys.network, around.rules.networks)
    found = Found("task")
    for task, node, state in _serving(tasks, around):
        address = task.addresses.get(network.id)
        # A task of before an update that added the network has no address there; it is about to go.
        if address:
            name = f"{service.name}.{_slot(task, node)}"
            found.servers.append(Server(name, address, port.target, state, node.hostname, task.id))
    return _named(found, newest=_by_age(tasks))


def _vip(service: Service, tasks: Sequence[Task], keys: RouteKeys, port: PublishedPort, around: Surroundings) -> Found:
    network = shared_network(service, around.networks, keys.network, around.rules.networks)
    address = service.virtual_ips.get(network.id)
    if service.endpoint_mode != "vip" or not address:
        raise BadValue(
            f"the service has no virtual IP on {network.name} (endpoint mode {service.endpoint_mode})",
            "use lbgen.via=task, or endpoint mode vip",
            "via",
        )
    state = _service_state(tasks, around)
    name = f"{service.name}.vip"
    return Found("vip", [Server(name, address, port.target, state, "", service.id)] if state else [])


def _serving(tasks: Sequence[Task], around: Surroundings) -> list[tuple[Task, Node, str]]:
    """Return the tasks that receive or finish traffic, each with its node and state."""
    serving = []
    for task in tasks:
        node = around.nodes.get(task.node_id)
        state = server_state(task, node, around.retired)
        if node and state:
            serving.append((task, node, state))
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
    return Found(found.via, sorted(renamed, key=lambda server: natural(server.name)), found.problems)


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts web.2 before web.10."""
    parts = re.split(r"(\d+)", name)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part)


def leaving(snapshot: Snapshot) -> frozenset[str]:
    """Return the ids of the running tasks that are no longer wanted, and of the nodes being drained."""
    tasks = (task for task in snapshot.tasks.values() if task.state == "running")
    departing = {task.id for task in tasks if server_state(task, snapshot.nodes.get(task.node_id)) == "drain"}
    return frozenset(departing | {node.id for node in snapshot.nodes.values() if node.availability == "drain"})
