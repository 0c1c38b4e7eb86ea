"""What `run` and `render` without --once share: the loop, ended by signals, kept at what is saved while it runs."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

import structlog

from lbgen import config
from lbgen.authoring import watched
from lbgen.errors import LbgenError, SettingsError
from lbgen.loop import Follower, Loop
from lbgen.named_files import Reader
from lbgen.render import Files, Renderer, find
from lbgen.render.templates import builtin_names
from lbgen.revision import changed, revised
from lbgen.source import Source

log = structlog.get_logger()

Check = Callable[[Files], None]


class Revisable(Follower, Protocol):
    """A follower that can go by other settings: a Lane, or a Preview."""

    @property
    def renderer(self) -> Renderer:
        """What renders its files now."""

    def revise(self, renderer: Renderer, check: Check, min_reload_interval: float) -> None:
        """Go by these from the next model on."""


class Following:
    """A loop at what the settings say, also when they are saved anew."""

    def __init__(
        self,
        source: Source,
        followers: Mapping[str, Revisable],
        settings: config.Settings,
        read: Callable[[], config.Settings],
        parts: Callable[[str, config.Target, config.Settings], tuple[Renderer, Check]],
        file: Path | None,
    ) -> None:
        """
        Args:
            followers: by the name of their target.
            read: reads the settings anew; raises SettingsError.
            parts: makes what renders and checks a target's files; raises SettingsError or TemplateError.
            file: that the settings come from, if there is one.
        """
        grace = settings.discovery.drain_grace
        self.loop = Loop(source, settings.rules(), list(followers.values()), drain_grace=grace, files=Reader(settings))
        self._followers, self._file = followers, file
        self._settings = self._wanted = settings  # in force, and as last read
        self._read, self._parts = read, parts
        self._complaint = ""
        self._waiting: list[str] = []

    def run(self) -> None:
        """Run the loop until a signal ends it; SIGHUP has everything read again."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.loop.stop())
        with watched(self.paths, self.saved) as saves:
            signal.signal(signal.SIGHUP, lambda *_: saves.ask())
            self.loop.run()

    def paths(self) -> Iterator[Path]:
        """Return what has an effect when it is saved: settings, templates, and the files that labels name."""
        if self._file:
            yield self._file
        for settings in (self._settings, self._wanted):
            targets = settings.targets.values()
            for target in targets:
                yield from (Path(name) for name in target.templates if name not in builtin_names())
            bases = {Path(), *(target.output for target in targets if target.output)}
            for directory in (settings.certificates, settings.users, settings.client_cas):
                yield from (base / directory for base in bases)

    def saved(self) -> None:
        """Take over what was saved; what cannot be used is told of once, and changes nothing."""
        try:
            self._wanted = self._read()
            settings, waiting = revised(self._settings, self._wanted)
            self._tell_of(waiting)
            stale = settings != self._settings or any(
                _manifest(settings.targets[name]) != follower.renderer.templates.manifest
                for name, follower in self._followers.items()
            )
            parts = {name: self._parts_of(name, settings) for name in self._followers} if stale else {}
        except LbgenError as error:
            self._complain(error)
            self.loop.poke()  # templates may have been saved too
            return
        if self._complaint:
            log.info("usable_again")
        self._complaint = ""
        if not stale:
            self.loop.poke()
            return
        keys = ", ".join(changed(self._settings, settings))
        self._settings = settings
        self.loop.between_rounds(partial(self._take, settings, parts))
        if keys:
            log.info("settings_taken", changed=keys)

    def _take(self, settings: config.Settings, parts: Mapping[str, tuple[Renderer, Check]]) -> None:
        self.loop.revise(settings.rules(), drain_grace=settings.discovery.drain_grace, files=Reader(settings))
        for name, (renderer, check) in parts.items():
            self._followers[name].revise(renderer, check, settings.min_reload_interval)

    def _parts_of(self, name: str, settings: config.Settings) -> tuple[Renderer, Check]:
        renderer, check = self._parts(name, settings.targets[name], settings)
        before, now = self._followers[name].renderer.templates.manifest.proxy, renderer.templates.manifest.proxy
        if before != now:
            raise SettingsError(f"targets.{name}.templates: now for {now} instead of {before}: start lbgen anew")
        return renderer, check

    def _complain(self, error: LbgenError) -> None:
        if str(error) != self._complaint:
            event = "settings_refused" if isinstance(error, SettingsError) else "templates_refused"
            log.error(event, error=str(error), effect="those before stay in force")
        self._complaint = str(error)

    def _tell_of(self, waiting: list[str]) -> None:
        if waiting and waiting != self._waiting:
            log.warning(
                "restart_needed",
                settings=", ".join(waiting),
                effect="the values before stay in force till then",
                remedy="start lbgen anew",
            )
        self._waiting = waiting


def _manifest(target: config.Target) -> object:
    return find(target.templates).manifest
