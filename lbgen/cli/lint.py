"""`lbgen lint`."""

from __future__ import annotations

import json
import sys

import click

from lbgen.base.errors import ProblemsFound
from lbgen.cli.options import REPORT, Given, annotated, given, places_of, show, taken
from lbgen.daemon import assembly
from lbgen.report import annotations as findings
from lbgen.report.lint import Limit, limits, reported


@click.command()
@given()
@click.option("--strict", is_flag=True, help="Also fail where a proxy can do what is asked only in part.")
@REPORT
def lint(common: Given, strict: bool, form: str) -> None:
    """List problems with labels and nodes, and what the proxies cannot do of what is asked (exit code 5).

    What a proxy can do in part is listed with what happens instead, and is no reason to fail; nor are labels that may
    be misspelt. Without --proxy the settings' targets are asked; without any, only problems are listed. 'lbgen
    explain' says more of one service.
    """
    with annotated(form):
        settings = common.settings("warning")
        chosen = common.targets(settings) if common.names_target else settings.targets
        snapshot, model = taken(settings)
    found: list[Limit] = []
    for name, target in chosen.items():
        renderer = assembly.renderer_of(name, target, settings)
        kind = renderer.templates.manifest.proxy
        found += limits(renderer.served(model), snapshot, name, kind, renderer.target.version)
    report = reported(snapshot, model, found, settings.discovery.dialects)
    places = places_of(settings)
    if form == "json":
        click.echo(json.dumps(report.document(places), indent=2))
    elif form == "text":
        show(report.lines())
    else:
        shown = [findings.of_problem(problem, places, failing=True) for problem in report.problems]
        shown += [findings.of_limit(limit, places, strict=strict) for limit in report.limits]
        shown += [findings.of_unread(unread, places) for unread in report.unread]
        shown += map(findings.of_note, report.notes)
        show(findings.github(shown) if form == "github" else [json.dumps(findings.gitlab(shown), indent=2)])
    if report.failing(strict=strict):
        sys.exit(ProblemsFound.exit_code)
