"""The four kinds of facts, each by id; and of a newer look at them, what is the same as before.

What did not change keeps its identity: equal objects, and mappings in which nothing changed, are the very objects of
before, so that everything downstream can skip them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")
Facts = Mapping[str, Mapping[str, Any]]  # kind -> id -> object

# Tasks last: they change most, so they should be freshest, and what they refer to was listed before them.
KINDS = ("networks", "nodes", "services", "tasks")
ALL = frozenset(KINDS)
EMPTY: Facts = {kind: {} for kind in KINDS}


def kept(old: Mapping[str, T], new: Mapping[str, T]) -> Mapping[str, T]:
    """Return `new` with every equal object replaced by the old one; `old` itself if nothing changed."""
    if new is old:
        return old
    merged = {id_: old[id_] if old.get(id_) == item else item for id_, item in new.items()}
    return merged if changed(old, merged) else old


def changed(old: Mapping[str, T], new: Mapping[str, T]) -> set[str]:
    """Return the ids that are new, gone, or stand for another object (by identity)."""
    if old is new:
        return set()
    return (old.keys() ^ new.keys()) | {id_ for id_, item in old.items() if new.get(id_, item) is not item}
