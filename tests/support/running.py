"""A proxy that serves a snapshot, brought there as `lbgen run` does it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from lbgen.base.address import split_bind
from lbgen.daemon import assembly
from lbgen.daemon.target import Target
from lbgen.model import build
from lbgen.render.templates import builtin_names
from lbgen.settings import Settings
from lbgen.snapshot import Snapshot
from tests.support.wait import wait_for

PROXIES = [name for name in ("haproxy", "nginx", "traefik") if name in builtin_names()]


@contextlib.contextmanager
def running(settings: Settings, snapshot: Snapshot) -> Iterator[dict[str, int]]:
    """Have the proxy serve the snapshot, brought there as `lbgen run` does; give the listeners' ports."""
    target: Target = assembly.Assembly("edge", settings.targets["edge"], settings).target()
    target.start()
    try:
        model = build(snapshot, settings.rules())
        wait_for(lambda: target.bring_to(model, snapshot), "the proxy to serve the snapshot")
        yield {name: split_bind(listener.bind)[1] for name, listener in settings.listeners.items()}
    finally:
        target.stop()
