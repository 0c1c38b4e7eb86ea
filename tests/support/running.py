"""A proxy that serves a snapshot, brought there as `lbgen run` does it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from lbgen.base.address import split_bind
from lbgen.daemon import assembly
from lbgen.daemon.target import Target
from lbgen.model import build
from lbgen.render.templates import builtin_names
from lbgen.settings import Settings
from lbgen.snapshot import Snapshot
from tests.support.builders import Fact, a_network, a_node, a_snapshot
from tests.support.ports import free_port
from tests.support.wait import wait_for

PROXIES = [name for name in ("haproxy", "nginx", "traefik") if name in builtin_names()]


@contextlib.contextmanager
def running(settings: Settings, snapshot: Snapshot) -> Iterator[dict[str, int]]:
    """Have the proxy serve the snapshot, brought there as `lbgen run` does it; give the listeners' ports."""
    with changing(settings, snapshot):
        yield ports_of(settings)


@contextlib.contextmanager
def serving(proxy: str, directory: Path, *facts: Fact, **listener: object) -> Iterator[int]:
    """Have a proxy of this kind serve these facts on one listener, which may have more settings; give its port."""
    settings = Settings.model_validate(
        {
            "listeners": {"web": {"bind": f"127.0.0.1:{free_port()}", **listener}},
            "status": {"bind": ""},
            "targets": {
                "edge": {
                    "templates": [proxy],
                    "output": str(directory / "out"),
                    "probe": f"127.0.0.1:{free_port()}",
                    "apply": {"run": True},
                }
            },
        }
    )
    with running(settings, a_snapshot(a_node(), a_network("edge"), *facts)) as ports:
        yield ports["web"]


def ports_of(settings: Settings) -> dict[str, int]:
    """Return the listeners' ports."""
    return {name: split_bind(listener.bind)[1] for name, listener in settings.listeners.items()}


@contextlib.contextmanager
def changing(settings: Settings, snapshot: Snapshot) -> Iterator[Callable[[Snapshot], str]]:
    """Have the proxy serve the snapshot; give a function that brings it to another one and returns the method."""
    target: Target = assembly.Assembly("edge", settings.targets["edge"], settings).target()

    def bring_to(wanted: Snapshot) -> str:
        model = build(wanted, settings.rules())
        wait_for(lambda: target.bring_to(model, wanted), "the proxy to serve the snapshot")
        return target.history.changes[-1].method

    target.start()
    try:
        bring_to(snapshot)
        yield bring_to
    finally:
        target.stop()
