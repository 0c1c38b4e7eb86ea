"""`lbgen status` and `lbgen history`: they ask a running daemon."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from lbgen.cli import status_text
from lbgen.cli.options import FORM, Given, given, show
from lbgen.status import client

F = TypeVar("F", bound=Callable[..., Any])


def _asking(command: F) -> F:
    """Add the flags of the commands that ask a running daemon."""
    where = click.option(
        "--status", "url", metavar="URL", help="Where it answers. Default: status.bind of the settings, here."
    )
    return given(source=False, target=False)(where(FORM(command)))


@click.command("status")
@_asking
@click.option("--ready", is_flag=True, help="Only tell by the exit code (0, 1) whether it has served a snapshot yet.")
def status(common: Given, url: str | None, form: str, ready: bool) -> None:
    """Ask a running daemon how it is: generation, source, servers by state, problems."""
    url = _daemon(common, url)
    if ready:
        why = client.unready(url)
        click.echo(why or "ready", err=bool(why))
        sys.exit(1 if why else 0)
    document = client.ask(url, "/api/v1/status")
    if form == "json":
        click.echo(json.dumps(document, indent=2))
    else:
        show(status_text.status(document, client.ask(url, "/api/v1/problems")))


@click.command()
@_asking
@click.option("--limit", type=click.IntRange(1, 10000), default=20, show_default=True, help="How many, at most.")
def history(common: Given, url: str | None, form: str, limit: int) -> None:
    """Ask a running daemon what it changed last, how, why, and how long after the change in Swarm that was live."""
    document = client.ask(_daemon(common, url), f"/api/v1/history?limit={limit}")
    if form == "json":
        click.echo(json.dumps(document, indent=2))
    else:
        show(status_text.history(document))


def _daemon(common: Given, url: str | None) -> str:
    """Return where to ask: as the flag says, else where a daemon with the same settings answers."""
    return client.full_url(url) if url else client.url_of(common.settings().status.address)
