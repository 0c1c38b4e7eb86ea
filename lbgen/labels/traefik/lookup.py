"""What the names in one service's labels mean, and which names it was that were asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from lbgen.base.problem import Problem
from lbgen.labels.definitions import SWARM, Definition, Definitions, Key, Undefined
from lbgen.labels.route_spec import Use
from lbgen.labels.values.value_type import BadValue


@dataclass(slots=True)
class Names:
    """Looks names up for one Swarm service."""

    service: str
    definitions: Definitions
    uses: dict[Use, None] = field(default_factory=dict)  # in the order in which they were asked for
    found: set[Key] = field(default_factory=set)  # definitions of this service's own

    def find(
        self, protocol: str, kind: str, reference: str, provider: str = SWARM, *, by_setting: bool = False
    ) -> Definition:
        """Return what a name means.

        Args:
            provider: of the definition that it stands in.
            by_setting: a setting has the name, so that it means the same for all services.

        Raises:
            Undefined: it means nothing here.
        """
        use = Use(protocol, kind, reference.strip().lower(), "" if by_setting else self.service, provider)
        self.uses[use] = None
        try:
            definition = self.definitions.find(*use)
        except Undefined as bad:
            if bad.near and bad.near.service == self.service:  # it may have been meant
                self.found.add(bad.near.key)
            raise
        if definition.service == self.service:
            self.found.add(definition.key)
        return definition

    def count(self, protocol: str, kind: str, names: Iterable[str]) -> None:
        """Count definitions of the service's own as found: a router wants some of them, and nobody can tell which."""
        self.found.update((protocol, kind, name) for name in names)

    def means_the_same(self, protocol: str, kind: str, reference: str, other: str) -> bool:
        """Tell whether a name means for another Swarm service what it means for this one."""
        uses = [Use(protocol, kind, reference.strip().lower(), asking) for asking in (self.service, other)]
        self.uses.update(dict.fromkeys(uses))
        mine, theirs = map(self.definitions.answer, uses)
        return isinstance(mine, Definition) and isinstance(theirs, Definition) and mine.service == theirs.service


def of_another(definition: Definition, problem: Problem) -> BadValue:
    """Return what is wrong with a definition, for the label of another service that names it."""
    element = definition.element
    what = f"names {element.kind[:-1]} {element.name} of {definition.whose}, which cannot be honoured"
    return BadValue(f"{what}: {problem.label} {problem.message}", f"there: {problem.remedy}")
