"""A snapshot of a stack that was never deployed: what the files say, and the rest made up, always the same.

The addresses and ports that Swarm would choose are made from names alone, so a service that is added or scaled changes
nobody else's, and a difference shows what really changed.

======================  ==========================================================================================
nodes                   node1 (a manager), node2, node3: 192.0.2.1 to 192.0.2.3, of a range for documentation
tasks                   as many as there are replicas, all running, going round the nodes that the constraints
                        allow; what finds no room on them is pending
address on a network    10.x.y.1 is the virtual one, 10.x.y.2 that of slot 1; x and y follow from the two names
published by Swarm      30000 to 32767, the range that Swarm takes in ingress mode
chosen by the node      32768 to 60999 in host mode, another one for each task
======================  ==========================================================================================
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

from lbgen.snapshot import STACK, Network, Node, PublishedPort, Service, Snapshot, Task
from lbgen.source.compose.stack import Stack, StackNetwork, StackService

NODES = (
    Node("node1", "node1", "manager", address="192.0.2.1", manager_address="192.0.2.1", os="linux", arch="x86_64"),
    Node("node2", "node2", address="192.0.2.2", os="linux", arch="x86_64"),
    Node("node3", "node3", address="192.0.2.3", os="linux", arch="x86_64"),
)
IMAGE = "com.docker.stack.image"
_CONSTRAINT = re.compile(r"\s*node\.(role|platform\.os)\s*(==|!=)\s*(\S+)\s*", re.IGNORECASE)
_BY_SWARM, _BY_NODE = range(30000, 32768), range(32768, 61000)
_PER_BLOCK = 253  # addresses of one 10.x.y
MOST_ADDRESSES = 50_000  # of one stack: fewer than there are blocks, and far more than any stack has
_OF_EACH_NODE = ("host", "bridge", "none", "default", "nat")  # networks that are not overlays


def synthetic_snapshot(stack: Stack, name: str) -> Snapshot:
    """Return the snapshot that the stack would give, deployed under this name on three nodes of a new Swarm."""
    choices = _Choices()
    networks = _networks(stack, name)
    services: dict[str, Service] = {}
    tasks: dict[str, Task] = {}
    for key in sorted(stack.services):
        wanted = stack.services[key]
        service = _service(
            wanted, f"{name}_{key}", name, [networks[network] for network in _networks_of(wanted)], choices
        )
        services[service.id] = service
        tasks.update((task.id, task) for task in _tasks(wanted, service, choices))
    known = {network.id: network for network in networks.values() if network.name not in _OF_EACH_NODE}
    return Snapshot(
        nodes={node.id: node for node in NODES},
        services=dict(sorted(services.items())),
        tasks=dict(sorted(tasks.items())),
        networks=dict(sorted(known.items())),
    )


def fits(constraint: str, node: Node) -> bool | None:
    """Tell whether a node fits a placement constraint; None if that depends on more than its role and system."""
    if not (match := _CONSTRAINT.fullmatch(constraint)):
        return None
    value = node.role if match[1].lower() == "role" else node.os
    return (match[3].lower() == value) == (match[2] == "==")


def _networks_of(service: StackService) -> tuple[str, ...]:
    return service.networks or ("default",)


def _networks(stack: Stack, name: str) -> dict[str, Network]:
    """Return the networks that are used, by what the file calls them; Swarm's name is the id as well."""
    used = sorted({network for service in stack.services.values() for network in _networks_of(service)})
    networks = {}
    for key in used:
        asked = stack.networks.get(key, StackNetwork())
        real = asked.name or f"{name}_{key}"
        labels = {} if asked.external else {**asked.labels, STACK: name}
        networks[key] = Network(real, real, asked.driver or "overlay", labels=dict(sorted(labels.items())))
    return networks


def _service(wanted: StackService, name: str, stack: str, networks: Sequence[Network], choices: _Choices) -> Service:
    mode = wanted.mode or "replicated"
    replicas = 1 if wanted.replicas is None or mode != "replicated" else wanted.replicas
    labels = {**wanted.labels, STACK: stack, IMAGE: wanted.image}
    ids = tuple(sorted(network.id for network in networks))
    overlays = [id_ for id_ in ids if id_ not in _OF_EACH_NODE]
    endpoint = wanted.endpoint_mode or "vip"
    return Service(
        id=name,
        name=name,
        labels=dict(sorted(labels.items())),
        mode=mode,
        replicas=replicas,
        endpoint_mode=endpoint,
        ports=tuple(choices.published(name, port) for port in _sorted(wanted.ports)),
        networks=ids,
        virtual_ips={id_: choices.address(id_, name, 0) for id_ in overlays if endpoint == "vip"},
    )


def _sorted(ports: Sequence[PublishedPort]) -> list[PublishedPort]:
    return sorted(ports, key=lambda port: (port.target, port.protocol, port.published, port.mode))


def _tasks(wanted: StackService, service: Service, choices: _Choices) -> Iterator[Task]:
    nodes = [node for node in NODES if all(fits(text, node) is not False for text in wanted.constraints)]
    if service.mode.endswith("-job"):  # it ends by itself
        return
    whole = service.mode == "global"
    room = len(nodes) * (_most_on_a_node(wanted) or service.replicas)
    for number in range(len(nodes) if whole else service.replicas):
        slot = 0 if whole else number + 1
        if whole or number < room:
            yield _task(service, slot, nodes[number % len(nodes)], number + 1, choices)
        else:
            yield Task(f"{service.name}.{slot}", service.id, slot=slot, state="pending")


def _most_on_a_node(wanted: StackService) -> int:
    """Return how many tasks a node has room for, 0 for any number: a port of its own can be opened there once."""
    return 1 if any(port.mode == "host" and port.published for port in wanted.ports) else wanted.most_on_a_node


def _task(service: Service, slot: int, node: Node, number: int, choices: _Choices) -> Task:
    id_ = f"{service.name}.{slot or node.id}"
    overlays = [network for network in service.networks if network not in _OF_EACH_NODE]
    return Task(
        id=id_,
        service_id=service.id,
        node_id=node.id,
        slot=slot,
        state="running",
        addresses={network: choices.address(network, service.name, number) for network in overlays},
        ports=tuple(choices.opened(id_, port) for port in service.ports if port.mode == "host"),
    )


@dataclass(slots=True)
class _Choices:
    """What Swarm would choose, made from names; where two names meet, the second one moves on."""

    blocks: dict[tuple[str, str, int], int] = field(default_factory=dict)  # (network, service, n-th) -> x * 256 + y
    taken: set[int] = field(default_factory=set)  # of these blocks
    ports: dict[str, set[int]] = field(default_factory=dict)  # protocol -> numbers published by Swarm

    def address(self, network: str, service: str, number: int) -> str:
        """Return a service's address on a network: 0 is its virtual one, 1 and on its tasks'."""
        block, last = divmod(number, _PER_BLOCK)
        key = (network, service, block)
        if key not in self.blocks:
            self.blocks[key] = _free(_number_of(f"{network} {service} {block}"), 256 * 256, self.taken)
        return str(IPv4Address("10.0.0.0") + self.blocks[key] * 256 + last + 1)

    def published(self, service: str, port: PublishedPort) -> PublishedPort:
        """Return a port with the published one that Swarm would choose in ingress mode, if that is left to it."""
        taken = self.ports.setdefault(port.protocol, set())
        if port.published or port.mode != "ingress" or len(taken) == len(_BY_SWARM):
            return port
        number = _free(_number_of(f"{service} {port.target} {port.protocol}"), len(_BY_SWARM), taken)
        return replace(port, published=_BY_SWARM[number])

    def opened(self, task: str, port: PublishedPort) -> PublishedPort:
        """Return a port of host mode as a task has it."""
        chosen = _BY_NODE[_number_of(f"{task} {port.target} {port.protocol}") % len(_BY_NODE)]
        return replace(port, published=port.published or chosen)


def _free(wanted: int, size: int, taken: set[int]) -> int:
    """Take the first number below `size` that is free, from `wanted` on and around; one has to be."""
    number = wanted % size
    while number in taken:
        number = (number + 1) % size
    taken.add(number)
    return number


def _number_of(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
