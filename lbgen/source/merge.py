"""Several parts as one snapshot, and back.

No part can take the place of another one's objects: ids of parts whose ids are not an engine's own begin with their
part's name, an id that two parts have is refused, and services that have one name are called ``PART_NAME``.
What did not change in a part is the same object as before, so one part's change costs nothing of the others'.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lbgen.base.errors import SourceError
from lbgen.snapshot import Network, Node, Part, Service, Snapshot, Task
from lbgen.source.facts import KINDS

Objects = Mapping[str, Any]  # of one kind, by id


class Placed:
    """One part's facts as they are in the whole: with its name, and with ids of its own where the engine has none."""

    def __init__(self, name: str, prefix: str = "") -> None:
        """
        Args:
            prefix: what its ids begin with; empty: they are the engine's own.
        """
        self.name, self.prefix = name, prefix
        self.facts = Snapshot()  # as they were given
        self.objects: dict[str, Objects] = {kind: {} for kind in KINDS}  # as they are in the whole

    def placed(self, facts: Snapshot) -> dict[str, Objects]:
        """Return the part's objects; what is the same as in `facts` before is the same object here."""
        anew = facts.networks is not self.facts.networks and bool(self.prefix)  # services may name networks by id
        return {kind: self._placed(kind, facts, anew and kind == "services") for kind in KINDS}

    def accept(self, facts: Snapshot, objects: dict[str, Objects]) -> None:
        """Take over what `placed` gave."""
        self.facts, self.objects = facts, objects

    def _placed(self, kind: str, facts: Snapshot, anew: bool) -> Objects:
        items: Objects = getattr(facts, kind)
        before: Objects = getattr(self.facts, kind)
        if items is before and not anew:
            return self.objects[kind]
        if kind == "tasks" and not self.prefix:
            return items
        known = {} if anew else self.objects[kind]
        place, prefix = _PLACE[kind], self.prefix
        others = None if anew else _others(before, items)
        if others is not None:
            return {**known, **{prefix + id_: place(self, items[id_], facts) for id_ in others}}
        return {
            prefix + id_: known[prefix + id_] if known and before.get(id_) is item else place(self, item, facts)
            for id_, item in items.items()
        }

    def node(self, item: Node, _facts: Snapshot) -> Node:
        """Return a node of it."""
        return replace(item, id=self.prefix + item.id, part=self.name)

    def network(self, item: Network, _facts: Snapshot) -> Network:
        """Return a network of it."""
        return replace(item, id=self.prefix + item.id, part=self.name)

    def service(self, item: Service, facts: Snapshot) -> Service:
        """Return a service of it."""
        networks = (self.prefix + each if each in facts.networks else each for each in item.networks)
        return replace(
            item,
            id=self.prefix + item.id,
            name=item.own_name,
            own="",
            part=self.name,
            networks=tuple(networks),
            virtual_ips={self.prefix + id_: address for id_, address in item.virtual_ips.items()},
        )

    def task(self, item: Task, _facts: Snapshot) -> Task:
        """Return a task of it."""
        return replace(
            item,
            id=self.prefix + item.id,
            service_id=self.prefix + item.service_id,
            node_id=self.prefix + item.node_id if item.node_id else "",
            addresses={self.prefix + id_: address for id_, address in item.addresses.items()},
        )


_PLACE: dict[str, Callable[[Placed, Any, Snapshot], Any]] = {
    "nodes": Placed.node,
    "services": Placed.service,
    "tasks": Placed.task,
    "networks": Placed.network,
}


@dataclass(slots=True)
class Whole:
    """All parts as one; a kind in which nothing changed is the same mapping as before."""

    facts: Snapshot = field(default_factory=Snapshot)
    _from: dict[str, list[Objects]] = field(default_factory=dict)  # kind -> what it was made of, by part
    _named: dict[str, tuple[Service, Service]] = field(default_factory=dict)  # id -> service, as it is called

    def of(self, parts: Mapping[str, Placed]) -> Snapshot:
        """Return the snapshot of the parts; time, listing, causes and notes are left to the caller."""
        made: dict[str, Any] = {
            kind: self._joined(kind, [part.objects[kind] for part in parts.values()]) for kind in KINDS
        }
        if parts.keys() == {""}:  # it stands alone, as without any others
            self.facts = Snapshot(parts[""].facts.cluster, **made)
            return self.facts
        known = {name: Part(name, part.facts.cluster) for name, part in parts.items()}
        same = self.facts.parts == known
        self.facts = Snapshot(**made, parts=self.facts.parts if same else known)
        return self.facts

    def _joined(self, kind: str, objects: list[Objects]) -> Objects:
        before = self._from.get(kind)
        if before and len(before) == len(objects) and all(a is b for a, b in zip(before, objects, strict=True)):
            known: Objects = getattr(self.facts, kind)
            return known
        self._from[kind] = objects
        if before and kind != "services" and len(before) == len(objects):
            others = [_others(was, now) for was, now in zip(before, objects, strict=True)]
            if None not in others:  # the ids are the same, and so is their order
                new = {id_: own[id_] for ids, own in zip(others, objects, strict=True) for id_ in ids or ()}
                return {**getattr(self.facts, kind), **new}
        joined = {id_: item for own in objects for id_, item in own.items()}
        joined = dict(sorted(joined.items()))
        return self._called(joined) if kind == "services" else joined

    def _called(self, services: Mapping[str, Service]) -> Mapping[str, Service]:
        """Return the services by the names that tell them apart."""
        names = display_names(services.values())
        before, self._named = self._named, {}
        for id_, service in services.items():
            known = before.get(id_)
            name = names.get((service.part, service.name), service.name)
            if not known or known[0] is not service or known[1].name != name:
                other = name != service.name
                known = service, replace(service, name=name, own=service.name) if other else service
            self._named[id_] = known
        return {id_: called for id_, (_, called) in self._named.items()}


def _others(before: Objects, items: Objects) -> list[str] | None:
    """Return the ids that stand for another object than before; None: there are other ids."""
    if before is items:
        return []
    if len(before) != len(items) or list(before) != list(items):
        return None
    return [id_ for id_, was, item in zip(items, before.values(), items.values(), strict=True) if was is not item]


def display_names(services: Iterable[Service]) -> dict[tuple[str, str], str]:
    """Return what services are called whose names do not tell them apart: (part, own name) -> ``PART_NAME``.

    No part's name has an underscore, so such names differ; where one is a third service's own name, that one is called
    by its part, too. Services of a part without a name keep theirs: what agents offer to a hub changes nothing there.
    """
    own = {(service.part, service.own_name) for service in services}
    names = {each: each[1] for each in own}
    while True:
        counts = Counter(names.values())
        alike = [each for each, name in names.items() if counts[name] > 1 and name == each[1]]
        if not alike:
            return {each: name for each, name in names.items() if name != each[1]}
        alike = [(part, name) for part, name in alike if part] or alike
        names.update({(part, name): f"{part}_{name}" for part, name in alike})


def joined(parts: Mapping[str, Snapshot], prefixes: Mapping[str, str] | None = None) -> Snapshot:
    """Return several parts' snapshots as one.

    Args:
        prefixes: what a part's ids begin with; none: they are taken as they are.
    Raises:
        SourceError: two parts have one id, or are of one cluster.
    """
    placed: dict[str, Placed] = {}
    for name, facts in parts.items():
        part = Placed(name, (prefixes or {}).get(name, ""))
        objects = part.placed(facts)
        if trouble := conflict(part, facts, objects, placed):
            raise SourceError(f"part {name}: {trouble}")
        part.accept(facts, objects)
        placed[name] = part
    notes = tuple(note for facts in parts.values() for note in facts.notes)
    taken = max((facts.taken_at for facts in parts.values()), default=0.0)
    return replace(Whole().of(placed), notes=notes, taken_at=taken)


def conflict(part: Placed, facts: Snapshot, objects: Mapping[str, Objects], others: Mapping[str, Placed]) -> str:
    """Return why a part's facts cannot stand beside those of others; empty: they can."""
    for other in others.values():
        if other is part:
            continue
        if facts.cluster and facts.cluster == other.facts.cluster:
            return f"follows the same cluster as part {other.name} ({facts.cluster}): leave one of the two out"
        for kind in KINDS:
            same = objects[kind] is part.objects[kind] or objects[kind].keys() == part.objects[kind].keys()
            new = () if same else objects[kind].keys() - part.objects[kind].keys()
            if twice := next((id_ for id_ in new if id_ in other.objects[kind]), ""):
                return f"has the {kind[:-1]} {twice!r}, which part {other.name} has: ids of two parts differ"
    return ""


def split(facts: Snapshot) -> dict[str, Snapshot]:
    """Return the parts of a snapshot, each with its services by their own names; the opposite of `joined`."""
    nodes, networks = _by_part(facts.nodes), _by_part(facts.networks)
    services = _by_part(facts.services)
    own = {
        part: {id_: replace(item, name=item.own_name, own="") for id_, item in items.items()}
        for part, items in services.items()
    }
    tasks: dict[str, dict[str, Task]] = {}
    for id_, task in facts.tasks.items():
        if service := facts.services.get(task.service_id):
            tasks.setdefault(service.part, {})[id_] = task
    return {
        name: Snapshot(
            part.cluster,
            nodes.get(name, {}),
            own.get(name, {}),
            tasks.get(name, {}),
            networks.get(name, {}),
            taken_at=facts.taken_at,
            listing=facts.listing,
        )
        for name, part in facts.parts.items()
    }


def _by_part(items: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for id_, item in items.items():
        found.setdefault(item.part, {})[id_] = item
    return found
