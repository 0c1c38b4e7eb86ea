"""`lbgen render`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from lbgen.base.logs import log
from lbgen.cli import render_text
from lbgen.cli.options import REPORT, Given, annotated, given, places_of, taken
from lbgen.daemon import assembly
from lbgen.daemon.live_reload import Following, stopped_by_signals
from lbgen.report.preview import Preview, Wishes
from lbgen.settings import Settings


@click.command()
@given()
@click.option("--once", is_flag=True, help="Render once and exit; without it, again after every change.")
@click.option("-o", "output", metavar="DIR|-", default="-", help="Where the files go. Default: -, standard output.")
@click.option("--check", is_flag=True, help="Have the proxy's own binary check the result (exit code 3).")
@click.option(
    "--diff", type=click.Path(path_type=Path), metavar="DIR", help="Show what differs from these files (exit code 6)."
)
@click.option("--strict", is_flag=True, help="Fail if any service has a problem (exit code 5).")
@REPORT
def render(common: Given, once: bool, output: str, check: bool, diff: Path | None, strict: bool, form: str) -> None:
    """Print or write the configuration lbgen would apply; apply nothing.

    Without --once it is rendered again whenever the source, a template, the settings or a certificate changes: what
    changed in the files goes to standard output, the verdict to standard error.
    """
    if form in ("github", "gitlab") and not once:
        raise click.UsageError(f"--output {form} is for --once: a report has an end")
    wishes = Wishes(None if output == "-" else Path(output), check, diff, strict)
    with annotated(form):
        if once:
            _once(common, wishes, form)
        else:
            _follow(common, wishes, form)


def _once(common: Given, wishes: Wishes, form: str) -> None:
    settings = common.chosen("warning")
    previews = _previews(settings, wishes)
    snapshot, model = taken(settings)
    if form != "github":  # which shows them itself
        for note in snapshot.notes:
            log.warning("note", note=str(note), refused=note.refused)
        for problem in model.problems:
            log.warning("problem", problem=str(problem))
    outcomes = [preview.judged(model, snapshot) for preview in previews.values()]
    render_text.once(form, outcomes, render_text.Source(model, snapshot.notes, places_of(settings)), wishes)
    for outcome in outcomes:
        for line in render_text.blame(outcome):
            log.error("blamed", target=outcome.target, reason=line)
    failures = [outcome.errors[0] for outcome in outcomes if outcome.errors]
    if failures:
        raise min(failures, key=lambda error: error.exit_code)


def _follow(common: Given, wishes: Wishes, form: str) -> None:
    inbox = stopped_by_signals()
    settings = common.chosen("warning")
    rounds = render_text.Rounds(form, wishes, places_of(settings))
    previews = _previews(settings, wishes, rounds)
    source = assembly.source_of(settings)
    read = partial(common.chosen, "warning")
    Following(source, previews, settings, read, assembly.preview_of, common.file, inbox).run()


def _previews(settings: Settings, wishes: Wishes, rounds: render_text.Rounds | None = None) -> dict[str, Preview]:
    """Return a preview of each target; of several, each has a directory of its own."""
    previews = {}
    for name, target in settings.targets.items():
        own = wishes
        if len(settings.targets) > 1:
            output, diff = (path / name if path else None for path in (wishes.output, wishes.diff))
            own = replace(wishes, output=output, diff=diff)
        renderer, check = assembly.preview_of(name, target, settings)
        previews[name] = Preview(name, renderer, check, own, *([rounds.tell] if rounds else []))
    return previews
