"""Live reload: `run` and `render` without --once go by settings and templates as they are saved."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from lbgen.base.errors import LbgenError, SettingsError
from lbgen.base.file_watch import watched
from lbgen.base.fingerprint import fingerprint
from lbgen.base.logs import log
from lbgen.daemon.assembly import Assembly
from lbgen.daemon.drains import Drains
from lbgen.daemon.kept_labels import KeptLabels
from lbgen.daemon.loop import Inbox, Loop, LoopTarget, News
from lbgen.daemon.signals import on_signal
from lbgen.proxies.kind import Check
from lbgen.render.credentials import KINDS, SYSTEM_FILES, CredentialReader
from lbgen.render.manifest import MANIFEST
from lbgen.render.renderer import Renderer
from lbgen.render.templates import builtin_names, find
from lbgen.settings import Settings
from lbgen.settings.reloadable import changed, revised
from lbgen.source import Source


def stopped_by_signals() -> Inbox:
    """Return an inbox into which SIGTERM and SIGINT put a stop.

    From the first moment of a command: until then process 1 of a container does not even see them.
    """
    inbox = Inbox()
    for number in (signal.SIGTERM, signal.SIGINT):
        on_signal(number, lambda: inbox.put(News(stop=True)))
    return inbox


class RevisableTarget(LoopTarget, Protocol):
    """One that can go by other settings, as both can."""

    @property
    def renderer(self) -> Renderer:
        """The renderer in use."""

    def revise(self, renderer: Renderer, check: Check, min_reload_interval: float) -> None:
        """Go by these from the next model on."""


class LiveReload:
    """A loop that goes by the settings, also when they are saved anew.

    A save of templates or credentials only has everything rendered again: settings and manifests are read where one of
    those has changed.
    """

    def __init__(
        self,
        source: Source,
        followers: Mapping[str, RevisableTarget],
        settings: Settings,
        read: Callable[[], Settings],
        parts: Callable[[Assembly], tuple[Renderer, Check]],
        file: Path | None,
        inbox: Inbox,
        kept: KeptLabels | None = None,
        beside: Sequence[Path] = (),
        drains: Drains | None = None,
        others: Sequence[LoopTarget] = (),
    ) -> None:
        """
        Args:
            followers: by the name of their target.
            read: reads the settings anew; raises SettingsError.
            parts: makes renderer and checker of a target; raises SettingsError or TemplateError.
            file: the settings file, if there is one.
            inbox: of the loop; a stop in it ends `run`.
            kept, drains: as for the loop.
            beside: files that `read` reads besides.
            others: besides the targets, what is kept at the model and goes by no settings: a hub.
        """
        self._followers, self._file, self._beside = followers, file, tuple(beside)
        grace, files = settings.discovery.drain_grace, self._credentials(settings)
        targets = [*followers.values(), *others]
        self.loop = Loop(
            source, settings.rules(), targets, drain_grace=grace, files=files, kept=kept, drains=drains, inbox=inbox
        )
        self._settings = self._wanted = settings  # in force, and as last read
        self._read, self._parts = read, parts
        self._complaint = ""
        self._waiting: list[str] = []
        self._stamp: object = self._configuration()  # None: read everything at the next save

    def run(self) -> None:
        """Run the loop until it is stopped; on SIGHUP read everything again."""
        with watched(self.paths, self.saved) as saves:

            def reload() -> None:
                self._stamp = None
                saves.ask()

            on_signal(signal.SIGHUP, reload)
            self.loop.run()

    def paths(self) -> set[Path]:
        """Return the files and directories that are watched: settings, templates, and the files that labels name."""
        paths = set(self._configuration_files())
        for settings in (self._settings, self._wanted):
            targets = settings.targets.values()
            names = {name for target in targets for name in target.templates} - set(builtin_names())
            paths |= {*map(Path, names), *(getattr(settings, kind) for kind in KINDS)}
        paths |= {self.loop.drains.path} if self.loop.drains.path else set()
        return {*paths, *[path for path in SYSTEM_FILES if path.exists()][:1]}

    def saved(self) -> None:
        """Go by what was saved. What cannot be used is logged once, and changes nothing."""
        before, self._stamp = self._stamp, self._configuration()
        if self._stamp is not None and self._stamp == before:
            self.loop.poke()
            return
        try:
            settings, parts = self._reread()
        except Exception as error:
            self._stamp = None  # what it complains of may be in any file
            if not isinstance(error, LbgenError):
                raise
            self._complain(error)
            self.loop.poke()  # templates may have been saved too
            return
        if self._complaint:
            log.info("usable_again")
        self._complaint = ""
        if keys := ", ".join(changed(self._settings, settings)):
            log.info("settings_taken", changed=keys)
        self._settings = settings
        if parts:
            self.loop.between_rounds(partial(self._take, settings, parts))
        else:
            self.loop.poke()

    def _configuration_files(self) -> list[Path]:
        """Return the settings file, if there is one, and the files that the settings consist of besides."""
        named = (file.path for each in (self._settings, self._wanted) for file in each.discovery.traefik.files)
        return [*([self._file] if self._file else []), *self._beside, *map(Path, dict.fromkeys(named))]

    def _configuration(self) -> object:
        """Return a value that changes with the settings' files and the sets' manifests; None: they may just change."""
        roots = [root for each in self._followers.values() for root in each.renderer.templates.directories]
        files = [fingerprint(path) for path in [*self._configuration_files(), *(root / MANIFEST for root in roots)]]
        settled = all(file is None or file.settled() for file in files)
        return (files, [root.is_dir() for root in roots]) if settled else None

    def _reread(self) -> tuple[Settings, dict[str, tuple[Renderer, Check]]]:
        """Return the settings to go by now, and the targets' renderers and checkers if they change.

        Raises:
            SettingsError, TemplateError: the settings or a set cannot be used.
        """
        self._wanted = self._read()
        settings, waiting = revised(self._settings, self._wanted)
        self._tell_of(waiting)
        if settings == self._settings and not any(map(self._has_other_manifest, self._followers)):
            return settings, {}
        return settings, {name: self._parts_of(name, settings) for name in self._followers}

    def _has_other_manifest(self, name: str) -> bool:
        templates = find(self._settings.targets[name].templates)
        return templates.manifest != self._followers[name].renderer.templates.manifest

    def _take(self, settings: Settings, parts: Mapping[str, tuple[Renderer, Check]]) -> None:
        files = self._credentials(settings)
        self.loop.revise(settings.rules(), drain_grace=settings.discovery.drain_grace, files=files)
        for name, (renderer, check) in parts.items():
            self._followers[name].revise(renderer, check, settings.min_reload_interval)

    def _credentials(self, settings: Settings) -> CredentialReader:
        """Return the reader for problems: what is kept for one target is kept for all."""
        kept = [each.renderer.credentials.kept for each in self._followers.values()]
        first = next((each for each in kept if each), None)
        proxies = {each.renderer.templates.manifest.proxy for each in self._followers.values()}
        return CredentialReader(settings, kept=first.reading() if first else None, proxies=proxies)

    def _parts_of(self, name: str, settings: Settings) -> tuple[Renderer, Check]:
        renderer, check = self._parts(Assembly(name, settings.targets[name], settings))
        before, now = self._followers[name].renderer.templates.manifest.proxy, renderer.templates.manifest.proxy
        if before != now:
            raise SettingsError(f"targets.{name}.templates: now for {now} instead of {before}: restart lbgen")
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
                remedy="restart lbgen",
            )
        self._waiting = waiting
