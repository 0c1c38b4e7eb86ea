"""`lbgen lint`."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import click

from lbgen.base.errors import ProblemsFound
from lbgen.cli.options import ALLOW_EMPTY, REQUIRE, CommonOptions, annotated_errors, common_options, read_source
from lbgen.cli.output import REPORT, print_json, print_lines
from lbgen.daemon.assembly import Assembly
from lbgen.report.annotations import (
    github_lines,
    gitlab_report,
    limit_annotation,
    note_annotation,
    problem_annotation,
    remark_annotation,
    unmet_annotation,
    unread_annotation,
)
from lbgen.report.expected import Expected
from lbgen.report.limits import Limit, limits
from lbgen.report.lint import Report, lint_report
from lbgen.report.positions import Positions
from lbgen.report.unread import note_fails
from lbgen.settings import Settings


@click.command()
@common_options()
@click.option(
    "--strict", is_flag=True, help="Also fail for labels that are not read, and for what a proxy can do only in part."
)
@REQUIRE
@ALLOW_EMPTY
@REPORT
def lint(common: CommonOptions, strict: bool, require: tuple[str, ...], allow_empty: bool, form: str) -> None:
    """List problems, unread labels, and what the proxies cannot do.

    Lists what is wrong with labels, nodes and files; services with labels that nothing enables; and what routes ask for
    that the proxy cannot do, or can do only in part, with what happens instead. Labels that are not read for another
    reason (misspelt, of a dialect that is not read, not under 'deploy' in a stack file) are listed, too. Without
    --proxy, the settings' targets are checked; without any, what proxies cannot do is not listed. 'lbgen explain' says
    more about one service.

    \b
    Exit codes:
      0  nothing of what follows
      5  a problem; a service with labels that nothing enables; something that a proxy cannot do;
         no service is routed (--allow-empty accepts that), or one of --require is not;
         with --strict a label that is misspelt, in the wrong place, left out or probably not meant, or what a proxy
         does in part
    """
    with annotated_errors(form):
        settings = common.settings("warning")
        report = _report(common, settings, Expected(require, some=not allow_empty))
    positions = Positions(settings.source_files)
    if form == "json":
        print_json(report.document(positions))
    elif form == "text":
        print_lines(report.lines(positions))
    else:
        listed = [
            *(problem_annotation(problem, positions, failing=True) for problem in report.problems),
            *(limit_annotation(limit, positions, strict=strict) for limit in report.limits),
            *(unread_annotation(item, positions, failing=item.failing(strict=strict)) for item in report.unread),
            *(problem_annotation(note, positions, failing=strict) for note in (*report.left_out, *report.doubts)),
            *(unmet_annotation(unmet, positions) for unmet in report.unmet),
            *(remark_annotation(remark, positions) for remark in report.remarks),
            *(note_annotation(note, failing=note_fails(note, report.read, strict=strict)) for note in report.notes),
        ]
        print_lines(github_lines(listed) if form == "github" else [json.dumps(gitlab_report(listed), indent=2)])
    if report.failing(strict=strict):
        sys.exit(ProblemsFound.exit_code)


def _report(common: CommonOptions, settings: Settings, expected: Expected) -> Report:
    targets = common.targets(settings)
    renderers = {name: Assembly(name, target, settings).renderer() for name, target in targets.items()}
    proxies = {name: renderer.templates.manifest.proxy for name, renderer in renderers.items()}
    snapshot, model = read_source(settings, {*proxies.values()})
    listed: list[Limit] = []
    for name, renderer in renderers.items():
        proxy = proxies[name]
        told = renderer.target
        listed += limits(renderer.served(model), snapshot, name, proxy, told.version, told.options, told.features)
    return lint_report(snapshot, model, listed, replace(expected, targets=renderers), settings.rules())
