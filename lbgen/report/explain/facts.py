"""The facts that an explanation is made from, and the service that it is about."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lbgen.base.errors import UnknownService
from lbgen.base.problem import printable
from lbgen.daemon.bisection import Held
from lbgen.daemon.drain_store import Drain
from lbgen.daemon.kept_labels import Kept
from lbgen.labels.definitions import DefinitionsByPart
from lbgen.model import Basis, Model, Rules
from lbgen.model.parts import Around, Parts
from lbgen.render.credentials import Credentials
from lbgen.render.renderer import Renderer
from lbgen.snapshot import Service, Snapshot, Task, moment

MOST_NEAR = 3  # similar names that are suggested


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """A target, as far as explanations need it."""

    name: str
    proxy: str  # "haproxy", "nginx", "traefik", "other"
    version: tuple[int, ...]
    listeners: frozenset[str] | None  # that it serves; None: all
    held: Mapping[str, Held] = field(default_factory=dict)  # quarantined services, by id
    options: Mapping[str, Any] = field(default_factory=dict)  # of its template set
    features: tuple[str, ...] = ()  # what its program was built with

    @classmethod
    def of(cls, name: str, renderer: Renderer, held: Mapping[str, Held] | None = None) -> TargetFacts:
        """Return the facts of the target that a renderer is for."""
        target = renderer.target
        proxy = renderer.templates.manifest.proxy
        return cls(name, proxy, target.version, renderer.listeners, held or {}, target.options, target.features)


@dataclass(frozen=True, slots=True)
class Facts:
    """A snapshot and the model that `lbgen.model.build` made of it."""

    snapshot: Snapshot
    model: Model
    credentials: Credentials
    targets: tuple[TargetFacts, ...] = ()
    kept: Mapping[str, Kept] = field(default_factory=dict)  # services that their previous labels serve, by name
    drains: tuple[Drain, ...] = ()  # what operators drain

    @property
    def rules(self) -> Rules:
        """The settings that the model was built with."""
        return self._basis.rules

    @property
    def drained(self) -> Collection[str]:
        """The ids of tasks and nodes whose drain grace was over."""
        return self._basis.drained

    @property
    def _basis(self) -> Basis:
        assert self.model.basis is not None
        return self.model.basis

    @property
    def definitions(self) -> DefinitionsByPart:
        """What the names in services' labels mean: as gathered for the model, since that looks at all services."""
        return self._basis.definitions

    @property
    def around(self) -> Around:
        """The surroundings that services are decided in."""
        return Parts().around(self.snapshot, self.rules, self.drained)

    def service(self, name: str) -> Service:
        """Return the service of a name or an id; of two with one name, which only a file can have, the older.

        Raises:
            UnknownService: there is none, or several parts have one; the message suggests names.
        """
        services = self.snapshot.services
        named = [service for service in services.values() if service.name == name]
        if named:
            return min(named, key=lambda service: (moment(service.created_at), service.id))
        if name in services:
            return services[name]
        if alike := sorted({service.name for service in services.values() if name == service.own_name}):
            shown = " or ".join(map(printable, alike))
            raise UnknownService(f"several parts have a service {printable(name)!r}: say {shown}")
        near = _near(name, (service.name for service in services.values()))
        known = f"there {'is' if len(services) == 1 else 'are'} {len(services)}, 'docker service ls' lists them"
        remedy = f"did you mean {' or '.join(near)}?" if near else known
        raise UnknownService(f"there is no service {printable(name)!r}: {remedy}")

    def tasks(self, service: Service) -> tuple[Task, ...]:
        """Return the service's tasks, in id order."""
        return tuple(task for task in self.snapshot.tasks.values() if task.service_id == service.id)


def _near(name: str, known: Iterable[str]) -> list[str]:
    """Return names like this one: first those of a stack, ``shop_web`` for ``web``."""
    names = sorted(known)
    stacked = [each for each in names if each.endswith(f"_{name}")]
    alike = difflib.get_close_matches(name, names, MOST_NEAR)
    return [printable(each) for each in dict.fromkeys([*stacked, *alike])][:MOST_NEAR]
