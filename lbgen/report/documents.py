"""What the JSON documents of `lint` and `render` have in common; docs/ci.md describes them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lbgen.base.problem import Problem
from lbgen.report.positions import Position, Positions
from lbgen.snapshot import Note

if TYPE_CHECKING:
    from lbgen.report.expected import Unmet
    from lbgen.report.limits import Limit
    from lbgen.report.unread import Unread

FORMAT = 1  # of the JSON documents of lint and render: fields may be added, else it is another number


def problem_document(problem: Problem, positions: Positions) -> dict[str, Any]:
    """Return a problem as JSON has it, with its text and position."""
    return item_document(problem, positions.of(problem.service, problem.label, problem.node))


def note_document(note: Note) -> dict[str, Any]:
    """Return a note as JSON has it, with its text."""
    return asdict(note) | {"text": str(note)}


def item_document(item: Problem | Limit | Unread | Unmet, position: Position | None) -> dict[str, Any]:
    """Return an item with its text and its position: ``{"file": ..., "line": ...}``, or None, as in Docker."""
    return asdict(item) | {"text": str(item), "place": asdict(position) if position else None}
