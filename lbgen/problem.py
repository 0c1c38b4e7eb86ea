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

    @property
    def whose(self) -> str:
        """What has it: "service shop", "node node1", "file /etc/lbgen/certs/a.pem"."""
        if self.file:
            return f"file {self.file}"
        return f"service {self.service}" if self.service else f"node {self.node}"

    def __str__(self) -> str:
        return f"{self.whose}{f', {label_text(self.label, self.value)}' if self.label else ''}: {self.what}"

    @property
    def what(self) -> str:
        """What is wrong, and what to do about it."""
        return f"{self.message}; {self.remedy}"


def label_text(label: str, value: str) -> str:
    """Return a label and its value as messages show them."""
    return f"label {label}={value!r}" if value else f"label {label}"


def printable(value: str, limit: int = 80) -> str:
    """Return ``value`` fit for a log line: control characters escaped, at most ``limit`` characters long."""
    shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in value[: limit + 1])
    return shown if len(value) <= limit else shown[:limit] + "..."
