"""What is wrong with one service, said so that its owner can mend it.

A problem is a value, not an exception: it drops one route, and everything else goes on.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong with one service, or with one node or file (then ``service`` is empty).

    ``label`` and ``value`` are empty where the trouble is not in a label. ``value`` is as the user wrote it,
    shortened and with control characters escaped, so that it is safe to print.
    """

    service: str  # the service's name, as `docker service ls` shows it
    message: str  # what is wrong
    remedy: str  # what to do about it
    label: str = ""
    value: str = ""
    route: str = ""  # the route it drops, unless it is a note on something left out; empty: not just one
    node: str = ""  # the node's hostname, where the trouble is a node's
    file: str = ""  # its path, where the trouble is a file's

    def __str__(self) -> str:
        where = f"service {self.service}" if self.service else f"node {self.node}"
        if self.file:
            where = f"file {self.file}"
        if self.label:
            where += f", label {self.label}={self.value!r}" if self.value else f", label {self.label}"
        return f"{where}: {self.message}; {self.remedy}"


def printable(value: str, limit: int = 80) -> str:
    """Return ``value`` fit for a log line: control characters escaped, at most ``limit`` characters long."""
    shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in value[: limit + 1])
    return shown if len(value) <= limit else shown[:limit] + "..."
