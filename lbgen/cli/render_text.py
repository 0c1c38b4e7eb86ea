"""The forms in which `render` says what came of it: files or differences, JSON, GitHub's and GitLab's reports."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from lbgen.model import Model
from lbgen.proxies.capabilities import PROXIES
from lbgen.report import annotations as findings
from lbgen.report.annotations import Finding
from lbgen.report.lint import FORMAT, note_document, problem_document
from lbgen.report.positions import Places
from lbgen.report.preview import Outcome, Wishes, compared
from lbgen.snapshot import Note, Snapshot


@dataclass(frozen=True, slots=True)
class Source:
    """What was rendered, as far as there is something to say of it."""

    model: Model
    notes: Sequence[Note]
    places: Places


def once(form: str, outcomes: Sequence[Outcome], source: Source, wishes: Wishes) -> None:
    """Print what came of all targets."""
    if form == "json":
        click.echo(json.dumps(document(outcomes, source), indent=2))
    elif form == "gitlab":
        click.echo(json.dumps(findings.gitlab(_findings(outcomes, source, wishes)), indent=2))
    elif form == "github":
        for outcome in outcomes:
            if outcome.difference:
                click.echo(f"::group::{outcome.target}: what would change\n{outcome.difference}::endgroup::")
        for text in findings.github(_findings(outcomes, source, wishes)):
            click.echo(text)
    else:
        for outcome in outcomes:
            if wishes.diff:
                click.echo(coloured(outcome.difference), nl=False)
            elif outcome.files and not wishes.output:
                click.echo(_whole(outcome.files.texts), nl=False)


def document(outcomes: Iterable[Outcome], source: Source) -> dict[str, Any]:
    """Return everything as one document. docs/ci.md describes it."""
    return {
        "format": FORMAT,
        "problems": [problem_document(problem, source.places) for problem in source.model.problems],
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
    """Tells a person what came of each round: the files, then what changed, and each time the verdict."""

    def __init__(self, form: str, wishes: Wishes, places: Places) -> None:
        self._form, self._wishes, self._places = form, wishes, places
        self._last: dict[str, Outcome] = {}  # with files
        self._told: dict[str, tuple[object, list[str]]] = {}

    def tell(self, outcome: Outcome, model: Model, snapshot: Snapshot) -> None:
        """Say what came of it. What has no files leaves those before as what the next are compared with."""
        last = self._last.get(outcome.target)
        if self._form == "json":
            now = (outcome.files, [str(error) for error in outcome.errors])
            if self._told.get(outcome.target) != now:
                self._told[outcome.target] = now
                click.echo(json.dumps(document([outcome], Source(model, snapshot.notes, self._places))))
            return
        change = _change(last, outcome) if last else ""
        if self._wishes.diff:
            click.echo(coloured(outcome.difference), nl=False)
        elif outcome.files and not self._wishes.output:
            click.echo(coloured(change) if last else _whole(outcome.files.texts), nl=False)
        click.echo(_verdict(outcome, last, change), err=True)
        if outcome.files:
            self._last[outcome.target] = outcome


def coloured(difference: str) -> str:
    """Return a unified diff with the usual colours; where no terminal is, click drops them."""
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
    return "".join(compared(old, after.texts, lambda name: (f"before/{name}", f"after/{name}")))


def _verdict(outcome: Outcome, last: Outcome | None, change: str) -> str:
    """Return ``== edge: +1 -2 lines; HAProxy accepts it (23 ms)``, or what is wrong, in colour."""
    head, name = click.style(f"== {outcome.target}: ", bold=True), PROXIES.get(outcome.proxy, "the checker")
    if outcome.errors:
        refused = click.style("\n".join([*map(str, outcome.errors), *blame(outcome)]), fg="red")
        return f"{head}{refused}"
    lines = change.splitlines()
    more = sum(line.startswith("+") and not line.startswith("+++ ") for line in lines)
    less = sum(line.startswith("-") and not line.startswith("--- ") for line in lines)
    what = "rendered" if last is None else f"+{more} -{less} lines" if change else "as before"
    verdict = f"; {name} accepts it" if outcome.checked else ""
    return head + click.style(f"{what}{verdict} ({outcome.seconds * 1000:.0f} ms)", fg="green")


def blame(outcome: Outcome) -> list[str]:
    """Return a line about the services that a refusal is to be blamed on, if it is."""
    return [f"without service {', '.join(outcome.blamed)} the rest is accepted"] if outcome.blamed else []


def _whole(texts: Mapping[str, str]) -> str:
    return "".join(f"# ======== {name} ========\n{text}" for name, text in texts.items())


def _findings(outcomes: Iterable[Outcome], source: Source, wishes: Wishes) -> list[Finding]:
    problems = source.model.problems
    found = [findings.of_problem(problem, source.places, failing=wishes.strict) for problem in problems]
    found += map(findings.of_note, source.notes)
    for outcome in outcomes:
        for error in outcome.errors:
            found += findings.of_error(error, outcome.difference)
        found += [findings.of_blamed(service, outcome.target, source.places) for service in outcome.blamed]
    return found
