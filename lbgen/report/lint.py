"""What `lbgen lint` reports: problems, notes on files, labels that are not read, and what proxies cannot do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lbgen.base.problem import Problem, label_text, printable, shown
from lbgen.base.terminal import folded
from lbgen.labels.dialects import DIALECTS, dialect_of
from lbgen.labels.suggestions import meant
from lbgen.model import Backend, Model, Route
from lbgen.proxies.capabilities import PROXIES, TABLE
from lbgen.proxies.kind import NO
from lbgen.report.documents import FORMAT, item_document, note_document, problem_document
from lbgen.report.positions import Positions
from lbgen.report.taken import remarks
from lbgen.snapshot import Note, Snapshot


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


@dataclass(frozen=True, slots=True, order=True)
class Unread:
    """A label that is not read, although its author may have meant it to be."""

    service: str
    label: str
    message: str

    def __str__(self) -> str:
        return f"service {self.service}, label {self.label}: {self.message}"


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that lint reports."""

    problems: tuple[Problem, ...]
    limits: tuple[Limit, ...]
    unread: tuple[Unread, ...] = ()
    notes: tuple[Note, ...] = ()  # about the files that the snapshot was read from
    remarks: tuple[Problem, ...] = ()  # what services should know of each other; nothing is wrong
    services: int = 0  # in the cluster
    routed: int = 0  # of these, that have a route or a share of one

    def failing(self, *, strict: bool) -> bool:
        """Tell whether there is a problem, something that `docker stack deploy` refuses or that a proxy cannot do.

        Args:
            strict: also count what a proxy can do only in part.
        """
        refused = any(note.refused for note in self.notes)
        return bool(self.problems) or refused or any(strict or limit.level == NO for limit in self.limits)

    def lines(self) -> Iterator[str]:
        """Yield the report as text, one section for each service, node or file, with a summary at the end."""
        rows: dict[str, list[tuple[str, str, str]]] = {}
        for problem in self.problems:
            route = f"route {problem.route}" if problem.route not in ("", problem.service) else ""
            head = label_text(problem.label, problem.value) if problem.label else route
            rows.setdefault(problem.whose, []).append(("problem", head, problem.what))
        for limit in self.limits:
            head = label_text(limit.label, limit.value) if limit.label else f"route {limit.route}" * bool(limit.route)
            rows.setdefault(f"service {limit.service}", []).append((limit.target, head, limit.what))
        for remark in self.remarks:
            head = f"route {remark.route}" if remark.route not in ("", remark.service) else ""
            rows.setdefault(remark.whose, []).append(("note", head, remark.what))
        for unread in self.unread:
            rows.setdefault(f"service {unread.service}", []).append(("note", f"label {unread.label}", unread.message))
        for note in self.notes:
            kind = "refused by docker stack deploy" if note.refused else "note"
            head = f"line {note.line}, {note.place}" if note.line else note.place
            rows.setdefault(f"file {note.file}", []).append((kind, head, note.what))
        for whose in sorted(rows):
            yield whose
            for kind, head, what in dict.fromkeys(rows[whose]):
                yield from folded(f"{head}: {what}" if head else what, f"  {kind}: ", "    ")
            yield ""
        yield self.summary

    @property
    def summary(self) -> str:
        """The whole report in one line."""
        no = sum(limit.level == NO for limit in self.limits)
        counts = (
            (len(self.problems), "problem"),
            (sum(note.refused for note in self.notes), "thing that docker stack deploy refuses"),
            (no, "thing that a proxy cannot do"),
            (len(self.limits) - no, "thing that a proxy can do only in part"),
            (len(self.unread), "label that may be misspelt, or of a dialect that is not read"),
        )
        said = [f"{count} {_plural(what) if count > 1 else what}" for count, what in counts if count]
        return f"{self.routed} of {self.services} services routed; {', '.join(said) or 'nothing to complain about'}"

    def document(self, positions: Positions) -> dict[str, Any]:
        """Return the report as JSON has it; docs/ci.md describes it."""
        return {
            "format": FORMAT,
            "services": self.services,
            "routed": self.routed,
            "problems": [problem_document(problem, positions) for problem in self.problems],
            "limits": [item_document(limit, positions.of(limit.service, limit.label)) for limit in self.limits],
            "unread": [item_document(unread, positions.of(unread.service, unread.label)) for unread in self.unread],
            "notes": [note_document(note) for note in self.notes],
            "remarks": [problem_document(remark, positions) for remark in self.remarks],
        }


def lint_report(snapshot: Snapshot, model: Model, limits: Iterable[Limit], read: Sequence[str]) -> Report:
    """Return the report.

    Args:
        read: the dialects that are read.
    """
    routed = {route.service for route in model.routes}
    routed |= {server.name.partition(".")[0] for server in model.servers}  # a member of a group may have no route
    return Report(
        model.problems,
        tuple(limits),
        tuple(unread(snapshot, read)),
        snapshot.notes,
        remarks(model),
        len(snapshot.services),
        len(routed),
    )


def unread(snapshot: Snapshot, read: Sequence[str]) -> Iterator[Unread]:
    """Yield labels with the name of a key misspelt, and, once for each service, those of dialects that are not read."""
    for service in sorted(snapshot.services.values(), key=lambda service: (service.name, service.id)):
        name = printable(service.name)
        for dialect in DIALECTS.values():
            first = next(filter(dialect.owns, sorted(service.labels)), None)
            if first is not None and dialect.name not in read:
                message = f"is of dialect {dialect.name}, which setting discovery.dialects does not have"
                yield Unread(name, printable(first), message)
        for label in sorted(service.labels):
            if not dialect_of(label) and (other := meant(label, read)):
                yield Unread(name, printable(label), f"is not read; did you mean {other}?")


def _plural(what: str) -> str:
    first, _, rest = what.partition(" ")
    return f"{first}s {rest}".rstrip()


def limits(model: Model, snapshot: Snapshot, target: str, proxy: str, version: tuple[int, ...] = ()) -> Iterator[Limit]:
    """Yield what a target's proxy cannot do of what its routes ask for.

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
            if support.instead and any(row.asked(backend, route) for route in routes.get(backend.name, ())):
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
    """Return the label that asks for the key, and its value: that of the named route, else the short one."""
    known = dict(labels)
    for label in (f"lbgen.{backend.protocol}.{backend.route}.{key}", f"lbgen.{key}"):
        if key and label in known:
            return label, known[label]
    return "", ""
