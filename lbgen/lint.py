"""What owners should know before they rely on a proxy: problems, and what it cannot do of what was asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from lbgen.capabilities import NO, PROXIES, TABLE
from lbgen.model import Backend, Model, Route
from lbgen.problem import Problem, shown
from lbgen.snapshot import Snapshot


@dataclass(frozen=True, slots=True, order=True)
class Limit:
    """Something that a route asks for and its proxy cannot do, or not quite."""

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
            where += f", label {self.label}={self.value!r}"
        elif self.route:
            where += f", route {self.route}"
        how = "cannot do" if self.level == NO else "can do only in part"
        return f"{where}: {PROXIES[self.proxy]} {how}: {self.feature}; {self.instead}"


@dataclass(frozen=True, slots=True)
class Report:
    """Everything there is to say."""

    problems: tuple[Problem, ...]
    limits: tuple[Limit, ...]

    def failing(self, *, strict: bool) -> bool:
        """Tell whether something is wrong: a problem, or what a proxy cannot do at all (strict: or not quite)."""
        return bool(self.problems) or any(strict or limit.level == NO for limit in self.limits)

    def lines(self) -> Iterator[str]:
        """Say it to a person."""
        for problem in self.problems:
            yield f"problem: {problem}"
        for limit in self.limits:
            yield f"{limit.target}: {limit}"
        if not self.problems and not self.limits:
            yield "nothing to complain about"

    def document(self) -> dict[str, Any]:
        """Say it to a program."""
        return {
            "problems": [asdict(problem) | {"text": str(problem)} for problem in self.problems],
            "limits": [asdict(limit) | {"text": str(limit)} for limit in self.limits],
        }


def limits(model: Model, snapshot: Snapshot, target: str, proxy: str, version: tuple[int, ...] = ()) -> Iterator[Limit]:
    """Find what a target's proxy cannot do of what its routes ask for.

    Args:
        model: with the listeners of this target only.
        version: of the proxy's program; empty: the oldest that lbgen supports.
    """
    if proxy not in PROXIES:
        return
    labels = {service.name: service.labels for service in snapshot.services.values()}
    routes: dict[str, list[Route]] = {}
    for route in model.routes:
        routes.setdefault(route.backend, []).append(route)
    for backend in model.backends:
        for row in TABLE:
            support = row.support(proxy, version)
            if support.instead and any(row.asked(backend, route) for route in routes[backend.name]):
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


def _written(backend: Backend, key: str, labels: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """Return the label that asks for it, and its value: that of the named route, else the short key."""
    known = dict(labels)
    for label in (f"lbgen.{backend.protocol}.{backend.route}.{key}", f"lbgen.{key}"):
        if key and label in known:
            return label, known[label]
    return "", ""
