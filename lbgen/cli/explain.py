"""`lbgen explain`."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from lbgen.base.errors import ProblemsFound
from lbgen.cli.explain_text import text
from lbgen.cli.options import FORM, Given, given, show, taken
from lbgen.daemon import assembly
from lbgen.render.credentials import Reader
from lbgen.report.explain import Aim, Facts, explained
from lbgen.status import client


@click.command()
@given()
@click.argument("service")
@click.option("--status", "url", metavar="URL", help="Ask the daemon that answers there what it has decided.")
@FORM
def explain(common: Given, service: str, url: str | None, form: str) -> None:
    """Say whether SERVICE is routed, how and why; if not, why not. SERVICE is a name or an id.

    Shows its routes with listeners, match and priority; which way traffic goes and what was seen; the servers, and
    every task and node that is none, with the reason; settings in force, certificates, problems, what the proxy
    cannot do, and which labels were not read. Without --proxy the settings' targets are asked what they cannot do.

    \b
    Exit codes:
      0  it is routed, and nothing is wrong with it
      2  there is no such service (names that are near are proposed)
      5  it is not routed, has a problem, or asks for what a proxy cannot do
    """
    document = client.explanation(client.full_url(url), service) if url else _decided(common, service)
    if form == "json":
        click.echo(json.dumps(document, indent=2))
    else:
        show(text(document))
    if not document["ok"]:
        sys.exit(ProblemsFound.exit_code)


def _decided(common: Given, service: str) -> dict[str, Any]:
    settings = common.settings("warning")
    chosen = common.targets(settings) if common.names_target else settings.targets
    aims = tuple(Aim.of(name, assembly.renderer_of(name, target, settings)) for name, target in chosen.items())
    snapshot, model = taken(settings)
    return explained(Facts(snapshot, model, Reader(settings).read(), aims), service)
