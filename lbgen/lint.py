"""What owners should know before they rely on a proxy: problems, notes on files, and what it cannot do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from lbgen.capabilities import NO, PROXIES, TABLE
from lbgen.model import Backend, Model, Route
from lbgen.places import Place, Places
from lbgen.problem import Problem, printable
from lbgen.snapshot import Note, Snapshot

FORMAT = 1  # of the JSON documents of lint and render: fields may be added, else it is another number


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
    notes: tuple[Note, ...] = ()  # of the snapshot

    def failing(self, *, strict: bool) -> bool:
        """Tell whether something is wrong: a problem, what `docker stack deploy` refuses, or what a proxy cannot do.

        Args:
            strict: count what it can do only in part as well.
        """
        refused = any(note.refused for note in self.notes)
        return bool(self.problems) or refused or any(strict or limit.level == NO for limit in self.limits)

    def lines(self) -> Iterator[str]:
        """Say it to a person."""
        for problem in self.problems:
            yield f"problem: {problem}"
        for note in self.notes:
            yield f"{'refused' if note.refused else 'note'}: {note}"
        for limit in self.limits:
            yield f"{limit.target}: {limit}"
        if not self.problems and not self.limits and not self.notes:
            yield "nothing to complain about"

    def document(self, places: Places) -> dict[str, Any]:
        """Say it to a program. docs/ci.md describes it."""
        return {
            "format": FORMAT,
            "problems": [problem_document(problem, places) for problem in self.problems],
            "notes": [asdict(note) | {"text": str(note)} for note in self.notes],
            "limits": [
                asdict(limit) | {"text": str(limit), "place": place_document(places.of(limit.service, limit.label))}
                for limit in self.limits
            ],
        }


def problem_document(problem: Problem, places: Places) -> dict[str, Any]:
    """Return a problem, its text, and its place in the source."""
    place = places.of(problem.service, problem.label, problem.node)
    return asdict(problem) | {"text": str(problem), "place": place_document(place)}


def place_document(place: Place | None) -> dict[str, Any] | None:
    """Return ``{"file": ..., "line": ...}``, or None where the source has no lines, as Docker has none."""
    return asdict(place) if place else None


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
                    printable(value),
                )


def _written(backend: Backend, key: str, labels: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """Return the label that asks for it, and its value: that of the named route, else the short key."""
    known = dict(labels)
    for label in (f"lbgen.{backend.protocol}.{backend.route}.{key}", f"lbgen.{key}"):
        if key and label in known:
            return label, known[label]
    return "", ""
