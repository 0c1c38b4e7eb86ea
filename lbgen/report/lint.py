"""What `lbgen lint` reports: problems, notes on files, unread labels, limits of proxies, and what is not routed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from lbgen.base.problem import Problem, label_text
from lbgen.base.terminal import folded
from lbgen.model import Model, Rules
from lbgen.model.types import Closed
from lbgen.proxies.kind import NO
from lbgen.report.closed import closed_documents, closed_text
from lbgen.report.documents import FORMAT, item_document, note_document, problem_document
from lbgen.report.expected import Expected, Unmet
from lbgen.report.limits import Limit
from lbgen.report.positions import Positions
from lbgen.report.taken import remarks
from lbgen.report.unread import ALWAYS, Unread, note_fails, unread_labels
from lbgen.snapshot import Note, Snapshot


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that lint reports."""

    problems: tuple[Problem, ...]
    limits: tuple[Limit, ...]
    unread: tuple[Unread, ...] = ()
    notes: tuple[Note, ...] = ()  # about the files that the snapshot was read from
    remarks: tuple[Problem, ...] = ()  # what services should know of each other; nothing is wrong
    closed: tuple[Closed, ...] = ()  # requests that are refused, since a route for them cannot be honoured
    services: int = 0  # in the cluster
    routed: int = 0  # of these, that get traffic by a route, or a share of one's
    unmet: tuple[Unmet, ...] = ()
    read: tuple[str, ...] = ()  # the dialects that are read

    def failing(self, *, strict: bool) -> bool:
        """Tell whether something is wrong: with labels, for `docker stack deploy`, the proxies, or what is expected.

        Args:
            strict: also count what a proxy can do only in part, and labels that are not read.
        """
        return bool(
            self.problems
            or self.unmet
            or any(note_fails(note, self.read, strict=strict) for note in self.notes)
            or any(strict or limit.level == NO for limit in self.limits)
            or any(item.failing(strict=strict) for item in self.unread)
        )

    def lines(self) -> Iterator[str]:
        """Yield the report as text, one section for each service, node or file, with a summary at the end."""
        rows: dict[str, list[tuple[str, str, str]]] = {}
        for problem in self.problems:
            route = f"route {problem.route}" if problem.route not in ("", problem.service) else ""
            head = label_text(problem.label, problem.value) if problem.label else route
            rows.setdefault(problem.whose, []).append(("problem", head, problem.what))
        for closed in self.closed:
            rows.setdefault(f"service {closed.service}", []).append(("closed", "", closed_text(closed)))
        for limit in self.limits:
            head = label_text(limit.label, limit.value) if limit.label else f"route {limit.route}" * bool(limit.route)
            rows.setdefault(limit.whose, []).append((limit.target, head, limit.what))
        for remark in self.remarks:
            head = f"route {remark.route}" if remark.route not in ("", remark.service) else ""
            rows.setdefault(remark.whose, []).append(("note", head, remark.what))
        for item in self.unread:
            kind = "problem" if item.fails == ALWAYS else "note"
            rows.setdefault(f"service {item.service}", []).append((kind, f"label {item.label}", item.message))
        for unmet in self.unmet:
            if unmet.service:
                rows.setdefault(f"service {unmet.service}", []).append(("required", "", unmet.message))
        for note in self.notes:
            kind = "refused by docker stack deploy" if note.refused else "note"
            head = ", ".join(filter(None, (f"line {note.line}" if note.line else "", note.place)))
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
            (sum(item.fails == ALWAYS for item in self.unread), "service that nothing enables"),
            (sum(item.fails != ALWAYS for item in self.unread), "label that is not read"),
            (sum(bool(unmet.service) for unmet in self.unmet), "service required and not routed"),
        )
        said = [f"{count} {_plural(what) if count > 1 else what}" for count, what in counts if count]
        empty = ", which --allow-empty accepts" if any(not unmet.service for unmet in self.unmet) else ""
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
            "notes": [note_document(note) for note in self.notes],
            "remarks": [problem_document(remark, positions) for remark in self.remarks],
        }


def lint_report(snapshot: Snapshot, model: Model, limits: Iterable[Limit], expected: Expected, rules: Rules) -> Report:
    """Return the report.

    Args:
        expected: what the caller wants to be routed.
        rules: the settings that labels are read with.
    """
    return Report(
        model.problems,
        tuple(limits),
        tuple(unread_labels(snapshot, rules.label_context())),
        snapshot.notes,
        remarks(model),
        closed=model.closed,
        services=len(snapshot.services),
        routed=len(expected.routed(model)),
        unmet=tuple(expected.unmet(snapshot, model)),
        read=rules.dialects,
    )


def _plural(what: str) -> str:
    first, _, rest = what.partition(" ")
    return f"{first}s {rest}".rstrip()
