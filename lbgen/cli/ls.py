"""`lbgen ls`: all routes with their servers, at a glance."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click

from lbgen.base.errors import NoDaemon, SettingsError
from lbgen.cli.daemon import daemon_at, daemon_of, status_options
from lbgen.cli.ls_text import listing_lines, matching
from lbgen.cli.options import CommonOptions, common_options, read_source
from lbgen.cli.output import OUTPUT, print_json, print_lines
from lbgen.report.drains import Scene
from lbgen.report.listing import listing
from lbgen.settings import Settings
from lbgen.status import client

PAUSE = 1.0  # seconds between two questions of --watch
_CLEAR = "\x1b[H\x1b[2J"  # cursor to the top left, then clear
Document = dict[str, Any]
pause = time.sleep


@click.command()
@common_options(target=False)
@click.argument("names", nargs=-1, metavar="[SERVICE]...")
@click.option("--watch", is_flag=True, help="Show it anew whenever something changes, until Ctrl-C.")
@click.option("--once", is_flag=True, help="Read Docker itself, as --from reads a file, instead of asking the daemon.")
@status_options("URL of the daemon's status. Default: setting status.bind, on this host.")
@OUTPUT
def ls(
    common: CommonOptions,
    names: tuple[str, ...],
    watch: bool,
    once: bool,
    url: str | None,
    auth: Path | None,
    form: str,
) -> None:
    """List all routes: listener, match, and the servers with their state.

    SERVICE shows only the routes of services, and stacks, of these names; "*" in it stands for anything. A running
    daemon is asked, which knows how the proxies see each server: HAProxy all of them, with their sessions, Traefik
    those that it checks, Nginx none. With --from or --once the source is read instead.

    A server is up (gets requests), draining (finishes what it has) or drained; "only" is one that is to go and serves
    on since no other is up. What an operator drains has its reason beside it, and how it is taken back.

    \b
    Exit codes:
      0  it was listed
      2  the settings cannot be used, no service has this name, or the daemon wants a token or a password
      4  no daemon answers, or the source cannot be read
    130  --watch was ended
    """
    settings = common.settings("warning")
    if once or common.from_files:
        if watch:
            raise SettingsError("ls --watch asks a running daemon: leave --from and --once out")
        _print(_read(common, settings), names, form)
        return
    daemon = daemon_at(url, auth) if url else daemon_of(settings.status, auth)
    asked = partial(client.ask, daemon, "/api/v1/routes")
    if watch:
        _watch(asked, names, form)
    try:
        _print(asked(), names, form)
    except NoDaemon as error:
        raise NoDaemon(f"{error} ('lbgen ls --once' reads Docker itself)") from error


def _read(common: CommonOptions, settings: Settings) -> Document:
    drains = common.drains(settings)
    snapshot, model = read_source(settings, drains=drains)
    return listing(Scene(snapshot, model, drains.asked))


def _print(document: Document, names: Sequence[str], form: str) -> None:
    chosen = matching(document, names)
    if names and not chosen["routes"]:
        raise SettingsError(f"ls: no route is of {' or '.join(names)}; 'lbgen explain SERVICE' says why one has none")
    if form == "json":
        print_json(chosen)
    else:
        print_lines(listing_lines(chosen))


def _watch(asked: Callable[[], Document], names: Sequence[str], form: str) -> NoReturn:
    """Show the listing each time that it is another one, until Ctrl-C; an answer that fails is shown in its place."""
    shown: object = None
    try:
        while True:
            found = _matching_now(asked, names)
            if found != shown:
                shown = found
                _show(found, form)
            pause(PAUSE)
    except KeyboardInterrupt:
        sys.exit(130)


def _matching_now(asked: Callable[[], Document], names: Sequence[str]) -> Document | str:
    """Return the listing, or why there is none."""
    try:
        return matching(asked(), names)
    except NoDaemon as error:
        return str(error)


def _show(found: Document | str, form: str) -> None:
    if form != "json":
        _draw([found] if isinstance(found, str) else listing_lines(found))
    elif isinstance(found, dict):
        print_json(found)


def _draw(lines: Iterable[str]) -> None:
    """Draw lines over what was there; outside of a terminal, one listing after the other."""
    at = time.strftime("%H:%M:%S")
    if not sys.stdout.isatty():
        print_lines([f"--- {at}", *lines])
        return
    size = shutil.get_terminal_size()
    told = list(lines)
    rows = max(1, size.lines - 2)
    cut = [*told[: rows - 1], f"... and {len(told) - rows + 1} more lines"] if len(told) > rows else told
    click.echo(_CLEAR + f"{at}  Ctrl-C ends")
    print_lines(fitting(line, size.columns) for line in cut)
    sys.stdout.flush()


def fitting(line: str, columns: int) -> str:
    """Return a line that is no wider than the terminal: one that wraps would move all others."""
    plain = click.unstyle(line)
    return line if len(plain) <= columns else f"{plain[: columns - 1]}…"
