"""`lbgen run`."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import click

import lbgen
from lbgen.base.logs import log
from lbgen.cli.options import Given, given
from lbgen.daemon import assembly
from lbgen.daemon.live_reload import Following, stopped_by_signals
from lbgen.daemon.worker import Worker
from lbgen.proxies.supervisor import reap_orphans
from lbgen.status.server import serve_status
from lbgen.status.view import View


@click.command()
@given()
@click.option("-o", "output", type=click.Path(path_type=Path), help="Directory of the proxy's files.")
def run(common: Given, output: Path | None) -> None:
    """Follow, render, check, apply, verify: the daemon.

    Serves with the last good files from the start, also while Docker cannot be reached. Templates, settings and the
    files that labels name are followed: what is saved is checked and applied. Ends on SIGTERM or SIGINT, reads
    everything again on SIGHUP.
    """
    inbox = stopped_by_signals()
    settings = common.chosen(output=output)
    targets = [assembly.target_of(name, target, settings) for name, target in settings.targets.items()]
    log.info("started", version=lbgen.__version__, pid=os.getpid())
    workers = {target.name: Worker(target) for target in targets}
    following = Following(
        assembly.source_of(settings),
        workers,
        settings,
        lambda: common.chosen(output=output),
        assembly.revision_of,
        common.file,
        inbox,
    )
    ended = threading.Event()
    if os.getpid() == 1:
        threading.Thread(target=reap_orphans, args=[ended], name="reap", daemon=True).start()
    view = View(following.loop, targets, list(workers.values()))
    with serve_status(settings.status.address, view, assembly.feeds_of(targets)):
        following.run()
    ended.set()
    log.info("stopped")
