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
from lbgen.proxies.capabilities import PROXIES, TABLE
from lbgen.proxies.kind import NO
from lbgen.snapshot import Snapshot


@dataclass(frozen=True, slots=True, order=True)
class Limit:
    """Something that a route asks for and its proxy cannot do, or only in part."""

    target: str
    proxy: str  # "haproxy", "nginx", "traefik"
    service: str
    route: str  # as in lbgen.http.<route>; empty for the route made of short keys
    feature: str
    level: str  # "partly" or "no"
    instead: str
    label: str = ""  # that asks for it; empty: it is a default
    value: str = ""

    def __str__(self) -> str:
        where = f"service {self.service}"
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
    """Yield what a target's proxy cannot do of what its routes ask for.

    Args:
        model: with the listeners of this target only.
        version: of the proxy's program; empty: the oldest that lbgen supports.
        options: of the target's template set, with their defaults.
        features: what the proxy's program was built with.
    """
    if proxy not in PROXIES:
        return
    labels = {service.name: service.labels for service in snapshot.services.values()}
    routes: dict[str, list[Route]] = {}
    for route in model.routes:
        routes.setdefault(route.backend, []).append(route)
    listeners = {listener.name: listener for listener in model.listeners}
    for backend in model.backends:
        for row in TABLE:
            support = row.support(proxy, version, features)
            asking = routes.get(backend.name, ())
            if support.ends and backend.timeout_idle <= _seconds(support.ends, options or {}):
                continue
            if support.instead and any(row.concerns(backend, route, listeners) for route in asking):
                label, value = _written(backend, row.key, labels.get(backend.service, {}).items())
                yield Limit(
                    target,
                    proxy,
                    backend.service,
                    backend.route,
                    row.name,
                    support.level,
                    support.instead,
                    label,
                    shown(label, value),
                )


def _seconds(names: Iterable[str], options: Mapping[str, Any]) -> float:
    """Return the time that the first of these options says; without one none, as in a set of one's own."""
    chosen = next((str(options[name]) for name in names if options.get(name)), "")
    with suppress(BadValue):
        return duration(0, math.inf)(chosen)
    return math.inf if chosen else 0.0


def _written(backend: Backend, key: str, labels: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """Return the label that asks for the key, and its value: that of the named route, else the short one."""
    known = dict(labels)
    for label in (f"lbgen.{backend.protocol}.{backend.route}.{key}", f"lbgen.{key}"):
        if key and label in known:
            return label, known[label]
    return "", ""
