"""What a service's part of a model was decided from, so that nothing is decided twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lbgen.labels.definitions import Definitions
from lbgen.model.part import Part
from lbgen.model.routes import ServiceRoutes
from lbgen.model.servers import Surroundings
from lbgen.model.shares import names_of
from lbgen.snapshot import Network, Node, Service, Task


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a service's part was decided from."""

    service: Service
    tasks: tuple[Task, ...]
    nodes: Mapping[str, Node]
    networks: Mapping[str, Network]
    drained: frozenset[str]
    shared: tuple[tuple[Service, tuple[Task, ...]], ...] = ()  # other services whose servers its routes use
    unguarded: frozenset[str] = frozenset()  # those of them that closed a route for want of a guard

    def same(self, other: Inputs) -> bool:
        """Compare by identity: sources hand on the very same object for what did not change."""
        return (
            self.service is other.service
            and self.nodes is other.nodes
            and self.networks is other.networks
            and (self.drained, self.unguarded) == (other.drained, other.unguarded)
            and identical(self.tasks, other.tasks)
            and len(self.shared) == len(other.shared)
            and all(
                mine[0] is theirs[0] and identical(mine[1], theirs[1])
                for mine, theirs in zip(self.shared, other.shared, strict=True)
            )
        )

    def with_shared(self, asked: ServiceRoutes, around: Surroundings) -> Inputs:
        """Return them with the other services whose servers the routes use."""
        names = names_of([share for request in asked.requests for share in request.spec.shares])
        if not names:
            return self
        stack = self.service.stack
        found = [around.service(name, stack) for name in names]
        shared = tuple((each, around.tasks_of(each)) for each in found if each and each is not self.service)
        over = {task.id for _, tasks in shared for task in tasks if task.id in around.drained}
        unguarded = around.unguarded.intersection(each.name for each, _ in shared)
        return replace(self, shared=shared, drained=self.drained | over, unguarded=unguarded)

    def asks_the_same(self, other: Service) -> bool:
        """Tell whether a service's routes are those of another state of it, such as one with more replicas."""
        mine = self.service
        return mine is other or (
            (mine.name, mine.own, mine.created_at, mine.labels)
            == (other.name, other.own, other.created_at, other.labels)
        )


@dataclass(frozen=True, slots=True)
class Decided:
    """One service as it was decided last, as if no other was in its way."""

    inputs: Inputs
    asked: ServiceRoutes
    part: Part
    definitions: Definitions  # what the names in its labels meant, or mean alike

    @property
    def unguarded(self) -> bool:
        """Whether one of its routes is closed that was to guard something."""
        return any(spec.guarded for spec in self.asked.unhonoured)

    def means_the_same(self, definitions: Definitions) -> bool:
        """Tell whether all names that its labels use still mean what they did."""
        before = self.definitions
        return before is definitions or all(before.answer(use) == definitions.answer(use) for use in self.asked.uses)


def identical(these: Sequence[object], those: Sequence[object]) -> bool:
    """Tell whether two lists have the very same objects."""
    return len(these) == len(those) and all(one is other for one, other in zip(these, those, strict=True))
