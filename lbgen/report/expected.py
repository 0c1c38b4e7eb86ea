"""What a pipeline expects to be routed: some service at all, and the ones that it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lbgen.base.errors import UnknownService
from lbgen.base.problem import printable
from lbgen.model import Model
from lbgen.render.credentials import Credentials
from lbgen.render.renderer import Renderer
from lbgen.report.reach import routed_services
from lbgen.snapshot import Snapshot


@dataclass(frozen=True, slots=True, order=True)
class Unmet:
    """An expectation that does not hold."""

    service: str  # that is not routed; empty: no service is
    message: str

    def __str__(self) -> str:
        return f"service {self.service}: {self.message}" if self.service else self.message


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected to be routed, and by which targets."""

    services: tuple[str, ...] = ()  # their names
    some: bool = False  # at least one service
    targets: Mapping[str, Renderer] = field(default_factory=dict)  # by name; empty: every listener is served

    def routed(self, model: Model) -> set[str]:
        """Return the names of the services that get traffic."""
        served = [renderer.listeners for renderer in self.targets.values()]
        everywhere = not served or None in served
        names = [item.name for item in model.listeners]
        listeners = [name for name in names if everywhere or any(name in own for own in served if own is not None)]
        return routed_services(model, listeners)

    def unmet(self, snapshot: Snapshot, model: Model) -> Iterator[Unmet]:
        """Yield what does not hold, with the reason that `lbgen explain` has."""
        if self.some and not self.routed(model):
            yield Unmet("", "no service is routed, which --allow-empty accepts")
        if not self.services:
            return
        from lbgen.report.explain import Facts, TargetFacts, explanation  # here: it loads every proxy's table

        targets = tuple(TargetFacts.of(name, renderer) for name, renderer in self.targets.items())
        facts = Facts(snapshot, model, Credentials(), targets)
        for name in dict.fromkeys(self.services):
            try:
                document = explanation(facts, name)
            except UnknownService as error:
                yield Unmet(printable(name), f"is required, and {error}")
                continue
            if not document["routed"]:
                why = "; ".join(document["why"]) or "nothing leads to it"
                yield Unmet(printable(name), f"is required, and not routed: {why}")
