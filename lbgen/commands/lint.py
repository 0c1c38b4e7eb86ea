"""`lbgen lint`."""

from __future__ import annotations

import json
import sys

import click

from lbgen import wiring
from lbgen.commands.given import FORM, Given, given, show, taken
from lbgen.errors import ProblemsFound
from lbgen.lint import Limit, limits, reported


@click.command()
@given()
@click.option("--strict", is_flag=True, help="Also fail where a proxy can do what is asked only in part.")
@FORM
def lint(common: Given, strict: bool, form: str) -> None:
    """List problems with labels and nodes, and what the proxies cannot do of what is asked (exit code 5).

    What a proxy can do in part is listed with what happens instead, and is no reason to fail; nor are labels that may
    be misspelt. Without --proxy the settings' targets are asked; without any, only problems are listed. 'lbgen
    explain' says more of one service.
    """
    settings = common.settings("warning")
    chosen = common.targets(settings) if common.names_target else settings.targets
    snapshot, model = taken(settings)
    found: list[Limit] = []
    for name, target in chosen.items():
        renderer = wiring.renderer_of(name, target, settings)
        kind = renderer.templates.manifest.proxy
        found += limits(renderer.served(model), snapshot, name, kind, renderer.target.version)
    report = reported(snapshot, model, found, settings.discovery.dialects)
    if form == "json":
        click.echo(json.dumps(report.document(), indent=2))
    else:
        show(report.lines())
    if report.failing(strict=strict):
        sys.exit(ProblemsFound.exit_code)
