"""Snapshots of one stack, made comparable: as a file says it, and as a Swarm deployed it.

What nobody can know from a file gets the same stand-in on both sides, and nothing else is touched:

- a node is called after its role and its place among those of the role; its address is made from that;
- a task's address on a network, and a virtual one, are made from the names of network, service and slot;
- a port that Swarm or a node chose is made from what was published; others stay;
- which node a task of a replicated service is on is the scheduler's choice: all are on one node of no role;
- ids are names; times, states of updates, and tasks that do not run are left out, and so is the ingress network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from ipaddress import IPv4Address

from lbgen.snapshot import Network, Node, PublishedPort, Service, Snapshot, Task

SOMEWHERE = Node("somewhere", "somewhere", address="192.0.2.99")
CHOSEN = 30000  # the first port that Swarm, or a node, may choose itself


def comparable(snapshot: Snapshot, stack: str) -> Snapshot:
    """Return what the snapshot has of the stack, with stand-ins for all that a file cannot tell."""
    nodes = _nodes(snapshot.nodes)
    networks = {
        id_: Network(network.name, network.name, network.driver)
        for id_, network in snapshot.networks.items()
        if not network.ingress
    }
    services = {
        id_: _service(service, networks)
        for id_, service in snapshot.services.items()
        if service.labels.get("com.docker.stack.namespace") == stack
    }
    tasks = [
        _task(task, services[task.service_id], nodes[task.node_id], networks)
        for task in snapshot.tasks.values()
        if task.state == task.desired_state == "running" and task.service_id in services
    ]
    used = {id_ for service in services.values() for id_ in service.networks}
    return Snapshot(
        nodes={node.id: node for node in sorted([*nodes.values(), SOMEWHERE], key=lambda node: node.id)},
        services={service.id: service for service in sorted(services.values(), key=lambda service: service.id)},
        tasks={task.id: task for task in sorted(tasks, key=lambda task: task.id)},
        networks={network.id: network for network in networks.values() if network.id in used},
    )


def _nodes(nodes: Mapping[str, Node]) -> dict[str, Node]:
    found = {}
    for role in ("manager", "worker"):
        own = sorted((node for node in nodes.values() if node.role == role), key=lambda node: node.hostname)
        for number, node in enumerate(own, start=1):
            name = f"{role}{number}"
            found[node.id] = Node(name, name, role, node.availability, node.state, address=_address(name))
    return found


def _service(service: Service, networks: Mapping[str, Network]) -> Service:
    return Service(
        id=service.name,
        name=service.name,
        labels=service.labels,
        mode=service.mode,
        replicas=service.replicas,
        endpoint_mode=service.endpoint_mode,
        ports=tuple(sorted((_port(service.name, port) for port in service.ports), key=str)),
        networks=tuple(sorted(networks[id_].name for id_ in service.networks)),
        virtual_ips={
            networks[id_].name: _address(f"{networks[id_].name} {service.name}")
            for id_ in service.virtual_ips
            if id_ in networks
        },
    )


def _task(task: Task, service: Service, node: Node, networks: Mapping[str, Network]) -> Task:
    where = SOMEWHERE if task.slot else node
    name = f"{service.name}.{task.slot or node.id}"
    return Task(
        id=name,
        service_id=service.id,
        node_id=where.id,
        slot=task.slot,
        state=task.state,
        desired_state=task.desired_state,
        addresses={
            networks[id_].name: _address(f"{networks[id_].name} {name}") for id_ in task.addresses if id_ in networks
        },
        # A node may choose two for one port of the application, for IPv4 and for IPv6.
        ports=tuple(dict.fromkeys(_port(name, port) for port in task.ports)),
    )


def _port(owner: str, port: PublishedPort) -> PublishedPort:
    if port.published < CHOSEN:
        return port
    chosen = CHOSEN + _number(f"{owner} {port.target} {port.protocol}") % 10000
    return PublishedPort(port.target, chosen, port.protocol, port.mode)


def _address(name: str) -> str:
    return str(IPv4Address("10.0.0.0") + _number(name) % 2**24)


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
