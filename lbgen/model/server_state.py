"""Whether a task receives traffic, only finishes what it has, or is left out; and who drains."""

from __future__ import annotations

from collections.abc import Collection

from lbgen.snapshot import Node, Snapshot, Task


def state_and_reason(task: Task, node: Node | None, drained: Collection[str] = frozenset()) -> tuple[str, str]:
    """Return "up", "drain", or "" to leave the task out; and why it is not "up".

    Args:
        drained: ids of tasks and nodes whose time to drain is over.
    """
    if task.state != "running":
        return "", "it does not run"
    if node is None:
        return "", "it is on no node that is known"
    # Only "down" counts: after a manager leader change every node is "unknown" for a while.
    if node.state == "down":
        return "", "its node is down"
    if task.desired_state != "running":
        why = "Swarm wants it gone"
    elif node.availability == "drain":
        why = "its node is drained"
    else:
        return "up", ""
    return ("", "its time to drain is over") if task.id in drained else ("drain", why)


def server_state(task: Task, node: Node | None, drained: Collection[str] = frozenset()) -> str:
    """Return "up", "drain", or "" to leave the task out."""
    return state_and_reason(task, node, drained)[0]


def draining(snapshot: Snapshot) -> frozenset[str]:
    """Return the ids of the running tasks that are no longer wanted, and of the nodes being drained."""
    tasks = {
        id_ for id_, task in snapshot.tasks.items() if server_state(task, snapshot.nodes.get(task.node_id)) == "drain"
    }
    return frozenset(tasks | {node.id for node in snapshot.nodes.values() if node.availability == "drain"})
