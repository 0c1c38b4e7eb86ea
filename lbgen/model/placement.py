"""Node choice in Swarm's own placement-constraint syntax.

Same keys, operators and case-insensitive comparison as `docker service create --constraint`.
"""

from __future__ import annotations

from collections.abc import Callable

from lbgen.labels.values.value_type import BadValue
from lbgen.model import constraints
from lbgen.model.constraints import Chooser
from lbgen.snapshot import Node

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


def chooser(text: str) -> Chooser[Node]:
    """Return the test for nodes that comma-separated constraints are; an empty text lets all pass.

    Raises:
        BadValue: a constraint that Swarm would not understand either.
    """
    return constraints.parse(text, _reader, exact=False, otherwise=_bad)


def _bad(text: str) -> BadValue:
    remedy = "write for example node.role==worker or node.labels.zone!=eu"
    return BadValue(f"{text!r} is not a placement constraint", remedy, "nodes")


def _reader(key: str) -> Callable[[Node], str] | None:
    if key.lower() in _FIELDS:
        return _FIELDS[key.lower()]
    for prefix, read in _FAMILIES.items():
        if key.startswith(prefix) and len(key) > len(prefix):
            return lambda node: read(node, key.removeprefix(prefix))
    return None
