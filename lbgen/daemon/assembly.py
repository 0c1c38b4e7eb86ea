"""From settings to the objects that do the work: the source, and the parts of each target.

Whether settings fit proxies and sources is decided here, where both are known; `lbgen config check` asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lbgen.proxies.kind import Check, Setup
from lbgen.proxies.registry import kind_of
from lbgen.render.context import TargetContext
from lbgen.render.kept_credentials import KeptCredentials
from lbgen.render.limits import Limits
from lbgen.render.renderer import Renderer
from lbgen.render.templates import find
from lbgen.settings import DockerSettings, HostSettings, Settings, SourceSettings, TargetSettings, TlsSettings
from lbgen.source import Source
from lbgen.source.file import FileSource

if TYPE_CHECKING:
    from lbgen.daemon.target import Target
    from lbgen.proxies.traefik.feed import Feed
    from lbgen.source.engine.docker_context import Tls
    from lbgen.source.hub.source import HubSource


def source(settings: Settings) -> Source:
    """Return the source that the settings name; if none, the Docker endpoint of the environment.

    Raises:
        SourceError: an endpoint has no known form.
    """
    facts = bool(settings.targets or settings.hub)
    parts = {name: _part(part, name, settings.state, facts=facts) for name, part in settings.parts.items()}
    if "" in parts and not settings.hub:
        return parts[""]
    from lbgen.source.last_known import store_in
    from lbgen.source.several import SeveralSources

    return SeveralSources(parts, store=store_in(settings.state))  # at a hub agents come and go


def _part(settings: SourceSettings, name: str, state: Path, *, facts: bool) -> Source:
    if settings.file:
        return FileSource(settings.file, stack=settings.stack)
    if settings.hub:
        from lbgen.daemon.edge import hub_source

        return hub_source(settings.hub, facts=facts)
    return _hosts(settings.hosts, name, state) if settings.hosts else _swarm(settings)


def _hosts(hosts: Sequence[HostSettings], part: str, state: Path) -> Source:
    from lbgen.source.hosts.host import Host
    from lbgen.source.hosts.source import HostsSource
    from lbgen.source.last_known import store_in

    known = [
        Host(host.name, host.endpoint, host.reached_at, host.labels, tuple(host.networks), _tls(host.tls))
        for host in hosts
    ]
    store = store_in(state)
    return HostsSource(known, store=lambda name: store(f"{part or 'hosts'}/{name}"))


def _swarm(settings: SourceSettings) -> Source:
    # Here and not above: Docker's client is half of the start-up time, and a file is read without it.
    from lbgen.source.engine.source import EngineSource

    docker = settings.docker or DockerSettings()
    endpoints, tls = docker.endpoints or [""], _tls(docker.tls)
    return EngineSource(endpoints, tls=tls, cluster=docker.cluster, control_socket=docker.control_socket)


def _tls(settings: TlsSettings | None) -> Tls | None:
    from lbgen.source.engine.docker_context import Tls

    if settings is None:
        return None
    ca, cert, key = (str(path or "") for path in (settings.ca, settings.cert, settings.key))
    return Tls(ca, cert, key, settings.verify)


def hub_sources(source: Source) -> list[HubSource]:
    """Return the sources among the daemon's that follow hubs."""
    from lbgen.source.hub.source import HubSource

    sources: list[Source] = getattr(source, "sources", [source])
    return [each for each in sources if isinstance(each, HubSource)]


def check(settings: Settings) -> list[str]:
    """Check that the settings can be used; return one line for each risk in them.

    Raises:
        SourceError, SettingsError, TemplateError: what `lbgen run` would raise, if the settings cannot be used.
    """
    risks: Callable[[], list[str]] = getattr(source(settings), "risks", list)  # a file has none
    for name, target in settings.targets.items():
        Assembly(name, target, settings).revision()
    return risks()


class Assembly:
    """One target of the settings, taken apart. Its template set is read once."""

    def __init__(self, name: str, target: TargetSettings, settings: Settings) -> None:
        """
        Raises:
            TemplateError: the template set cannot be read.
        """
        templates = find(target.templates)
        output = (target.output or settings.state / name).absolute()
        self._setup = Setup(name, target, settings, templates, output, target.binary or templates.manifest.binary)
        self._kind = kind_of(templates.manifest.proxy)

    def renderer(self, *, program: bool = True, keeps: bool = False) -> Renderer:
        """Return the target's renderer; raise TemplateError if its templates cannot be used.

        Args:
            program: tell templates the version of the proxy's program; if not, they render as without it.
            keeps: for a running target, where a broken certificate must not take a good one's place.
        """
        setup = self._setup
        facts = self._kind.facts(setup if program else setup.without_program())
        context = TargetContext(
            name=setup.name, output=str(setup.output), options=setup.target.options, **asdict(facts)
        )
        limits = Limits(setup.target.render.timeout, setup.target.render.max_size)
        kept = KeptCredentials(setup.output) if keeps else None
        return Renderer(setup.templates, context, setup.settings, setup.target.listeners, limits, kept)

    def preview(self) -> tuple[Renderer, Check]:
        """Return renderer and checker for files that are only looked at."""
        return self.renderer(), self.preview_checker()

    def preview_checker(self) -> Check:
        """Return the checker of files that are staged where no proxy reads them. It is made for the first of them."""
        checker = cache(lambda: self._kind.checker(self._setup, None))
        return lambda files: checker()(files)

    def revision(self) -> tuple[Renderer, Check]:
        """Return renderer and checker for a running target; raise what `target` does."""
        return self.renderer(keeps=True), self._kind.parts(self._setup).check

    def target(self) -> Target:
        """Return the target with all that it takes to apply its files.

        Raises:
            SettingsError: the settings do not fit the proxy.
            TemplateError: the templates cannot be used.
        """
        from lbgen.daemon.target import Target

        parts = self._kind.parts(self._setup)
        return Target(
            self._setup.name,
            self.renderer(keeps=True),
            self._setup.output,
            parts.check,
            parts.proxy,
            supervisor=parts.supervisor,
            unservable=parts.unservable,
            min_reload_interval=self._setup.settings.min_reload_interval,
        )


def feeds(targets: Iterable[Target]) -> dict[str, Feed]:
    """Return the configurations that are served over HTTP, by target."""
    from lbgen.proxies.traefik.apply import Traefik

    return {
        target.name: target.proxy.feed for target in targets if isinstance(target.proxy, Traefik) and target.proxy.feed
    }
