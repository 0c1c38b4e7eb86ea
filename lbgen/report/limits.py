"""What a target's proxy cannot do of what its routes ask for, and what it does instead."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from lbgen.base.problem import label_text, shown
from lbgen.labels.values.basic import duration
from lbgen.labels.values.value_type import BadValue
from lbgen.model import Backend, Model, Route
from lbgen.proxies.capabilities import PROXIES, TABLE, Capability
from lbgen.proxies.kind import NO, Support
from lbgen.snapshot import Snapshot


@dataclass(frozen=True, slots=True, order=True)
class Limit:
    """Something that a route or a listener asks for and its proxy cannot do, or only in part."""

    target: str
    proxy: str  # "haproxy", "nginx", "traefik"
    service: str  # empty: it is a listener's matter
    route: str  # as in lbgen.http.<route>; empty for the route made of short keys
    feature: str
    level: str  # "partly" or "no"
    instead: str
    label: str = ""  # that asks for it; empty: it is a default
    value: str = ""
    listener: str = ""  # of a listener's matter, which settings ask for; empty: it is a service's

    @property
    def whose(self) -> str:
        """What asks for it: "service shop", "listener web"."""
        return f"service {self.service}" if self.service else f"listener {self.listener}"

    def __str__(self) -> str:
        where = self.whose
        if self.label:
            where += f", {label_text(self.label, self.value)}"
        elif self.route:
            where += f", route {self.route}"
        return f"{where}: {self.what}"

    @property
    def what(self) -> str:
        """What the proxy cannot do, and what happens instead."""
        how = "cannot do" if self.level == NO else "can do only in part"
        return f"{PROXIES[self.proxy]} {how}: {self.feature}; {self.instead}"


def limits(
    model: Model,
    snapshot: Snapshot,
    target: str,
    proxy: str,
    version: tuple[int, ...] = (),
    options: Mapping[str, Any] | None = None,
    features: Collection[str] = (),
) -> Iterator[Limit]:
    """Yield what a target's proxy cannot do of what its routes and their listeners ask for; of a listener once.

    Args:
        model: with the listeners of this target only.
        version: of the proxy's program; empty: the oldest that lbgen supports.
        options: of the target's template set, with their defaults.
        features: what the proxy's program was built with.
    """
    if proxy not in PROXIES:
        return
    rows = [(row, support) for row in TABLE if (support := row.support(proxy, version, features)).instead]
    labels = {service.name: service.labels for service in snapshot.services.values()}
    listeners = {listener.name: listener for listener in model.listeners}
    routes: dict[str, list[Route]] = {}
    for route in model.routes:
        routes.setdefault(route.backend, []).append(route)
    told: set[Limit] = set()  # of listeners
    for backend in model.backends:
        asking = routes.get(backend.name, ())
        for row, support in rows:
            if support.ends and backend.timeout_idle <= _seconds(support.ends, options or {}):
                continue
            concerned = [name for route in asking for name in row.concerned(backend, route, listeners)]
            if row.of_listener:
                said = {_of_listener(target, proxy, name, row, support) for name in concerned} - told
                told |= said
                yield from sorted(said)
            elif concerned:
                yield _of_route(target, proxy, backend, row, support, labels.get(backend.service, {}))


def _of_listener(target: str, proxy: str, listener: str, row: Capability, support: Support) -> Limit:
    return Limit(target, proxy, "", "", row.name, support.level, support.instead, listener=listener)


def _of_route(
    target: str, proxy: str, backend: Backend, row: Capability, support: Support, labels: Mapping[str, str]
) -> Limit:
    label, value = _written(backend, row.key, labels)
    whose = backend.service, backend.route
    return Limit(target, proxy, *whose, row.name, support.level, support.instead, label, shown(label, value))


def _seconds(names: Iterable[str], options: Mapping[str, Any]) -> float:
    """Return the time that the first of these options says; without one none, as in a set of one's own."""
    chosen = next((str(options[name]) for name in names if options.get(name)), "")
    with suppress(BadValue):
        return duration(0, math.inf)(chosen)
    return math.inf if chosen else 0.0


def _written(backend: Backend, key: str, labels: Mapping[str, str]) -> tuple[str, str]:
    """Return the label that asks for the key, and its value: that of the named route, else the short one."""
    stem, named, _ = key.partition("<name>")
    for prefix in (f"lbgen.{backend.protocol}.{backend.route}.{stem}", f"lbgen.{stem}"):
        for label in sorted(labels) if named else (prefix,):
            if key and label in labels and label.startswith(prefix):
                return label, labels[label]
    return "", ""
