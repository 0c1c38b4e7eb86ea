"""The kinds of proxies: what is particular about each, put together for `wiring`. A module for each kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lbgen.base.errors import SettingsError
from lbgen.proxies.proxy import Proxy
from lbgen.proxies.supervisor import Supervisor
from lbgen.render.manifest import Manifest
from lbgen.render.renderer import Files
from lbgen.settings import Settings, TargetSettings


@dataclass(frozen=True, slots=True)
class Setup:
    """What is known of a target before anything of it runs."""

    name: str
    target: TargetSettings
    settings: Settings
    manifest: Manifest
    output: Path  # absolute
    binary: str

    def needs_run(self, takes: str) -> None:
        """Raise SettingsError unless the proxy is ours to run; ``takes`` says which ways this kind knows."""
        chosen = self.target.apply.chosen
        if chosen not in ("", "run") or not (chosen or self.manifest.run):
            said = f"not {chosen}" if chosen else "name one"
            raise SettingsError(f"targets.{self.name}.apply: {takes}; {said}")


@dataclass(frozen=True, slots=True)
class Facts:
    """What templates have to know of the proxy that is there; see `render.TargetContext`."""

    version: tuple[int, ...] = ()  # (1, 22, 1); empty: not known
    modules: tuple[str, ...] = ()  # paths of modules to load
    stats_socket: str = ""
    pid_file: str = ""
    probe: str = ""
    feed: str = ""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a target is made of besides its renderer."""

    proxy: Proxy
    check: Callable[[Files], None]
    supervisor: Supervisor | None = None
