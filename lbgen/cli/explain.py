"""`lbgen explain`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from lbgen.base.errors import ProblemsFound
from lbgen.cli.daemon import daemon_at, status_options
from lbgen.cli.explain_text import explanation_lines
from lbgen.cli.options import CommonOptions, common_options, read_source
from lbgen.cli.output import OUTPUT, print_json, print_lines
from lbgen.daemon import assembly
from lbgen.render.credentials import CredentialReader
from lbgen.report.explain import Facts, TargetFacts, explanation


@click.command()
@common_options()
@click.argument("service")
@status_options("Ask the daemon whose status is served at this URL, which also knows whose previous labels it serves.")
@OUTPUT
def explain(common: CommonOptions, service: str, url: str | None, auth: Path | None, form: str) -> None:
    """Explain why a service is routed as it is, or is not routed.

    SERVICE is a name or an id. Shows its routes with listeners, match and priority; the path of the traffic; the
    servers, and every task and node that is not one, with the reason; the settings in force, certificates, problems,
    what the proxy cannot do, and labels that were not read. Without --proxy, the settings' targets are the proxies.

    \b
    Exit codes:
      0  it is routed, and nothing is wrong with it
      2  there is no such service (similar names are suggested), or the daemon wants a token or a password
      5  it is not routed, has a problem, or asks for what a proxy cannot do
    """
    document = _from_daemon(url, auth, service) if url else _from_source(common, service)
    if form == "json":
        print_json(document)
    else:
        print_lines(explanation_lines(document))
    if not document["ok"]:
        sys.exit(ProblemsFound.exit_code)


def _from_daemon(url: str, auth: Path | None, service: str) -> dict[str, Any]:
    from lbgen.status import client

    document: dict[str, Any] = client.explanation(daemon_at(url, auth), service)
    return document


def _from_source(common: CommonOptions, service: str) -> dict[str, Any]:
    settings = common.settings("warning")
    targets = tuple(
        TargetFacts.of(name, assembly.Assembly(name, target, settings).renderer())
        for name, target in common.targets(settings).items()
    )
    drains = common.drains(settings)
    snapshot, model = read_source(settings, {target.proxy for target in targets}, drains)
    credentials = CredentialReader(settings).read()
    return explanation(Facts(snapshot, model, credentials, targets, drains=drains.asked), service)
