"""Which servers a route has, decided from one service, its tasks and the nodes; who is left out, and why.

Their names outlive their tasks, are accepted by every proxy, and are told apart. Those whose time to drain is over are
among them, in state "over": whether they are left out is for their whole backend to decide (`last_servers`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lbgen.base.problem import Problem
from lbgen.labels.keys.table import RouteKeys
from lbgen.labels.values.value_type import BadValue
from lbgen.model.addresses import SharedNetwork, networks_of, node_address, shared_network
from lbgen.model.destination import Destination, destination, way_by_port
from lbgen.model.placement import chooser
from lbgen.model.server_names import distinct, node_name, slot_name
from lbgen.model.types import Rules, Server
from lbgen.snapshot import Network, Node, Service, Snapshot, Task

STATES = ("up", "drain", "over")  # of a server, in the order in which it goes


def state_and_reason(
    task: Task, node: Node | None, drained: Collection[str] = frozenset(), *, by_swarm: bool = False
) -> tuple[str, str]:
    """Return "up", "drain", "over" if its time to drain is, or "" to leave the task out; and why it is not "up".

    Args:
        drained: ids of tasks and nodes whose time to drain is over.
        by_swarm: the traffic reaches it by Swarm's own balancing, which knows nothing of what operators ask lbgen for.
    """
    if task.state != "running":
        return "", "it does not run"
    if node is None:
        return "", "it is on no node that is known"
    # Only "down" counts: after a manager leader change every node is "unknown" for a while.
    if node.state == "down":
        return "", "its node is down"
    if task.desired_state != "running":
        why = "Docker stops it" if node.role == "host" else "Swarm wants it gone"
    elif node.availability == "drain":
        why = "its node is drained"
    elif task.drain_asked and not by_swarm:
        why = "an operator drains it"
    elif node.drain_asked and not by_swarm:
        why = "an operator drains its node"
    else:
        return "up", ""
    return ("over", "its time to drain is over") if task.id in drained else ("drain", why)


def server_state(task: Task, node: Node | None, drained: Collection[str] = frozenset()) -> str:
    """Return "up", "drain", "over", or "" to leave the task out."""
    return state_and_reason(task, node, drained)[0]


def draining(snapshot: Snapshot) -> frozenset[str]:
    """Return the ids of the running tasks that are to go, and of the nodes being drained."""
    tasks = {
        id_ for id_, task in snapshot.tasks.items() if server_state(task, snapshot.nodes.get(task.node_id)) == "drain"
    }
    return frozenset(tasks | {node.id for node in snapshot.nodes.values() if node_drains(node)})


def node_drains(node: Node) -> bool:
    """Tell whether a node is to send no more of the mesh's traffic on."""
    return node.availability == "drain" or node.drain_asked


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What surrounds every service of a part: the same for all of them."""

    rules: Rules
    nodes: Mapping[str, Node]
    networks: Mapping[str, Network]
    drained: Collection[str] = frozenset()  # ids of tasks and nodes whose time to drain is over
    services: Mapping[str, Service] = field(default_factory=dict)  # by own name: others that labels can name
    tasks: Mapping[str, Sequence[Task]] = field(default_factory=dict)  # by the service's id
    unguarded: frozenset[str] = frozenset()  # names of the services that closed a route for want of a guard
    part: str = ""  # its name
    drained_nodes: frozenset[str] = frozenset()  # those of `drained` that are nodes

    def service(self, name: str, stack: str) -> Service | None:
        """Return the service of a name; if there is none, that of a stack."""
        return self.services.get(name) or (self.services.get(f"{stack}_{name}") if stack else None)

    def tasks_of(self, service: Service) -> tuple[Task, ...]:
        """Return a service's tasks."""
        return tuple(self.tasks.get(service.id, ()))


@dataclass(slots=True)
class RouteServers:
    """The servers of a route, how they were chosen, and what was wrong on the way."""

    via: str
    servers: list[Server] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)  # id of a task or node that is not a server -> why
    destination: Destination | None = None  # None: a redirect
    network: SharedNetwork | None = None  # via task and vip


def route_servers(
    service: Service, tasks: Sequence[Task], keys: RouteKeys, around: Surroundings, transport: str = "tcp"
) -> RouteServers:
    """Choose the servers of one route.

    Args:
        transport: "tcp" or "udp": which published ports count.
    Raises:
        BadValue: nothing says, or too many things say, where the traffic should go.
    """
    if service.mode.endswith("-job"):
        raise BadValue(f"the service is a {service.mode}, which ends by itself", "do not route it", "enable")
    chooser(keys.nodes)  # a bad value is a problem even where it chooses nothing
    where = destination(service, keys, transport, keys.via or around.rules.ways.lbgen)
    choice = _Choice(service, tasks, keys, around, where, RouteServers(where.via, destination=where))
    choice.make()
    choice.made.servers = distinct(choice.made.servers, tasks)
    return choice.made


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


@dataclass(frozen=True, slots=True)
class _Choice:
    """Chooses the servers of one route, once it is known which way its traffic goes."""

    service: Service
    tasks: Sequence[Task]
    keys: RouteKeys
    around: Surroundings
    where: Destination
    made: RouteServers

    def make(self) -> None:
        """Fill `made`."""
        {"mesh": self._mesh, "host": self._host, "task": self._task, "vip": self._vip}[self.where.via]()

    def _mesh(self) -> None:
        nodes, self.made.left_out = chosen_nodes(self.keys, self.around)
        if not nodes:
            remedy = "correct this label or setting discovery.nodes"
            raise BadValue("no node satisfies the placement constraints", remedy, "nodes")
        running = {task.node_id for task in self.tasks if server_state(task, self.around.nodes.get(task.node_id))}
        overall = self._overall_state()
        for node in nodes:
            if node.state == "down":
                self._leave_out(node.id, "it is down")
            elif not overall:
                self._leave_out(node.id, "no task of the service runs")
            elif self.keys.mesh_nodes == "running" and node.id not in running:
                self._leave_out(node.id, "it runs no task of the service, and key mesh-nodes is running")
            else:
                state = max(overall, self._node_state(node), key=STATES.index)
                self._add(node_name(node), node, [self.where.port.published], state, node.id)

    def _host(self) -> None:
        port = self.where.port
        for task, node, state in self._serving():
            bound = [
                real.published for real in task.ports if (real.target, real.protocol) == (port.target, port.protocol)
            ]
            if port.published in bound:
                bound = [port.published]
            if bound and bound[0]:
                self._add(slot_name(task, node), node, bound, state, task.id)
            else:
                self._leave_out(task.id, "its port is not bound on the node")

    def _task(self) -> None:
        network = self._network()
        for task, node, state in self._serving():
            if address := task.addresses.get(network.id):
                name = f"{self.service.name}.{slot_name(task, node)}"
                server = Server(name, address, self.where.port.target, state, node.hostname, task.id)
                self.made.servers.append(server)
            else:  # a task of before an update that added the network; it is about to go
                self._leave_out(task.id, "it has no address on the network")

    def _vip(self) -> None:
        network = self._network()
        address = self.service.virtual_ips.get(network.id)
        if self.service.endpoint_mode != "vip" or not address:
            raise BadValue(
                f"the service has no virtual IP on {network.name} (endpoint mode {self.service.endpoint_mode})",
                "use lbgen.via=task, or endpoint mode vip",
                "via",
            )
        if state := self._overall_state():
            name = f"{self.service.name}.vip"
            self.made.servers.append(Server(name, address, self.where.port.target, state, "", self.service.id))

    def _network(self) -> Network:
        shared = shared_network(
            self.service,
            self.around.networks,
            self.keys.network,
            networks_of(self.around.rules.networks, self.around.part),
            way_by_port(self.service, self.where.port),
        )
        self.made.network = shared
        return shared.network

    def _serving(self) -> Iterator[tuple[Task, Node, str]]:
        """Yield the tasks that receive or finish traffic, each with its node and state; note why others do not."""
        for task in self.tasks:
            node = self.around.nodes.get(task.node_id)
            state, why = state_and_reason(task, node, self.around.drained)
            if node and state:
                yield task, node, state
            else:
                self._leave_out(task.id, why)

    def _node_state(self, node: Node) -> str:
        """Return the state of a node that sends the mesh's traffic on."""
        if not node_drains(node):
            return "up"
        return "over" if node.id in self.around.drained else "drain"

    def _overall_state(self) -> str:
        """Return the state of what stands for all tasks at once: that of the task which stays longest."""
        nodes, drained = self.around.nodes, self.around.drained
        states = {state_and_reason(task, nodes.get(task.node_id), drained, by_swarm=True)[0] for task in self.tasks}
        return next((state for state in STATES if state in states), "")

    def _leave_out(self, origin: str, why: str) -> None:
        self.made.left_out[origin] = why

    def _add(self, label: str, node: Node, ports: Sequence[int], state: str, origin: str) -> None:
        """Add a server on a node's address, or the problem why it has none.

        Args:
            ports: that lead to it there; where IPv4 and IPv6 have ports of their own, in this order.
        """
        address = node_address(node, self.around.rules.node_cidrs)
        if isinstance(address, Problem):
            self.made.problems.append(address)
            self._leave_out(origin, "the node has no address that reaches it")
        else:
            port = ports[-1] if ":" in address else ports[0]
            name = f"{self.service.name}.{label}"
            self.made.servers.append(Server(name, address, port, state, node.hostname, origin))
