"""Containers as services and tasks: of one host, and of all hosts together. Pure.

Services are what has one name. A host's own snapshot has all that is known of it, so that it can be kept on disk; all
hosts' snapshots make the one that is handed on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

from lbgen.snapshot import ON_HOSTS, Network, Node, PublishedPort, Service, Snapshot, Task, moment
from lbgen.source.engine.listing import combined
from lbgen.source.facts import KINDS, kept
from lbgen.source.hosts.containers import ENDED, HOST_NETWORK, Container
from lbgen.source.hosts.host import Host

T = TypeVar("T", Node, Service, Task, Network)
Ports = dict[tuple[int, str], set[tuple[int, ...]]]  # target and protocol -> what each container has published


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What an engine says of itself, and of its networks."""

    os: str = ""
    arch: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    networks: Mapping[str, Network] = field(default_factory=dict)  # those that there are of the host's, by name

    def with_networks(self, networks: Mapping[str, Network]) -> EngineFacts:
        """Return it with these networks."""
        return self if networks == self.networks else replace(self, networks=networks)


@dataclass(frozen=True, slots=True)
class Moments:
    """What else is known of a container: when something happened to it, and whether Docker is about to stop it."""

    at: Mapping[str, str] = field(default_factory=dict)  # id -> RFC 3339
    stopping: Collection[str] = ()  # ids


class Seniority:
    """When each service was first seen: it outlives the containers, so that a redeploy loses nothing to others."""

    MOST = 10_000  # services; of more, those that were seen first are forgotten

    def __init__(self) -> None:
        self._first: dict[str, str] = {}

    def of(self, service: str, created: str) -> str:
        """Return when a service came into being, given when the oldest container was made that it has now."""
        known = self._first.get(service)
        if known is None or moment(created) < moment(known):
            self._first[service] = known = created
            while len(self._first) > self.MOST:
                del self._first[next(iter(self._first))]
        return known


def host_snapshot(
    host: Host, containers: Iterable[Container], engine: EngineFacts, moments: Moments, seniority: Seniority
) -> Snapshot:
    """Return the facts of one host alone. Tasks have their containers' ids; all else goes by its name."""
    members: dict[str, list[Container]] = {}
    for each in sorted(containers, key=lambda each: each.id):
        members.setdefault(each.service, []).append(each)
    services = [_service(name, own, host.name, seniority) for name, own in members.items()]
    tasks = [_task(each, host, moments) for own in members.values() for each in own]
    networks = {name for own in members.values() for each in own for name in each.networks}
    node = Node(
        id=host.name,
        hostname=host.name,
        role="host",
        address=host.address,
        labels=dict(sorted(host.labels.items())),
        engine_labels=engine.labels,
        os=engine.os,
        arch=engine.arch,
    )
    known = {name: engine.networks.get(name) or Network("", name, driver=_driver(name)) for name in networks}
    return Snapshot(
        nodes={node.id: node},
        services=_by_id(services),
        tasks=_by_id(tasks),
        networks=_by_id(replace(network, id=name) for name, network in known.items()),
    )


def merged(before: Snapshot, hosts: Iterable[Snapshot], seniority: Seniority) -> Snapshot:
    """Return the snapshot of all hosts together, in which what did not change is the object of before.

    `before` itself is returned where nothing did.
    """
    hosts = tuple(hosts)
    same: dict[str, list[tuple[Service, Snapshot, bool]]] = {}
    for own in hosts:
        alive = {task.service_id for task in own.tasks.values() if task.state not in ENDED}
        for id_, service in own.services.items():
            same.setdefault(id_, []).append((service, own, id_ in alive))
    return successor(
        before,
        nodes={id_: node for own in hosts for id_, node in own.nodes.items()},
        services={id_: _joined(own, seniority) for id_, own in same.items()},
        tasks={id_: task for own in hosts for id_, task in own.tasks.items()},
        networks={id_: network for own in reversed(hosts) for id_, network in own.networks.items()},
    )


def successor(before: Snapshot, **facts: Mapping[str, Any]) -> Snapshot:
    """Return the snapshot of these facts, in which what did not change is the object of before; or `before` itself."""
    same = {kind: kept(getattr(before, kind), dict(sorted(facts[kind].items()))) for kind in KINDS}
    return combined(before, same, "")


def _by_id(items: Iterable[T]) -> dict[str, T]:
    return {item.id: item for item in sorted(items, key=lambda item: item.id)}


def _driver(name: str) -> str:
    return "host" if name == HOST_NETWORK else "bridge"


def _service(name: str, containers: list[Container], host: str, seniority: Seniority) -> Service:
    """Make a service of its containers on one host; the labels are those of the newest that has a process."""
    newest = max(containers, key=lambda each: (not each.ended, each.created, each.id))
    oldest = min(each.created for each in containers)
    return Service(
        id=name,
        name=name,
        labels=newest.labels,
        created_at=seniority.of(name, _stamp(oldest)),
        updated_at=_stamp(newest.created),
        replicas=len(containers),
        endpoint_mode=ON_HOSTS,
        ports=_ports(each.ports for each in containers),
        networks=tuple(sorted({network for each in containers for network in each.networks})),
        unlike=_unlike(newest.labels, ((each.labels, each.id, host) for each in containers if not each.ended)),
    )


def _joined(same: list[tuple[Service, Snapshot, bool]], seniority: Seniority) -> Service:
    """Make one service of those that several hosts have of it.

    Args:
        same: each with all that is known of its host, and whether a container there has a process.
    """
    newest, *_ = max(same, key=lambda each: (each[2], moment(each[0].updated_at)))
    services = [service for service, *_ in same]
    oldest = min((service.created_at for service in services), key=moment)
    return replace(
        newest,
        created_at=seniority.of(newest.name, oldest),
        replicas=sum(service.replicas for service in services),
        ports=_ports(service.ports for service in services) if len(services) > 1 else newest.ports,
        networks=tuple(sorted({network for service in services for network in service.networks})),
        unlike=newest.unlike if len(services) == 1 else _unlike_on_hosts(newest, same),
    )


def _unlike_on_hosts(newest: Service, same: list[tuple[Service, Snapshot, bool]]) -> dict[str, str]:
    """Return the labels that differ on one of several hosts, or from host to host."""
    found: dict[str, str] = {}
    for service, own, alive in same:
        if alive and service.labels != newest.labels:
            tasks = (task for task in own.tasks.values() if task.service_id == service.id and task.state not in ENDED)
            latest = max(tasks, key=lambda task: (moment(task.created_at), task.id))
            found |= _unlike(newest.labels, [(service.labels, latest.id, latest.node_id)])
        found |= service.unlike
    return found


def _unlike(labels: Mapping[str, str], containers: Iterable[tuple[Mapping[str, str], str, str]]) -> dict[str, str]:
    """Return which labels some containers have otherwise than these, or they alone, each with such a container.

    Args:
        containers: labels, id, name of the host.
    """
    return {
        label: f"{id_[:12]} on {host}"
        for own, id_, host in containers
        if own != labels
        for label in {*labels, *own}
        if own.get(label) != labels.get(label)
    }


def _task(each: Container, host: Host, moments: Moments) -> Task:
    at = moments.at.get(each.id, "")
    return Task(
        id=each.id,
        service_id=each.service,
        node_id=host.name,
        slot=each.number,
        state=each.state,
        desired_state="shutdown" if each.id in moments.stopping else "running",
        created_at=_stamp(each.created),
        updated_at=at,
        state_at=at,
        addresses=each.addresses,
        ports=each.ports,
    )


def _ports(several: Iterable[tuple[PublishedPort, ...]]) -> tuple[PublishedPort, ...]:
    """Return the ports that a service has published, given those of its containers (or of its hosts).

    Where containers have different numbers, because the engines chose them say, the number is 0: see the task.
    """
    numbers: Ports = {}
    for ports in several:
        own: dict[tuple[int, str], list[int]] = {}
        for port in ports:
            own.setdefault((port.target, port.protocol), []).append(port.published)
        for key, several_of_it in own.items():
            numbers.setdefault(key, set()).add(tuple(sorted(several_of_it)))
    found = []
    for (target, protocol), alternatives in sorted(numbers.items()):
        published = next(iter(alternatives)) if len(alternatives) == 1 else (0,)
        found += [PublishedPort(target, number, protocol, "host") for number in published]
    return tuple(found)


@lru_cache(maxsize=10_000)  # all containers of a host, after each event
def _stamp(seconds: float) -> str:
    """Return a time as the engine would write it, in RFC 3339."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def stamp_of(nanoseconds: int) -> str:
    """Return an event's time in RFC 3339, to the microsecond."""
    at = datetime.fromtimestamp(nanoseconds // 1000 / 1e6, UTC)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
