"""`lbgen run`."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import click

import lbgen
from lbgen.base.logs import log
from lbgen.cli.options import CommonOptions, common_options
from lbgen.daemon import assembly
from lbgen.daemon.assembly import Assembly
from lbgen.daemon.live_reload import LiveReload, stopped_by_signals
from lbgen.daemon.worker import Worker
from lbgen.proxies.supervisor import reap_orphans
from lbgen.status.server import serve_status
from lbgen.status.view import View


@click.command()
@common_options()
@click.option("-o", "output", type=click.Path(path_type=Path), help="Directory of the proxy's files.")
def run(common: CommonOptions, output: Path | None) -> None:
    """Run the daemon: follow, render, check, apply, verify.

    Starts with the last good files, even while Docker cannot be reached. Templates, settings and the files that labels
    name are reloaded when they are saved: they are checked, then applied.

    SIGTERM and SIGINT end it; SIGHUP reloads everything.
    """
    inbox = stopped_by_signals()
    settings = common.settings_with_targets(output=output)
    targets = [Assembly(name, target, settings).target() for name, target in settings.targets.items()]
    log.info("started", version=lbgen.__version__, pid=os.getpid())
    workers = {target.name: Worker(target) for target in targets}
    live = LiveReload(
        assembly.source(settings),
        workers,
        settings,
        lambda: common.settings_with_targets(output=output),
        Assembly.revision,
        common.file,
        inbox,
    )
    ended = threading.Event()
    if os.getpid() == 1:
        threading.Thread(target=reap_orphans, args=[ended], name="reap", daemon=True).start()
    view = View(live.loop, targets, list(workers.values()))
    with serve_status(settings.status.address, view, assembly.feeds(targets)):
        live.run()
    ended.set()
    log.info("stopped")
