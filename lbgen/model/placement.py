"""Node choice in Swarm's own placement-constraint syntax.

Same keys, operators and case-insensitive comparison as `docker service create --constraint`.
Source: swarmkit's constraint package and the Docker service-create reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from lbgen.labels.values.value_type import BadValue
from lbgen.snapshot import Node

_Test = Callable[[Node], bool]

_VALUE = r"[-A-Za-z0-9:_.*()?+\[\]\\^$|/]"  # swarmkit's characters
_CONSTRAINT = re.compile(rf"([A-Za-z0-9_.-]+)\s*(==|!=)\s*({_VALUE}(?:{_VALUE}|\s)*)")
_FIELDS: dict[str, Callable[[Node], str]] = {
    "node.id": lambda node: node.id,
    "node.hostname": lambda node: node.hostname,
    "node.role": lambda node: node.role,
    "node.platform.os": lambda node: node.os,
    "node.platform.arch": lambda node: node.arch,
}
_FAMILIES: dict[str, Callable[[Node, str], str]] = {
    "node.labels.": lambda node, key: node.labels.get(key, ""),
    "engine.labels.": lambda node, key: node.engine_labels.get(key, ""),
}


@dataclass(frozen=True, slots=True)
class Chooser:
    """Tells which nodes satisfy all of some constraints."""

    constraints: tuple[tuple[str, _Test], ...] = ()  # each as it was written, and what it asks

    def __call__(self, node: Node) -> bool:
        """Whether a node does."""
        return all(test(node) for _, test in self.constraints)

    def refusal(self, node: Node) -> str:
        """Return the first constraint that a node does not satisfy; empty if there is none."""
        return next((text for text, test in self.constraints if not test(node)), "")


def chooser(text: str) -> Chooser:
    """Return the test for nodes that comma-separated constraints are; an empty text lets all pass.

    Raises:
        BadValue: a constraint that Swarm would not understand either.
    """
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    return Chooser(tuple((part, _one(part)) for part in parts))


def _one(text: str) -> _Test:
    match = _CONSTRAINT.fullmatch(text)
    read = _reader(match[1]) if match else None
    if not match or not read:
        raise BadValue(
            f"{text!r} is not a placement constraint",
            "write for example node.role==worker or node.labels.zone!=eu",
            "nodes",
        )
    wanted, equal = match[3].casefold(), match[2] == "=="
    return lambda node: (read(node).casefold() == wanted) == equal


def _reader(key: str) -> Callable[[Node], str] | None:
    if key.lower() in _FIELDS:
        return _FIELDS[key.lower()]
    for prefix, read in _FAMILIES.items():
        if key.startswith(prefix) and len(key) > len(prefix):
            return lambda node: read(node, key.removeprefix(prefix))
    return None
