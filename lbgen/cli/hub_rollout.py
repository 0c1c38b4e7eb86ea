"""`lbgen hub rollout`: follow, resume or abort a rollout. Works on the hub's state; asks no hub over the network."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from lbgen.base.errors import SettingsError
from lbgen.base.terminal import aligned, in_one
from lbgen.cli.options import CommonOptions, common_options
from lbgen.cli.output import OUTPUT, print_json, print_lines
from lbgen.hub.rollout import Phase
from lbgen.hub.rollout_store import DIRECTORY, RolloutStore

F = TypeVar("F", bound=Callable[..., Any])
_STATE = click.option(
    "--state", metavar="DIR", type=click.Path(path_type=Path), help="The hub's state. Default: setting hub.state."
)
_MEANING = {
    Phase.IDLE: "nothing was ever handed out",
    Phase.CANARY: "canaries try it",
    Phase.PAUSE: "all canaries are ready with it; the others get it after the pause",
    Phase.REST: "all others get it",
    Phase.DONE: "every edge that is connected has it",
    Phase.STOPPED: "stopped; who got it gets the version before",
    Phase.ROLLED_BACK: "stopped and rolled back",
}


@click.group()
def rollout() -> None:
    """Follow, resume or abort the rollout of settings that a hub hands out.

    The commands work on the state of the hub that runs on this machine, so that nothing of this can be done over the
    network. A rollout begins by itself when something is saved in the directory of setting hub.fleet.
    """


@rollout.command()
@_STATE
@OUTPUT
@common_options(source=False, target=False)
def status(common: CommonOptions, state: Path | None, form: str) -> None:
    """Show how far the newest version has come, who is waited for, and what each edge has."""
    document = _store(common, state).document()
    if form == "json":
        print_json(document)
    else:
        print_lines(rollout_lines(document, time.time()))


@rollout.command()
@_STATE
@common_options(source=False, target=False)
def resume(common: CommonOptions, state: Path | None) -> None:
    """Go on: after a stop with the canaries once more, else with the others, without waiting for canaries or pause."""
    _ask(_store(common, state), "resume")


@rollout.command()
@_STATE
@common_options(source=False, target=False)
def abort(common: CommonOptions, state: Path | None) -> None:
    """Stop: edges that got the version go back to the one before, also after the end of the rollout."""
    _ask(_store(common, state), "abort")


def rollout_lines(document: Mapping[str, Any], now: float) -> Iterator[str]:
    """Yield a rollout as a hub has written it down."""
    rollout = document["rollout"]
    phase = Phase(rollout["phase"])
    yield f"{phase.value} for {_span(now - rollout['since'])}: {_MEANING[phase]}" if rollout["since"] else phase.value
    yield f"version  {rollout['version'] or '-'}"
    yield f"before   {rollout['before'] or '-'}"
    if rollout["reason"]:
        yield f"reason   {in_one(rollout['reason'])}"
    yield from (f"waits    {name} {why}" for name, why in document["awaited"].items())
    if document["refused"]:
        yield f"the directory cannot be used, and nothing of it is handed out: {in_one(document['refused'])}"
    if document["edges"]:
        yield ""
        head = ("EDGE", "", "HAS", "IS TO HAVE", "STATE")
        yield from aligned([head, *(_row(name, each, document) for name, each in document["edges"].items())])


def _row(name: str, edge: Mapping[str, Any], document: Mapping[str, Any]) -> tuple[str, ...]:
    canary = "canary" if name in document["canaries"] else ""
    if not edge["accept"]:
        state = "accepts nothing from a hub"
    elif not edge["connected"]:
        state = "away"
    elif edge["error"]:
        state = ("refused it: " if edge["refused"] else "") + in_one(edge["error"])
    else:
        state = "ready" if edge["ready"] else "not ready"
    return name, canary, edge["version"] or "-", edge["wanted"] or "-", state


def _span(seconds: float) -> str:
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _ask(store: RolloutStore, command: str) -> None:
    if not store.ask(command):
        click.echo("no hub runs here with this state, or it does not answer; nothing was changed", err=True)
        raise click.exceptions.Exit(4)
    click.echo(f"{command}: see 'lbgen hub rollout status'")


def _store(common: CommonOptions, given: Path | None) -> RolloutStore:
    settings = None if given else common.settings().hub
    path = given or (settings.state if settings else None)
    if path is None:
        raise SettingsError("which hub? Name the directory of its state with --state, or in setting hub.state")
    return RolloutStore(path / DIRECTORY)
