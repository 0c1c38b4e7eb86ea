"""`lbgen render`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from lbgen.base import problem as problems
from lbgen.base.logs import log
from lbgen.cli import render_text
from lbgen.cli.options import ALLOW_EMPTY, REQUIRE, CommonOptions, annotated_errors, common_options, read_source
from lbgen.cli.output import REPORT
from lbgen.daemon import assembly
from lbgen.daemon.assembly import Assembly
from lbgen.report.positions import Positions
from lbgen.report.preview import Preview, PreviewOptions
from lbgen.settings import Settings


@click.command()
@common_options()
@click.option("--once", is_flag=True, help="Render once and exit. Default: again after every change.")
@click.option(
    "-o",
    "output",
    metavar="DIR|-",
    default="-",
    help="Directory for the files, left as it is if anything is refused. Default: standard output.",
)
@click.option("--check", is_flag=True, help="Have the proxy's own binary check the result (exit code 3).")
@click.option(
    "--diff", type=click.Path(path_type=Path), metavar="DIR", help="Show how the files in DIR differ (exit code 6)."
)
@click.option(
    "--strict",
    is_flag=True,
    help="Fail if a service has a problem, a label is not read, or no service is routed (exit code 5).",
)
@REQUIRE
@ALLOW_EMPTY
@REPORT
def render(
    common: CommonOptions,
    once: bool,
    output: str,
    check: bool,
    diff: Path | None,
    strict: bool,
    require: tuple[str, ...],
    allow_empty: bool,
    form: str,
) -> None:
    """Print or write the configuration; apply nothing.

    Without --once it is rendered again whenever the source, a template, the settings or a certificate changes: the
    changes of the files go to standard output, the verdicts to standard error. There is no past: a label with a
    mistake closes its route, though `lbgen run` may serve the labels before it.

    \b
    Exit codes with --once (the first that applies):
      0  rendered
      3  a template failed, or the checker refused the files
      5  --strict: a service has a problem, nothing enables it, or a label of its is not read where 'lbgen lint
         --strict' fails, too; no service is routed (--allow-empty accepts that); --require: one of these is not
      6  --diff: the files differ
    """
    if form in ("github", "gitlab") and not once:
        raise click.UsageError(f"--output {form} needs --once: a report has an end")
    options = PreviewOptions(None if output == "-" else Path(output), check, diff, strict, require, allow_empty)
    with annotated_errors(form):
        if once:
            _once(common, options, form)
        else:
            _follow(common, options, form)


def _once(common: CommonOptions, options: PreviewOptions, form: str) -> None:
    settings = common.settings_with_targets("warning")
    previews = _previews(settings, options)
    proxies = {preview.renderer.templates.manifest.proxy for preview in previews.values()}
    snapshot, model = read_source(settings, proxies)
    if form != "github":  # which shows them itself
        for note in snapshot.notes:
            log.warning("note", note=str(note), refused=note.refused)
        for problem in problems.once(model.problems):
            name = "note" if problem.note else "problem"
            log.warning(name, **{name: str(problem)})
    outcomes = [preview.judge(model, snapshot) for preview in previews.values()]
    if not any(outcome.refused for outcome in outcomes):
        outcomes = [preview.write(outcome) for preview, outcome in zip(previews.values(), outcomes, strict=True)]
    elif options.output:
        log.warning("not_written", directory=str(options.output), effect="the files there are as they were")
    facts = render_text.SourceFacts(model, snapshot.notes, Positions(settings.source_files))
    render_text.print_outcomes(form, outcomes, facts, options)
    for outcome in outcomes:
        if reason := render_text.blame(outcome):
            log.error("blamed", target=outcome.target, reason=reason)
    failures = [outcome.errors[0] for outcome in outcomes if outcome.errors]
    if failures:
        raise min(failures, key=lambda error: error.exit_code)


def _follow(common: CommonOptions, options: PreviewOptions, form: str) -> None:
    from lbgen.daemon.live_reload import LiveReload, stopped_by_signals  # here: --once does without the loop

    inbox = stopped_by_signals()
    settings = common.settings_with_targets("warning")
    rounds = render_text.Rounds(form, options, Positions(settings.source_files))
    previews = _previews(settings, options, rounds)
    source = assembly.source(settings)
    read = partial(common.settings_with_targets, "warning")
    LiveReload(source, previews, settings, read, Assembly.preview, common.file, inbox).run()


def _previews(
    settings: Settings, options: PreviewOptions, rounds: render_text.Rounds | None = None
) -> dict[str, Preview]:
    """Return a preview of each target; each of several has a directory of its own."""
    previews = {}
    for name, target in settings.targets.items():
        own = options
        if len(settings.targets) > 1:
            output, diff = (path / name if path else None for path in (options.output, options.diff))
            own = replace(options, output=output, diff=diff)
        renderer, check = Assembly(name, target, settings).preview()
        previews[name] = Preview(name, renderer, check, own, *([rounds.print_outcome] if rounds else []))
    for preview in previews.values():
        preview.peers = previews.values()
    return previews
