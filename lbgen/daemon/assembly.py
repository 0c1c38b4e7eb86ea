"""From settings to the objects that do the work: one source, and one target for each proxy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace

from lbgen.base.errors import SettingsError
from lbgen.daemon.target import Target
from lbgen.proxies.kind import Check, Kind, Setup
from lbgen.proxies.registry import KINDS
from lbgen.proxies.traefik.apply import Traefik
from lbgen.proxies.traefik.feed import Feed
from lbgen.render.limits import Bounds
from lbgen.render.renderer import Renderer, TargetContext, TemplateSet, find
from lbgen.settings import STATE_DIRECTORY, DockerSettings, Settings, TargetSettings
from lbgen.source import Source
from lbgen.source.file import FileSource


def source_of(settings: Settings) -> Source:
    """Return the source that the settings name; without one, the Docker endpoint of the environment."""
    if settings.source.file:
        return FileSource(settings.source.file, stack=settings.source.stack)
    # Here and not above: Docker's client is half of the start-up time, and a pipeline does without it.
    from lbgen.source.engine.endpoints import Tls
    from lbgen.source.engine.source import EngineSource

    docker = settings.source.docker or DockerSettings()
    tls = None
    if docker.tls:
        ca, cert, key = (str(path or "") for path in (docker.tls.ca, docker.tls.cert, docker.tls.key))
        tls = Tls(ca, cert, key, docker.tls.verify)
    return EngineSource(docker.endpoints or [""], tls=tls, cluster=docker.cluster, control_socket=docker.control_socket)


def chosen_targets(settings: Settings, proxy: str | None, templates: str | None) -> dict[str, TargetSettings]:
    """Return the settings' targets, or the one that the flags describe.

    Raises:
        SettingsError: there is none.
    """
    if proxy or templates:
        names = [name for name in (templates, proxy) if name]
        kept = settings.targets.get(proxy or "", None)
        return {
            proxy or "custom": kept.model_copy(update={"templates": names}) if kept else TargetSettings(templates=names)
        }
    if not settings.targets:
        raise SettingsError("no proxy to write for: name one with --proxy haproxy, or under 'targets' in the settings")
    return settings.targets


def renderer_of(name: str, target: TargetSettings, settings: Settings, *, program: bool = True) -> Renderer:
    """Return the target's renderer; raise TemplateError if its templates cannot be had.

    Args:
        program: ask the proxy's program what it is; else templates are told what they are where there is none.
    """
    setup = _setup(name, target, settings)
    return _renderer(setup if program else replace(setup, binary=""), find(target.templates))


def checker_of(name: str, target: TargetSettings, settings: Settings) -> Check:
    """Return what has the target's files checked, staged where nothing reads them."""
    setup = _setup(name, target, settings)
    return _kind(setup).checker(setup, None)


def preview_of(name: str, target: TargetSettings, settings: Settings) -> tuple[Renderer, Check]:
    """Return what renders and checks the target's files where they are only looked at."""
    return renderer_of(name, target, settings), checker_of(name, target, settings)


def revision_of(name: str, target: TargetSettings, settings: Settings) -> tuple[Renderer, Check]:
    """Return what is to render and check the files of a target that runs; raise what `target_of` would."""
    setup = _setup(name, target, settings)
    return _renderer(setup, find(target.templates)), _kind(setup).parts(setup).check


def target_of(name: str, target: TargetSettings, settings: Settings) -> Target:
    """Return the target with everything it needs to be applied."""
    setup = _setup(name, target, settings)
    renderer = _renderer(setup, find(target.templates))
    parts = _kind(setup).parts(setup)
    return Target(
        name,
        renderer,
        setup.output,
        parts.check,
        parts.proxy,
        supervisor=parts.supervisor,
        min_reload_interval=settings.min_reload_interval,
    )


def feeds_of(targets: Iterable[Target]) -> dict[str, Feed]:
    """Return what is handed out over HTTP, by target."""
    return {
        target.name: target.proxy.feed for target in targets if isinstance(target.proxy, Traefik) and target.proxy.feed
    }


def _setup(name: str, target: TargetSettings, settings: Settings) -> Setup:
    manifest = find(target.templates).manifest
    output = (target.output or STATE_DIRECTORY / name).absolute()
    return Setup(name, target, settings, manifest, output, target.binary or manifest.binary)


def _kind(setup: Setup) -> Kind:
    return KINDS[setup.manifest.proxy]


def _renderer(setup: Setup, templates: TemplateSet) -> Renderer:
    facts = _kind(setup).facts(setup)
    context = TargetContext(
        name=setup.name,
        output=str(setup.output),
        options=setup.target.options,
        **{field.name: getattr(facts, field.name) for field in fields(facts)},
    )
    bounds = Bounds(setup.target.render.timeout, setup.target.render.max_size)
    return Renderer(templates, context, setup.settings, setup.target.listeners, bounds)
