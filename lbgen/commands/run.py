"""`lbgen run`."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import click
import structlog

import lbgen
from lbgen import wiring
from lbgen.apply.supervise import reap_orphans
from lbgen.commands.following import follow, loop_of
from lbgen.commands.given import Given, given
from lbgen.lane import Lane
from lbgen.status.server import served
from lbgen.status.view import View

log = structlog.get_logger()


@click.command()
@given()
@click.option("-o", "output", type=click.Path(path_type=Path), help="Directory of the proxy's files.")
def run(common: Given, output: Path | None) -> None:
    """Follow, render, check, apply, verify: the daemon.

    Serves with the last good files from the start, also while Docker cannot be reached. Ends on SIGTERM or SIGINT,
    re-renders on SIGHUP.
    """
    settings = common.settings()
    chosen = common.targets(settings)
    if output:
        chosen = {name: target.model_copy(update={"output": output}) for name, target in chosen.items()}
    targets = [wiring.target_of(name, target, settings) for name, target in chosen.items()]
    log.info("started", version=lbgen.__version__, pid=os.getpid())
    lanes = [Lane(target) for target in targets]
    loop = loop_of(settings, wiring.source_of(settings), lanes)
    ended = threading.Event()
    if os.getpid() == 1:
        threading.Thread(target=reap_orphans, args=[ended], name="reap", daemon=True).start()
    with served(settings.status.address, View(loop, targets, lanes), wiring.feeds_of(targets)):
        follow(loop, [target.renderer for target in targets], settings)
    ended.set()
    log.info("stopped")
