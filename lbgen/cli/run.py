"""`lbgen run`."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import lbgen
from lbgen.base.errors import LbgenError
from lbgen.base.logs import log
from lbgen.cli.options import CommonOptions, common_options
from lbgen.daemon import assembly, drain_store
from lbgen.daemon.assembly import Assembly
from lbgen.daemon.drains import Drains
from lbgen.daemon.kept_labels import KeptLabels
from lbgen.daemon.label_store import LabelStore
from lbgen.daemon.live_reload import LiveReload, stopped_by_signals
from lbgen.daemon.lives import Lives
from lbgen.daemon.loop import Inbox
from lbgen.daemon.target import Target
from lbgen.daemon.worker import Worker
from lbgen.proxies.supervisor import reap_orphans
from lbgen.settings import Settings
from lbgen.source import Source, Validity
from lbgen.status.server import serve_status
from lbgen.status.view import View

if TYPE_CHECKING:
    from lbgen.daemon.handed_out import HandedOut, ReadOwn
    from lbgen.hub.running import RunningHub


@click.command()
@common_options()
@click.option("-o", "output", type=click.Path(path_type=Path), help="Directory of the proxy's files.")
def run(common: CommonOptions, output: Path | None) -> None:
    """Run the daemon: follow, render, check, apply, verify.

    Starts with the last good files, even while Docker cannot be reached. Templates, settings and the files that labels
    name are reloaded when they are saved: they are checked, then applied.

    SIGTERM and SIGINT end it; SIGHUP reloads everything.
    """
    inbox, ended = stopped_by_signals(), threading.Event()
    if os.getpid() == 1:
        threading.Thread(target=reap_orphans, args=[ended], name="reap", daemon=True).start()
    running = _Running(common, output, inbox)
    Lives(inbox).run(running.live)
    running.stop()
    ended.set()
    log.info("stopped")


class _Running:
    """What runs; it may begin anew."""

    def __init__(self, common: CommonOptions, output: Path | None, inbox: Inbox) -> None:
        self._common, self._output = common, output
        self._file, self._inbox = common.file, inbox
        self._handed: HandedOut | None = None  # what hubs have handed out, if this is an edge that accepts anything
        self._workers: list[Worker] = []  # they run on while it is not known how to go on

    def live(self) -> None:
        """Run until a stop is in the inbox. What else ends this leaves running what could be started."""
        own = self._read_own({})
        self._handed = _handed_out(own, self._read_own)
        settings = self._read()
        source = assembly.source(settings)
        targets = [Assembly(name, target, settings).target() for name, target in settings.targets.items()]
        log.info("started", version=lbgen.__version__, pid=os.getpid())
        for worker in self._workers:  # the new ones take over
            worker.leave()
        self._workers = [Worker(target) for target in targets]
        try:
            self._follow(settings, source, targets)
        except LbgenError:
            raise
        except BaseException:
            for worker in self._workers:
                worker.start()
            raise
        self._workers = []

    def _read_own(self, under: Mapping[str, Any]) -> Settings:
        return self._common.settings_with_targets(output=self._output, under=under, idle=True)

    def _read(self) -> Settings:
        """Read the settings; those that a hub has handed out lie under the edge's own."""
        return self._handed.read() if self._handed else self._read_own({})

    def stop(self) -> None:
        """End what runs, if it does not follow anything any more."""
        for worker in self._workers:
            worker.stop()

    def _follow(self, settings: Settings, source: Source, targets: list[Target]) -> None:
        workers = {worker.target.name: worker for worker in self._workers}
        kept = KeptLabels(LabelStore([target.lock for target in targets], settings.hub.state if settings.hub else None))
        drains = Drains(settings.state / drain_store.FILE)
        hub = _hub(settings, source)
        live = LiveReload(
            source,
            workers,
            settings,
            self._read,
            Assembly.revision,
            self._file,
            self._inbox,
            kept,
            drains=drains,
            others=[hub.target] if hub else [],
            beside=[self._handed.file] if self._handed else [],
        )
        view = View(
            live.loop,
            targets,
            self._workers,
            edges=_edges(hub),
            rollout=partial(_rollout, hub),
            validities=partial(_validities, hub, source),
        )
        _report(source, view, self._handed)
        if self._handed:
            from lbgen.daemon import edge

            edge.start(self._handed, assembly.hub_sources(source), live.loop, targets)
        with (
            hub.running(source.states) if hub else contextlib.nullcontext(),
            serve_status(settings.status.address, view, assembly.feeds(targets), settings=settings.status),
        ):
            live.run()


def _handed_out(settings: Settings, read_own: ReadOwn) -> HandedOut | None:
    if not any(part.hub for part in settings.parts.values()):
        return None
    from lbgen.daemon import edge

    return edge.handed_out(settings, read_own)


def _hub(settings: Settings, source: Source) -> RunningHub | None:
    if settings.hub is None:
        return None
    from lbgen.hub.running import RunningHub
    from lbgen.source.several import SeveralSources

    assert isinstance(source, SeveralSources)  # agents come and go
    return RunningHub(settings.hub, source.add, source.remove, settings.parts)


def _edges(hub: RunningHub | None) -> Callable[[], list[dict[str, Any]]] | None:
    if hub is None:
        return None
    from lbgen.status.edges import edge_document

    return lambda: [edge_document(known) for known in hub.edges()]


def _validities(hub: RunningHub | None, source: Source) -> list[Validity]:
    own = [hub.authority.validity()] if hub else []
    return [*own, *(validity for edge in assembly.hub_sources(source) for validity in edge.validities())]


def _rollout(hub: RunningHub | None) -> dict[str, Any] | None:
    if hub is None:
        return None
    from lbgen.status.edges import rollout_document

    return rollout_document(hub.rollout())


def _report(source: Source, view: View, handed: HandedOut | None) -> None:
    """Have hubs told what this edge serves, if it is one."""
    if hubs := assembly.hub_sources(source):
        from lbgen.status.edges import report_of
        from lbgen.status.server_counts import ServerCounts

        counts = ServerCounts()
        for each in hubs:
            each.report = partial(report_of, view, handed.report if handed else dict, counts)
