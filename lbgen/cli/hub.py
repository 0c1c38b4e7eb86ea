"""`lbgen hub`: the trust between hubs and edges. Works on files of this machine; only `edges` asks a hub's status."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from lbgen.base.address import is_address
from lbgen.base.errors import NoDaemon, NotAdmitted, SettingsError
from lbgen.base.fleet_names import NAME, NAME_RULE
from lbgen.base.private_file import write_private
from lbgen.base.unwritable import unwritable
from lbgen.cli import hub_text
from lbgen.cli.daemon import daemon_at, daemon_of, status_options
from lbgen.cli.hub_rollout import rollout
from lbgen.cli.options import CommonOptions, common_options
from lbgen.cli.output import OUTPUT, print_json, print_lines
from lbgen.hub import ledger, revocations, rotation, tokens
from lbgen.hub.authority import Authority, new_bundle, read_bundle
from lbgen.labels.values.basic import duration
from lbgen.labels.values.value_type import BadValue
from lbgen.status import client

F = TypeVar("F", bound=Callable[..., Any])
FILE = "authority.pem"
_AUTHORITY = click.option(
    "--authority",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The authority's file, made by 'lbgen hub init'. Default: setting hub.authority.",
)
_STATE = click.option(
    "--state", metavar="DIR", type=click.Path(path_type=Path), help="The hub's state. Default: setting hub.state."
)


@click.group()
def hub() -> None:
    """Admit edges to a hub, and roll settings out to them.

    The commands work on the files of this machine, so that nothing of this can be done over the network: 'init',
    'token' and 'rotate' need the authority's file and no hub, 'edges', 'revoke' and 'rollout' a hub's state.
    """


hub.add_command(rollout)


@hub.command()
@click.option(
    "--dir", "directory", metavar="DIR", type=click.Path(path_type=Path), default=".", help=f"Where {FILE} is made."
)
@OUTPUT
def init(directory: Path, form: str) -> None:
    """Make the authority of a fleet, once: all its hubs share the file.

    Anyone who has the file can admit edges and be a hub: give it to hubs and to nobody else. An existing file stays.
    """
    path = directory / FILE
    if path.exists():
        raise SettingsError(f"{path}: there is one already; remove it if no hub uses it, or choose another --dir")
    bundle = new_bundle(time.time())
    _write(path, bundle.text())
    _print(form, hub_text.authority_document(path, bundle), hub_text.made_lines(path, bundle))


@hub.command()
@click.argument("name")
@click.option(
    "--expires", metavar="DURATION", default="1h", show_default=True, help="How long it is good for: 15m, 24h."
)
@click.option(
    "--offer",
    metavar="ADDRESS",
    default="",
    help="Let the edge offer the facts of its own Docker host, whose published ports are reached at this IP address.",
)
@click.option("--label", "labels", metavar="KEY=VALUE", multiple=True, help="A label of the edge. May be repeated.")
@_AUTHORITY
@common_options(source=False, target=False)
def token(
    common: CommonOptions, name: str, expires: str, offer: str, labels: tuple[str, ...], authority: Path | None
) -> None:
    """Make a token, with which one edge can join as NAME.

    It is printed on standard output, in one line, and is good for one edge, once: treat it as a password until it has
    been used. Name, labels and --offer are fixed by it. No hub needs to run.
    """
    if offer and not is_address(offer):
        raise SettingsError(f"--offer {offer}: write the IP address at which its published ports are reached")
    pairs = dict(_pair(label) for label in labels)
    bundle = read_bundle(_authority(common, authority))
    click.echo(tokens.new_token(Authority(bundle, "offline"), name, time.time(), _seconds(expires), offer, pairs))
    click.echo(f"good for {expires}, for one edge: lbgen join https://HUB:9443 --token TOKEN", err=True)


@hub.command()
@_STATE
@status_options("URL of the hub's status. Default: setting status.bind, on this host; with --state, it is not asked.")
@OUTPUT
@common_options(source=False, target=False)
def edges(common: CommonOptions, state: Path | None, url: str | None, auth: Path | None, form: str) -> None:
    """List the edges that have joined.

    As this hub knows them: it has what the other hubs have told it, within some seconds. The running hub is asked which
    of them are connected to it, ready, and how many changes behind.
    """
    entries, live = ledger.read(_state(common, state)), None
    if url or not state:
        try:
            daemon = daemon_at(url, auth) if url else daemon_of(common.settings().status, auth)
            told = client.ask(daemon, "/api/v1/status").get("edges")
            live = None if told is None else {each["name"]: each for each in told}
        except (SettingsError, NoDaemon, NotAdmitted) as error:
            if url:
                raise
            click.echo(f"who is connected is not known: {error}", err=True)
    _print(form, hub_text.edges_document(entries, live), hub_text.edges_lines(entries, time.time(), live))


@hub.command()
@click.argument("name")
@_STATE
@common_options(source=False, target=False)
def revoke(common: CommonOptions, name: str, state: Path | None) -> None:
    """Shut an edge out, at once and on all hubs.

    Voids its certificates, and every token for its name that was made until now.
    The hub that runs here closes its connections at once, and tells the other hubs. With a token that is made later the
    name can join again.

    \b
    Exit codes:
      0  it is revoked
      2  it is not: the hub's state cannot be read or written
      4  the hub has yet to write it down: it does not run here, or its disk is full, say; that is tried again
    """
    directory = _state(common, state)
    if not NAME.fullmatch(name):
        raise SettingsError(f"{name!r} is not the name of an edge: {NAME_RULE}")
    known = ledger.read(directory).edges.get(name)
    try:
        taken = revocations.ask(directory, name, max(time.time(), known.joined if known else 0.0))
    except OSError as error:
        why = unwritable(Path(error.filename or directory), error)
        raise SettingsError(f"{name} is not revoked: {why}, and give the command again") from error
    who = f"{name} is revoked" if known else f"no edge has joined as {name}; its tokens are void"
    if taken:
        click.echo(who)
    else:
        why = "no hub runs here with this state, or it cannot write that down (hub_revocation_failed in its log)"
        click.echo(f"{name} is not revoked for good yet: {why}; it is tried again until it can be", err=True)
        raise click.exceptions.Exit(4)


@hub.command()
@_AUTHORITY
@_STATE
@click.option("--force", is_flag=True, help="Take the step even if edges have to join anew then.")
@OUTPUT
@common_options(source=False, target=False)
def rotate(common: CommonOptions, authority: Path | None, state: Path | None, force: bool, form: str) -> None:
    """Take the next step to another authority: three steps, each followed by giving the file to all hubs.

    \b
    1  the new authority is trusted beside the old one, which signs
    2  the new one signs; when all edges have renewed with step 1 (a day, or as soon as they are back)
    3  the old one is gone; when all edges have renewed with step 2

    Refuses a step that would leave an edge behind, as the hub's state has it. The file before the step is kept beside
    it, with the ending .before.
    """
    path = _authority(common, authority)
    bundle, now = read_bundle(path), time.time()
    step = rotation.next_step(bundle)
    behind = rotation.left_behind(bundle, ledger.read(_state(common, state)), now) if step != "prepare" else {}
    if behind and not force:
        names = ", ".join(list(behind)[:10]) + (f" and {len(behind) - 10} more" if len(behind) > 10 else "")
        what = f"not renewed since the last step: {names}"
        raise SettingsError(f"{what}. They would have to join anew: wait for them, revoke them, or use --force")
    new = rotation.next_bundle(bundle, now)
    _write(path.with_name(path.name + ".before"), bundle.text())
    _write(path, new.text())
    _print(form, {"step": step, **hub_text.authority_document(path, new)}, hub_text.rotated_lines(path, step, new))


def _authority(common: CommonOptions, given: Path | None) -> Path:
    """Return the authority's file, of the option or the settings."""
    settings = None if given else common.settings().hub
    path = given or (settings.authority if settings else None)
    if path is None:
        raise SettingsError("which authority? Name its file with --authority, or in setting hub.authority")
    return path


def _state(common: CommonOptions, given: Path | None) -> Path:
    """Return the hub's state, of the option or the settings."""
    settings = None if given else common.settings().hub
    path = given or (settings.state if settings else None)
    if path is None:
        raise SettingsError("which hub? Name the directory of its state with --state, or in setting hub.state")
    if not path.is_dir():
        remedy = "the hub makes it when it starts; run this on its machine, with its settings"
        raise SettingsError(f"{path}: there is no such directory: {remedy}")
    return path


def _seconds(text: str) -> float:
    try:
        return duration(1, tokens.LONGEST_LIFE)(text)
    except BadValue as bad:
        raise SettingsError(f"--expires {text}: {bad.message}; {bad.remedy}") from bad


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise SettingsError(f"--label {text}: write KEY=VALUE")
    return key, value


def _write(path: Path, text: str) -> None:
    try:
        write_private(path, text)
    except OSError as error:
        raise SettingsError(unwritable(path, error)) from error


def _print(form: str, document: Any, lines: Any) -> None:
    if form == "json":
        print_json(document)
    else:
        print_lines(lines)
