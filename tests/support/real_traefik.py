"""A real Traefik on rendered files. For tests marked ``proxy``.

``TEST_TRAEFIK=/path/to/traefik pytest -m proxy`` asks another version than the one in PATH. Servers and clients are
those of `real_haproxy`.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lbgen.base.errors import ProxyUnreachable
from lbgen.model import Listener, build
from lbgen.proxies import disk
from lbgen.proxies.traefik.api import Api
from lbgen.proxies.traefik.apply import DYNAMIC, in_order
from lbgen.render.context import TargetContext
from lbgen.render.renderer import Files, Renderer
from lbgen.render.templates import find
from lbgen.settings import Settings
from lbgen.snapshot import Snapshot
from tests.support.builders import Fact, a_network, a_node, a_rules, a_snapshot
from tests.support.wait import wait_for

BINARY = os.environ.get("TEST_TRAEFIK", "traefik")
VERSION = "3.7"  # of the features that are rendered
EDGE = a_network("edge")


def renderer(
    output: Path | str = "/var/lib/lbgen/edge",
    *directories: Path | str,
    probe: str = "127.0.0.1:8080",
    feed: str = "",
    certificates: Path = Path("/does/not/exist"),
    **options: Any,
) -> Renderer:
    """A renderer of the built-in set, with these directories before it."""
    templates = find([*map(str, directories), "traefik"])
    context = TargetContext(
        "edge", str(output), templates.options({"version": VERSION, **options}), probe=probe, feed=feed
    )
    return Renderer(templates, context, Settings(certificates=certificates))


def rendered(made: Renderer, listeners: Iterable[Listener], *facts: Fact) -> Files:
    """The files for a cluster of these facts, in which nothing is wrong."""
    snapshot: Snapshot = a_snapshot(a_node(), EDGE, *facts)
    model = build(snapshot, a_rules(*listeners))
    assert model.problems == ()
    return made.render(model, snapshot)


def write(files: Files, output: Path) -> None:
    """Put files into the output directory as lbgen does."""
    output.mkdir(parents=True, exist_ok=True)
    disk.write(output, in_order(files.texts), stage=output)


class Process:
    """A Traefik on a static file."""

    def __init__(self, static: Path, api_port: int) -> None:
        self.api, self.log = Api("127.0.0.1", api_port), static.parent / f"traefik-{api_port}.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [BINARY, f"--configFile={static}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=static.parent
            )
        wait_for(self._is_up, "traefik to start")

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def serves(self, generation: str, provider: str = "file") -> None:
        """Wait until it serves this generation."""
        wait_for(lambda: self.generation(provider) == generation, f"generation {generation}; {self.log.read_text()}")

    def generation(self, provider: str = "file") -> str:
        """The generation it serves."""
        return self.api.generation(provider)

    def refused(self, provider: str = "file") -> list[str]:
        """What it did not take."""
        return self.api.refused(provider, lambda _: True)

    def health(self, service: str, provider: str = "file") -> dict[str, str]:
        """The status of each server of a service."""
        found, _ = self.api.get(f"http/services/{service}@{provider}")
        return dict((found or {}).get("serverStatus", {}))

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _is_up(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        try:
            return bool(self.api.entry_points())
        except ProxyUnreachable:
            return False


def pid_of(static: Path) -> int:
    """The pid of the Traefik on this static file, 0 if none runs."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"--configFile={static}" in (process / "cmdline").read_text().split("\0"):
                return int(process.name)
    return 0


def generation_of(output: Path) -> str:
    """The generation that the file on disk names."""
    return (output / DYNAMIC).read_text().partition('"X-Lbgen-Generation": "')[2][:12]
