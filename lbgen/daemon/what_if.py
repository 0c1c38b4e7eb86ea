"""The same cluster, if some services said something else: what a bisection asks about, and what is served meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lbgen.model import Builder, Model
from lbgen.snapshot import Service, Snapshot

Labels = Mapping[str, str]


class WhatIf:
    """Builds such models; remembers what it made, so that whatever is equal is the same object again."""

    def __init__(self) -> None:
        self._builder: Builder | None = None
        self._relabelled: dict[str, tuple[Service, Labels, Service]] = {}

    def facts(self, model: Model, snapshot: Snapshot, labels: Mapping[str, Labels | None]) -> tuple[Model, Snapshot]:
        """Return model and snapshot with these labels instead, by service id; None: as if the service was not there.

        They are decided by the same settings and at the same moment as the given model.
        """
        basis = model.basis
        assert basis is not None
        if not self._builder or self._builder.rules != basis.rules:
            self._builder = Builder(basis.rules)
        said = replace(snapshot, services=self._services(snapshot, labels))
        return replace(self._builder.build(said, basis.drained), problems=model.problems), said

    def _services(self, snapshot: Snapshot, labels: Mapping[str, Labels | None]) -> dict[str, Service]:
        services = {}
        for id_, service in snapshot.services.items():
            said = labels.get(id_, service.labels)
            if said is not None:
                services[id_] = service if said is service.labels else self._relabel(service, said)
        return services

    def _relabel(self, service: Service, labels: Labels) -> Service:
        known = self._relabelled.get(service.id)
        if not known or known[0] is not service or known[1] != labels:
            known = self._relabelled[service.id] = service, labels, replace(service, labels=labels)
        return known[2]
