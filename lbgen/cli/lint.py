"""`lbgen lint`."""

from __future__ import annotations

import json
import sys

import click

from lbgen.base.errors import ProblemsFound
from lbgen.cli.options import CommonOptions, annotated_errors, common_options, read_source
from lbgen.cli.output import REPORT, print_json, print_lines
from lbgen.daemon.assembly import Assembly
from lbgen.report.annotations import (
    github_lines,
    gitlab_report,
    limit_annotation,
    note_annotation,
    problem_annotation,
    remark_annotation,
    unread_annotation,
)
from lbgen.report.lint import Limit, Report, limits, lint_report
from lbgen.report.positions import Positions
from lbgen.settings import Settings


@click.command()
@common_options()
@click.option("--strict", is_flag=True, help="Also fail where a proxy can do only in part what is asked.")
@REPORT
def lint(common: CommonOptions, strict: bool, form: str) -> None:
    """List problems, and what the proxies cannot do.

    Lists what is wrong with labels, nodes and files, and what routes ask for that the proxy cannot do, or can do only
    in part, with what happens instead. Labels that may be misspelt are listed, too; neither these nor what a proxy does
    in part is an error. Without --proxy, the settings' targets are checked; without any, only problems are listed.
    'lbgen explain' says more about one service.

    \b
    Exit codes:
      0  no problem, and nothing that a proxy cannot do
      5  there is
    """
    with annotated_errors(form):
        settings = common.settings("warning")
        report = _report(common, settings)
    positions = Positions(settings.source.file)
    if form == "json":
        print_json(report.document(positions))
    elif form == "text":
        print_lines(report.lines())
    else:
        listed = [
            *(problem_annotation(problem, positions, failing=True) for problem in report.problems),
            *(limit_annotation(limit, positions, strict=strict) for limit in report.limits),
            *(unread_annotation(unread, positions) for unread in report.unread),
            *(remark_annotation(remark, positions) for remark in report.remarks),
            *map(note_annotation, report.notes),
        ]
        print_lines(github_lines(listed) if form == "github" else [json.dumps(gitlab_report(listed), indent=2)])
    if report.failing(strict=strict):
        sys.exit(ProblemsFound.exit_code)


def _report(common: CommonOptions, settings: Settings) -> Report:
    targets = common.targets(settings)
    renderers = {name: Assembly(name, target, settings).renderer() for name, target in targets.items()}
    proxies = {name: renderer.templates.manifest.proxy for name, renderer in renderers.items()}
    snapshot, model = read_source(settings, {*proxies.values()})
    listed: list[Limit] = []
    for name, renderer in renderers.items():
        proxy = proxies[name]
        listed += limits(renderer.served(model), snapshot, name, proxy, renderer.target.version)
    return lint_report(snapshot, model, listed, settings.discovery.dialects)
