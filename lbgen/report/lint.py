"""What `lbgen lint` reports: problems, notes on files, unread labels, limits of proxies, and what is not routed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from lbgen.base.problem import Problem, label_text, once
from lbgen.base.terminal import folded
from lbgen.model import Model, Rules
from lbgen.model.types import Closed
from lbgen.proxies.kind import NO
from lbgen.report.closed import closed_documents, closed_text
from lbgen.report.documents import FORMAT, item_document, note_document, problem_document
from lbgen.report.doubts import doubts
from lbgen.report.expected import Expected, Unmet
from lbgen.report.limits import Limit
from lbgen.report.positions import Positions, short_path
from lbgen.report.taken import remarks
from lbgen.report.unread import ALWAYS, Unread, note_fails, unread_labels
from lbgen.snapshot import Note, Snapshot


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of the report as text, before it is folded."""

    kind: str
    head: str  # the label, the route or the place that it is about
    what: str
    service: str = ""
    label: str = ""
    node: str = ""
    file: str = ""
    line: int = 0

    def lines(self, positions: Positions) -> list[str]:
        """Return the row folded, with the place where it is written."""
        text = f"{self.head}: {self.what}" if self.head else self.what
        if self.file:
            place = f"{short_path(self.file)}:{self.line}: " if self.line else ""
        else:
            position = positions.of(self.service, self.label, self.node)
            place = f"{position.file}:{position.line}: " if position else ""
        return folded(text, f"{place or '  '}{self.kind}: ", "    ")


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that lint reports."""

    problems: tuple[Problem, ...]  # but for notes
    limits: tuple[Limit, ...]
    unread: tuple[Unread, ...] = ()
    notes: tuple[Note, ...] = ()  # about the files that the snapshot was read from
    remarks: tuple[Problem, ...] = ()  # what services should know of each other; nothing is wrong
    closed: tuple[Closed, ...] = ()  # requests that are refused, since a route for them cannot be honoured
    services: int = 0  # in the cluster
    routed: int = 0  # of these, that get traffic by a route, or a share of one's
    doubts: tuple[Problem, ...] = ()  # what is read, and probably not meant
    left_out: tuple[Problem, ...] = ()  # what served routes go without, or take otherwise than their labels say
    unmet: tuple[Unmet, ...] = ()
    read: tuple[str, ...] = ()  # the dialects that are read

    def failing(self, *, strict: bool) -> bool:
        """Tell whether something is wrong: with labels, for `docker stack deploy`, the proxies, or what is expected.

        Args:
            strict: also count what a proxy can do only in part, what is left out, labels that are not read, and doubts.
        """
        return bool(
            self.problems
            or self.unmet
            or (strict and (self.doubts or self.left_out))
            or any(note_fails(note, self.read, strict=strict) for note in self.notes)
            or any(strict or limit.level == NO for limit in self.limits)
            or any(item.failing(strict=strict) for item in self.unread)
        )

    def lines(self, positions: Positions) -> Iterator[str]:
        """Yield the report as text, one section for each service, node or file, with a summary at the end.

        What is written in a file begins with FILE:LINE, where editors jump to.
        """
        sections: dict[str, list[_Row]] = {}
        for whose, row in self._rows():
            sections.setdefault(whose, []).append(row)
        for whose in sorted(sections):
            yield whose
            for row in dict.fromkeys(sections[whose]):
                yield from row.lines(positions)
            yield ""
        yield self.summary

    def _rows(self) -> Iterator[tuple[str, _Row]]:
        """Yield everything with whose it is, in the order in which a section has it."""
        for problem in self.problems:
            head = label_text(problem.label, problem.value) if problem.label else _of_route(problem)
            row = _Row("problem", head, problem.what, problem.service, problem.label, problem.node, problem.file)
            yield problem.whose, row
        for closed in self.closed:
            yield f"service {closed.service}", _Row("closed", "", closed_text(closed), closed.service)
        for limit, routes in _by_route(self.limits):
            head = label_text(limit.label, limit.value) if limit.label else routes
            yield limit.whose, _Row(limit.target, head, limit.what, limit.service, limit.label)
        for remark in self.remarks:
            yield remark.whose, _Row("note", _of_route(remark), remark.what, remark.service, remark.label)
        for note in (*self.left_out, *self.doubts):
            head = label_text(note.label, note.value) if note.label else ""
            yield note.whose, _Row("note", head, note.what, note.service, note.label)
        for item in self.unread:
            kind = "problem" if item.fails == ALWAYS else "note"
            row = _Row(kind, f"label {item.label}", item.message, item.service, item.label)
            yield f"service {item.service}", row
        for unmet in self.unmet:
            if unmet.service:
                yield f"service {unmet.service}", _Row("required", "", unmet.message, unmet.service)
        for about in self.notes:
            kind = "refused by docker stack deploy" if about.refused else "note"
            yield f"file {about.file}", _Row(kind, about.place, about.what, file=about.file, line=about.line)

    @property
    def summary(self) -> str:
        """The whole report in one line."""
        no = sum(limit.level == NO for limit in self.limits)
        counts = (
            (len(self.problems), "problem"),
            (sum(note.refused for note in self.notes), "thing that docker stack deploy refuses"),
            (no, "thing that a proxy cannot do"),
            (len(self.limits) - no, "thing that a proxy can do only in part"),
            (len(self.left_out), "note on labels"),
            (len(self.doubts), "thing that is probably a mistake"),
            (sum(item.fails == ALWAYS for item in self.unread), "service that nothing enables"),
            (sum(item.fails != ALWAYS for item in self.unread), "label that is not read"),
            (sum(bool(unmet.service) for unmet in self.unmet), "service required and not routed"),
        )
        said = [f"{count} {_plural(what) if count > 1 else what}" for count, what in counts if count]
        empty = " (--allow-empty accepts that)" if any(not unmet.service for unmet in self.unmet) else ""
        fine = "" if empty else "nothing to complain about"
        told = [f"{self.routed} of {self.services} services routed{empty}", ", ".join(said) or fine]
        return "; ".join(filter(None, told))

    def document(self, positions: Positions) -> dict[str, Any]:
        """Return the report as JSON has it; docs/ci.md describes it."""
        return {
            "format": FORMAT,
            "services": self.services,
            "routed": self.routed,
            "problems": [problem_document(problem, positions) for problem in self.problems],
            "closed": closed_documents(self.closed),
            "limits": [item_document(limit, positions.of(limit.service, limit.label)) for limit in self.limits],
            "unread": [item_document(item, positions.of(item.service, item.label)) for item in self.unread],
            "unmet": [item_document(unmet, positions.of(unmet.service)) for unmet in self.unmet],
            "left_out": [problem_document(note, positions) for note in self.left_out],
            "doubts": [problem_document(doubt, positions) for doubt in self.doubts],
            "notes": [note_document(note) for note in self.notes],
            "remarks": [problem_document(remark, positions) for remark in self.remarks],
        }


def lint_report(snapshot: Snapshot, model: Model, limits: Iterable[Limit], expected: Expected, rules: Rules) -> Report:
    """Return the report.

    Args:
        expected: what the caller wants to be routed.
        rules: the settings that labels are read with.
    """
    problems = once(model.problems)
    return Report(
        tuple(problem for problem in problems if not problem.note),
        tuple(limits),
        tuple(unread_labels(snapshot, rules.label_context())),
        snapshot.notes,
        remarks(model),
        closed=model.closed,
        left_out=tuple(problem for problem in problems if problem.note),
        doubts=tuple(doubts(snapshot, rules.label_context())),
        services=len(snapshot.services),
        routed=len(expected.routed(model)),
        unmet=tuple(expected.unmet(snapshot, model)),
        read=rules.dialects,
    )


def _of_route(problem: Problem) -> str:
    return f"route {problem.route}" if problem.route not in ("", problem.service) else ""


def _by_route(limits: Iterable[Limit]) -> Iterator[tuple[Limit, str]]:
    """Yield each limit once that is the same for several routes of a service, with these routes."""
    routes: dict[Limit, list[str]] = {}
    for limit in limits:
        routes.setdefault(replace(limit, route=""), []).append(limit.route)
    for limit, names in routes.items():
        told = ", ".join(filter(None, dict.fromkeys(names)))
        yield limit, f"{'routes' if ', ' in told else 'route'} {told}" if told else ""


def _plural(what: str) -> str:
    first, _, rest = what.partition(" ")
    return f"{first}s {rest}".rstrip()
