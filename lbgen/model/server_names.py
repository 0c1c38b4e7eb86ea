"""Names of servers: they outlive their tasks, are accepted by every proxy, and are told apart. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from lbgen.model.types import Server
from lbgen.snapshot import Node, Task, moment


def slot_name(task: Task, node: Node) -> str:
    """Return the slot of a task, or its node's name where tasks have no slots.

    On a host without Swarm, that host's name; from the second on with the container's number, which is Compose's. So a
    server keeps its name when others come and go.
    """
    if node.role == "host":
        return f"{node_name(node)}.{task.slot}" if task.slot > 1 else node_name(node)
    return str(task.slot) if task.slot else node_name(node)


def node_name(node: Node) -> str:
    """Return a node's name in the characters that every proxy allows in a server name."""
    return _clean(node.hostname or node.id)


def _clean(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "-", text)


def distinct(servers: Iterable[Server], tasks: Sequence[Task]) -> list[Server]:
    """Give servers of one name distinct ones: who is up, then who is newest, keeps the plain name. Sorted by name.

    So the plain name moves to the successor at once, where it stays, and the predecessor leaves under a name of its
    own. Two live nodes with one hostname are told apart the same way.
    """
    newest = sorted(tasks, key=lambda task: (moment(task.created_at), task.id), reverse=True)
    position = {task.id: index for index, task in enumerate(newest)}
    taken: dict[str, Server] = {}
    for server in sorted(
        servers, key=lambda server: (server.state != "up", position.get(server.origin, 0), server.origin)
    ):
        candidates = (server.name, *(f"{server.name}-{_clean(server.origin[:length])}" for length in (8, 99)))
        name = next((name for name in candidates if name not in taken), f"{server.name}-{len(taken)}")
        taken[name] = replace(server, name=name)
    return [taken[name] for name in sorted(taken, key=natural)]


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts web.2 before web.10."""
    parts = re.split(r"(\d+)", name)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part)
