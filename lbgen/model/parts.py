"""What surrounds the services of each part: none sees the services, nodes, networks or definitions of another part.

A snapshot of one source is one part, without a name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Generic, TypeVar

from lbgen.model.servers import Surroundings
from lbgen.model.service_lookup import services_by_own_name
from lbgen.model.types import Rules
from lbgen.snapshot import Network, Node, Service, Snapshot, Task

T = TypeVar("T", Node, Network)


class Parts:
    """Divides one snapshot after another; a part's nodes and networks are the same mappings while they are the same."""

    def __init__(self) -> None:
        self._nodes: _Divided[Node] = _Divided()
        self._networks: _Divided[Network] = _Divided()

    def around(
        self,
        snapshot: Snapshot,
        rules: Rules,
        drained: Collection[str] = frozenset(),
        unguarded: frozenset[str] = frozenset(),
    ) -> Around:
        """Return what surrounds each service.

        Args:
            drained, unguarded: see `Surroundings`.
        """
        tasks = snapshot.tasks_by_service()
        nodes, networks = {"": snapshot.nodes}, {"": snapshot.networks}
        services: dict[str, list[Service]] = {"": list(snapshot.services.values())}
        if snapshot.parts:
            nodes, networks = self._nodes.of(snapshot.nodes), self._networks.of(snapshot.networks)
            services = {}
            for service in snapshot.services.values():
                services.setdefault(service.part, []).append(service)
        found = {}
        for part in {**dict.fromkeys(snapshot.parts), **services, **nodes, **networks}:
            own = services_by_own_name(services.get(part, ()))
            here = nodes.get(part, {})
            over = frozenset(id_ for id_ in drained if id_ in here)
            found[part] = Surroundings(rules, here, networks.get(part, {}), drained, own, tasks, unguarded, part, over)
        return Around(found, tasks, rules)


class Around:
    """The surroundings by part."""

    def __init__(self, parts: Mapping[str, Surroundings], tasks: Mapping[str, Sequence[Task]], rules: Rules) -> None:
        """
        Args:
            tasks: by the service's id.
        """
        self.parts, self.tasks, self.rules = parts, tasks, rules

    def of(self, part: str) -> Surroundings:
        """Return what surrounds the services of a part; where there are no parts, of all."""
        return self.parts.get(part) or self.parts[""]


class _Divided(Generic[T]):
    """Objects of one kind by part."""

    def __init__(self) -> None:
        self._whole: Mapping[str, T] | None = None
        self._parts: dict[str, Mapping[str, T]] = {}

    def of(self, whole: Mapping[str, T]) -> dict[str, Mapping[str, T]]:
        if whole is not self._whole:
            parts: dict[str, dict[str, T]] = {}
            for id_, item in whole.items():
                parts.setdefault(item.part, {})[id_] = item
            before = self._parts
            self._parts = {part: _as_before(before.get(part, {}), items) for part, items in parts.items()}
            self._whole = whole
        return self._parts


def _as_before(before: Mapping[str, T], items: Mapping[str, T]) -> Mapping[str, T]:
    same = len(before) == len(items) and all(before.get(id_) is item for id_, item in items.items())
    return before if same else items
