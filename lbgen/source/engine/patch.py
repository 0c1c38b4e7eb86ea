"""Single pushed objects put into what is known, so that one change costs one object and nothing is listed.

Pure. Kinds in which nothing changed keep their very mapping, and what is equal to before its very object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import replace
from typing import Any

from lbgen.snapshot import Node, Task
from lbgen.source.facts import Facts
from lbgen.source.mailbox import Change

Versions = Mapping[str, MutableMapping[str, int]]  # kind -> id -> version


def patched(facts: Facts, versions: Versions, changes: Iterable[Change]) -> Facts:
    """Return the facts with these changes in them, the oldest first; `versions` is brought up to date in place.

    A change that is older than what a listing has told meanwhile is left out: the stream of a manager that is not
    the leader lags some milliseconds behind, and a task on its way out must not come back for that long.
    """
    patch = _Patch(facts)
    for change in changes:
        known = versions[change.kind]
        if change.version >= known.get(change.id, 0):
            patch.put(change)
            known[change.id] = change.version
    return patch.result()


def doubtful(nodes: Mapping[str, Node]) -> bool:
    """Tell whether a node's manager address is not known yet, or no longer right.

    It is not in the store but in the managers' list of members, so no stream tells of it: a promoted node is a member
    some seconds later. Source: swarmkit, manager/controlapi/node.go (ListNodes).
    """
    return any((node.role == "manager") != bool(node.manager_address) for node in nodes.values())


def tellable(old: Mapping[str, Node], new: Mapping[str, Node], ids: Iterable[str]) -> set[str]:
    """Return those ids whose nodes differ in more than the manager's address."""
    both = {id_ for id_ in ids if id_ in old and id_ in new}
    silent = {id_ for id_ in both if replace(old[id_], manager_address=new[id_].manager_address) == new[id_]}
    return set(ids) - silent


class _Patch:
    """The facts, each kind copied before its first change."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._fresh: dict[str, dict[str, Any]] = {}
        self._grown: set[str] = set()  # kinds with new ids at their end, out of order

    def put(self, change: Change) -> None:
        known = self._now(change.kind).get(change.id)
        item = self._fitting(change.item, known)
        if item == known:
            return
        fresh = self._copied(change.kind)
        if item is None:
            del fresh[change.id]
        else:
            fresh[change.id] = item
        if known is None:
            self._grown.add(change.kind)
        if item is None and change.kind == "services":
            self._forget_tasks(change.id)

    def result(self) -> Facts:
        fresh = {kind: _in_order(items) if kind in self._grown else items for kind, items in self._fresh.items()}
        return {**self._facts, **fresh}

    def _now(self, kind: str) -> Mapping[str, Any]:
        return self._fresh.get(kind, self._facts[kind])

    def _copied(self, kind: str) -> dict[str, Any]:
        if kind not in self._fresh:
            self._fresh[kind] = dict(self._facts[kind])
        return self._fresh[kind]

    def _fitting(self, item: Any, known: Any) -> Any:
        """Complete what the stream does not tell; tasks of services that are gone are left out, as in a listing."""
        if isinstance(item, Node) and known is not None:
            return replace(item, manager_address=known.manager_address)
        if isinstance(item, Task) and item.service_id not in self._now("services"):
            return None
        return item

    def _forget_tasks(self, service_id: str) -> None:
        tasks = self._now("tasks")
        kept = {id_: task for id_, task in tasks.items() if task.service_id != service_id}
        if len(kept) != len(tasks):
            self._fresh["tasks"] = kept


def _in_order(items: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted(items.items()))
