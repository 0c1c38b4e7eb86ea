"""`lbgen join`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from lbgen.base.errors import SettingsError
from lbgen.cli.options import CommonOptions, common_options
from lbgen.settings import Settings

LONGEST = 64 << 10  # characters of standard input


@click.command()
@click.argument("url")
@click.option("--token", required=True, metavar="TOKEN", help="From 'lbgen hub token NAME'; '-' reads standard input.")
@click.option(
    "--state",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where the edge keeps its key and certificate. Default: setting source.hub.state, else STATE/edge.",
)
@click.option("--again", is_flag=True, help="Replace what this machine has joined before.")
@common_options(source=False, target=False)
def join(common: CommonOptions, url: str, token: str, state: Path | None, again: bool) -> None:
    """Make this machine an edge of a hub, with a token.

    URL is a hub's, https://HOST:PORT. Makes a key, which never leaves this machine, and has the hub certify it. The
    token is sent only to a hub of its fleet. If no answer comes, the same command may be given again.

    Give it as the account that lbgen runs as, which has to read the key: runuser -u lbgen -- lbgen join ... An edge
    that runs with this state directory takes over by itself what has been joined with --again.

    \b
    Exit codes:
      0  this machine has joined
      2  the URL, the state directory or the settings cannot be used
      4  the hub does not answer, is not of the token's fleet, or refuses; or the token is damaged
    """
    from lbgen.source.hub import identity
    from lbgen.source.hub.exchange import exchange

    text = sys.stdin.read(LONGEST) if token == "-" else token
    joined = identity.join(exchange, url, text, state or _state(common.settings("warning")), again)
    until = datetime.fromtimestamp(joined.until, UTC)
    click.echo(f"joined as {joined.name}; the certificate is good until {until:%F %T} UTC, and renews itself")


def _state(settings: Settings) -> Path:
    """Return where the edge of these settings keeps who it is; raise SettingsError where several might be meant."""
    states = sorted({part.hub.state for part in settings.parts.values() if part.hub and part.hub.state})
    if len(states) > 1:
        raise SettingsError(
            f"join: the settings have several edges ({', '.join(map(str, states))}): name one by --state"
        )
    return states[0] if states else settings.state / "edge"
