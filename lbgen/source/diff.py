"""What changed from one snapshot to the next, in words, and when it did by Swarm's own clock.

Pure. What sources promise to keep identical is compared by identity, so it costs little where little changed. An
object that differs in its time stamps alone is not a cause.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from lbgen.snapshot import Cause, Network, Node, Service, Snapshot, Task, moment

T = TypeVar("T")
MOST = 20  # causes of one snapshot; more are counted


def between(before: Snapshot, after: Snapshot, now: float) -> tuple[Cause, ...]:
    """Return the causes: of nodes, services and networks, then of tasks, which mostly follow from those.

    Args:
        before: the snapshot that was in force; the empty one for a source's first.
        now: seconds since 1970, for what has no time of its own.
    """
    if not before.services and not before.nodes:
        text = f"first snapshot: {len(after.services)} services, {len(after.tasks)} tasks, {len(after.nodes)} nodes"
        return (Cause(text, now),)
    causes = _all(before, after, now)
    told = tuple(islice(causes, MOST))
    more = sum(1 for _ in causes)
    return (*told, Cause(f"and {more} more", now)) if more else told


@dataclass(frozen=True, slots=True)
class _Difference(Generic[T]):
    """What became of one kind, each list in id order."""

    new: list[T]
    gone: list[T]
    changed: list[tuple[T, T]]  # as it was, as it is


def _difference_of(before: Mapping[str, T], after: Mapping[str, T]) -> _Difference[T]:
    if before is after:
        return _Difference([], [], [])
    other = [(before.get(id_), item) for id_, item in after.items() if before.get(id_) is not item]
    new = [item for was, item in other if was is None]
    any_gone = len(before) + len(new) != len(after)
    return _Difference(
        new=new,
        gone=[item for id_, item in before.items() if id_ not in after] if any_gone else [],
        changed=[(was, item) for was, item in other if was is not None],
    )


def _all(before: Snapshot, after: Snapshot, now: float) -> Iterator[Cause]:
    yield from _nodes(_difference_of(before.nodes, after.nodes), now)
    yield from _services(_difference_of(before.services, after.services), now)
    yield from _networks(_difference_of(before.networks, after.networks), now)
    names = _Names(before, after)
    yield from _tasks(_difference_of(before.tasks, after.tasks), names, now)


def _nodes(difference: _Difference[Node], now: float) -> Iterator[Cause]:
    for was, node in difference.changed:
        if text := _node(was, node):
            yield Cause(f"node {node.hostname or node.id}: {text}", moment(node.updated_at) or now)
    for node in difference.new:
        yield Cause(f"node {node.hostname or node.id}: new, state {node.state}", moment(node.updated_at) or now)
    for node in difference.gone:
        yield Cause(f"node {node.hostname or node.id}: removed", now)


def _node(was: Node, node: Node) -> str:
    values = {
        "state": (was.state, node.state),
        "availability": (was.availability, node.availability),
        "role": (was.role, node.role),
    }
    parts = {
        "address": (was.address, was.manager_address) != (node.address, node.manager_address),
        "labels": (was.labels, was.engine_labels) != (node.labels, node.engine_labels),
        "hostname": was.hostname != node.hostname,
    }
    told = [f"{name} {value}" for name, (old, value) in values.items() if value != old]
    return _listed([*told, *_asked(was, node)], parts)


def _asked(was: Node | Task, now: Node | Task) -> list[str]:
    """Say that an operator takes it out, or has put it back: only what another lbgen hands on has that."""
    if was.drain_asked == now.drain_asked:
        return []
    return ["drained by an operator" if now.drain_asked else "no longer drained by an operator"]


def _services(difference: _Difference[Service], now: float) -> Iterator[Cause]:
    for was, service in difference.changed:
        if text := _service(was, service):
            yield Cause(f"service {service.name}: {text}", _told_at(service, service.updated_at, now))
    for service in difference.new:
        yield Cause(f"service {service.name}: new", _told_at(service, service.created_at, now))
    for service in difference.gone:
        yield Cause(f"service {service.name}: removed", now)


def _told_at(service: Service, text: str, now: float) -> float:
    """Return when a service changed. On hosts it has only its containers' times, some of which are of long ago."""
    return now if service.on_hosts else moment(text) or now


def _service(was: Service, service: Service) -> str:
    told = [f"replicas {was.replicas} to {service.replicas}"] if was.replicas != service.replicas else []
    told += [f"update {service.update_state or 'state cleared'}"] if was.update_state != service.update_state else []
    parts = {
        "name": was.name != service.name,
        "labels": was.labels != service.labels,
        "mode": (was.mode, was.endpoint_mode) != (service.mode, service.endpoint_mode),
        "ports": was.ports != service.ports,
        "networks": was.networks != service.networks,
        "virtual addresses": was.virtual_ips != service.virtual_ips,
    }
    # Another image or command is in none of these, but it is what moves the tasks.
    updated = was.updated_at != service.updated_at and not service.on_hosts
    return _listed(told, parts) or ("updated" if updated else "")


def _networks(difference: _Difference[Network], now: float) -> Iterator[Cause]:
    yield from (Cause(f"network {network.name}: changed", now) for _, network in difference.changed)
    yield from (Cause(f"network {network.name}: new", now) for network in difference.new)
    yield from (Cause(f"network {network.name}: removed", now) for network in difference.gone)


def _tasks(difference: _Difference[Task], names: _Names, now: float) -> Iterator[Cause]:
    for was, task in difference.changed:
        if text := _task(was, task):
            # The state is the node's to say and has its time; all else is decided by the manager.
            decided = task.desired_state != was.desired_state or task.state == was.state
            at = moment(task.updated_at if decided else task.state_at or task.updated_at)
            yield Cause(f"task {names.of(task)}: {text}", at or now)
    for task in difference.new:
        yield Cause(f"task {names.of(task)}: new, state {task.state}", moment(task.state_at or task.created_at) or now)
    for task in difference.gone:
        yield Cause(f"task {names.of(task)}: removed", now)


def _task(was: Task, task: Task) -> str:
    values = {"state": (was.state, task.state), "desired state": (was.desired_state, task.desired_state)}
    parts = {
        "node": was.node_id != task.node_id,
        "addresses": was.addresses != task.addresses,
        "ports": was.ports != task.ports,
    }
    told = [f"{name} {value}" for name, (old, value) in values.items() if value != old]
    return _listed([*told, *_asked(was, task)], parts)


@dataclass(frozen=True, slots=True)
class _Names:
    """What tasks are called: "web.3 on node2", "web on node2" for a global service's."""

    before: Snapshot
    after: Snapshot

    def of(self, task: Task) -> str:
        service = self.after.services.get(task.service_id) or self.before.services.get(task.service_id)
        node = self.after.nodes.get(task.node_id) or self.before.nodes.get(task.node_id)
        name = service.name if service else task.service_id
        where = f" on {(node.hostname if node else '') or task.node_id}" if task.node_id else ""
        return f"{name}{f'.{task.slot}' if task.slot else ''}{where}"


def _listed(told: list[str], parts: Mapping[str, bool]) -> str:
    """``state down, labels and address changed``."""
    changed = [part for part, differs in parts.items() if differs]
    return ", ".join([*told, *([f"{' and '.join(changed)} changed"] if changed else [])])
