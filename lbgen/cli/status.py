"""`lbgen status` and `lbgen history`: they ask a running daemon."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from lbgen.cli import status_text
from lbgen.cli.daemon import daemon_at, daemon_of, status_options
from lbgen.cli.options import CommonOptions, common_options
from lbgen.cli.output import OUTPUT, print_json, print_lines
from lbgen.status import client

F = TypeVar("F", bound=Callable[..., Any])


def _daemon_options(command: F) -> F:
    """Add the options of the commands that ask a running daemon."""
    where = status_options("URL of the daemon's status. Default: setting status.bind, on this host.")
    return common_options(source=False, target=False)(where(OUTPUT(command)))


@click.command("status")
@_daemon_options
@click.option("--ready", is_flag=True, help="Only tell whether it is ready, by the exit code: 0 or 1.")
def status(common: CommonOptions, url: str | None, auth: Path | None, form: str, ready: bool) -> None:
    """Show the state of a running daemon.

    Shows its generation, its source, servers by state, targets and problems. A daemon is ready once every target has
    served a snapshot.

    \b
    Exit codes:
      0  it answered; with --ready: it is ready
      1  with --ready: it is not ready
      2  it wants a token or a password
      4  no daemon answers
    """
    daemon = _daemon(common, url, auth)
    if ready:
        reason = client.unready(daemon)
        click.echo(reason or "ready", err=bool(reason))
        sys.exit(1 if reason else 0)
    document = client.ask(daemon, "/api/v1/status")
    if form == "json":
        print_json(document)
    else:
        print_lines(status_text.status_lines(document, client.ask(daemon, "/api/v1/problems")))


@click.command()
@_daemon_options
@click.option(
    "--limit", type=click.IntRange(1, 10000), default=20, show_default=True, help="Largest number of changes."
)
def history(common: CommonOptions, url: str | None, auth: Path | None, form: str, limit: int) -> None:
    """Show what a running daemon changed last.

    Lists the changes of its proxies, newest first: what was changed, how, why, and how long after the change in Swarm
    it was live.
    """
    document = client.ask(_daemon(common, url, auth), f"/api/v1/history?limit={limit}")
    if form == "json":
        print_json(document)
    else:
        print_lines(status_text.history_lines(document))


def _daemon(common: CommonOptions, url: str | None, auth: Path | None) -> client.Daemon:
    """Return the daemon: that of the option, else one with the same settings on this host."""
    return daemon_at(url, auth) if url else daemon_of(common.settings().status, auth)
