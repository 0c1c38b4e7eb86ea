"""The formats of `render`: files or differences, JSON, GitHub's and GitLab's reports."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

import click

from lbgen.base.problem import once
from lbgen.cli.output import print_json
from lbgen.model import Model
from lbgen.proxies.registry import kind_of
from lbgen.report.annotations import (
    Annotation,
    blame_annotation,
    error_annotations,
    github_lines,
    gitlab_report,
    note_annotation,
    problem_annotation,
    unmet_annotation,
    unread_annotation,
)
from lbgen.report.documents import FORMAT, item_document, note_document, problem_document
from lbgen.report.positions import Positions
from lbgen.report.preview import Outcome, PreviewOptions, unified_diff
from lbgen.report.unread import note_fails
from lbgen.snapshot import Note, Snapshot

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """The model and the source's notes, for reports."""

    model: Model
    notes: Sequence[Note]
    positions: Positions


def print_outcomes(form: str, outcomes: Sequence[Outcome], source: SourceFacts, options: PreviewOptions) -> None:
    """Print the outcomes of all targets."""
    if form == "json":
        print_json(outcomes_document(outcomes, source))
    elif form == "gitlab":
        print_json(gitlab_report(_annotations(outcomes, source, options)))
    elif form == "github":
        for outcome in outcomes:
            if outcome.difference:
                click.echo(f"::group::{outcome.target}: what would change\n{outcome.difference}::endgroup::")
        for text in github_lines(_annotations(outcomes, source, options)):
            click.echo(text)
    else:
        for outcome in outcomes:
            if options.diff:
                click.echo(coloured(outcome.difference), nl=False)
            elif outcome.files and not options.output:
                click.echo(_whole(outcome.files.texts), nl=False)


def outcomes_document(outcomes: Sequence[Outcome], source: SourceFacts) -> dict[str, Any]:
    """Return everything as JSON has it; docs/ci.md describes it."""
    return {
        "format": FORMAT,
        "problems": [problem_document(problem, source.positions) for problem in once(source.model.problems)],
        "unread": [
            item_document(item, source.positions.of(item.service, item.label))
            for item in _distinct(outcome.unread for outcome in outcomes)
        ],
        "unmet": [
            item_document(unmet, source.positions.of(unmet.service))
            for unmet in _distinct(outcome.unmet for outcome in outcomes)
        ],
        "notes": [note_document(note) for note in source.notes],
        "targets": [
            {
                "target": outcome.target,
                "proxy": outcome.proxy,
                "generation": outcome.files.generation if outcome.files else None,
                "files": dict(outcome.files.texts) if outcome.files else None,
                "checked": outcome.checked,
                "errors": [
                    {"kind": type(error).__name__, "exit_code": error.exit_code, "text": str(error)}
                    for error in outcome.errors
                ],
                "blamed": outcome.blamed,
                "difference": outcome.difference,
            }
            for outcome in outcomes
        ],
    }


class Rounds:
    """Prints each round: first the files, then what changed in them, and each time the verdict."""

    def __init__(self, form: str, options: PreviewOptions, positions: Positions) -> None:
        self._form, self._options, self._positions = form, options, positions
        self._last: dict[str, Outcome] = {}  # with files
        self._told: dict[str, tuple[object, list[str]]] = {}

    def print_outcome(self, outcome: Outcome, model: Model, snapshot: Snapshot) -> None:
        """Print an outcome. The next one is compared with the last one that had files."""
        last = self._last.get(outcome.target)
        if self._form == "json":
            now = (outcome.files, [str(error) for error in outcome.errors])
            if self._told.get(outcome.target) != now:
                self._told[outcome.target] = now
                click.echo(
                    json.dumps(outcomes_document([outcome], SourceFacts(model, snapshot.notes, self._positions)))
                )
            return
        change = _change(last, outcome) if last else ""
        if self._options.diff:
            click.echo(coloured(outcome.difference), nl=False)
        elif outcome.files and not self._options.output:
            click.echo(coloured(change) if last else _whole(outcome.files.texts), nl=False)
        click.echo(_verdict(outcome, last, change), err=True)
        if outcome.files:
            self._last[outcome.target] = outcome


def coloured(difference: str) -> str:
    """Return a unified diff in the usual colours."""
    colours = {"+": "green", "-": "red", "@": "cyan"}
    lines = []
    for line in difference.splitlines(keepends=True):
        heading = line.startswith(("--- ", "+++ "))
        lines.append(click.style(line, fg=colours.get(line[0]) if not heading else None, bold=heading))
    return "".join(lines)


def _change(last: Outcome, outcome: Outcome) -> str:
    if not last.files or not outcome.files:
        return ""
    before, after = last.files, outcome.files
    # The generation is in the text, but it is never what changed.
    old = {name: text.replace(before.generation, after.generation) for name, text in before.texts.items()}
    return "".join(unified_diff(old, after.texts, lambda name: (f"before/{name}", f"after/{name}")))


def _verdict(outcome: Outcome, last: Outcome | None, change: str) -> str:
    """Return ``== edge: +1 -2 lines; HAProxy accepts it (23 ms)``, or the errors."""
    head, name = click.style(f"== {outcome.target}: ", bold=True), kind_of(outcome.proxy).title or "the checker"
    if outcome.errors:
        refused = click.style("\n".join(filter(None, [*map(str, outcome.errors), blame(outcome)])), fg="red")
        return f"{head}{refused}"
    lines = change.splitlines()
    more = sum(line.startswith("+") and not line.startswith("+++ ") for line in lines)
    less = sum(line.startswith("-") and not line.startswith("--- ") for line in lines)
    what = "rendered" if last is None else f"+{more} -{less} lines" if change else "as before"
    verdict = f"; {name} accepts it" if outcome.checked else ""
    return head + click.style(f"{what}{verdict} ({outcome.seconds * 1000:.0f} ms)", fg="green")


def blame(outcome: Outcome) -> str:
    """Return which services a refusal is due to; empty if it is not due to services."""
    return f"without service {', '.join(outcome.blamed)} the rest is accepted" if outcome.blamed else ""


def _whole(texts: Mapping[str, str]) -> str:
    return "".join(f"# ======== {name} ========\n{text}" for name, text in texts.items())


def _distinct(items: Iterable[Iterable[T]]) -> list[T]:
    """Return the items of all targets, each once."""
    return list(dict.fromkeys(chain.from_iterable(items)))


def _annotations(outcomes: Sequence[Outcome], source: SourceFacts, options: PreviewOptions) -> Iterator[Annotation]:
    for problem in once(source.model.problems):
        yield problem_annotation(problem, source.positions, failing=options.strict)
    read = source.model.basis.rules.dialects if source.model.basis else ()
    for note in source.notes:
        yield note_annotation(note, failing=note_fails(note, read, strict=options.strict))
    for item in _distinct(outcome.unread for outcome in outcomes):
        yield unread_annotation(item, source.positions, failing=options.strict and item.failing(strict=True))
    for unmet in _distinct(outcome.unmet for outcome in outcomes):
        yield unmet_annotation(unmet, source.positions)
    for outcome in outcomes:
        for error in outcome.errors:
            yield from error_annotations(error, outcome.difference)
        for service in outcome.blamed:
            yield blame_annotation(service, outcome.target, source.positions)
