"""The options that several commands have, and what they stand for: settings, targets and a source."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import click

from lbgen.base import logs
from lbgen.base.errors import SettingsError, SourceError
from lbgen.cli.output import print_json, print_lines
from lbgen.daemon import assembly, drain_store
from lbgen.daemon.drains import Drains
from lbgen.model import Model, build
from lbgen.render.credential_problems import slow_passwords, unseen_certificates, with_credential_problems
from lbgen.render.credentials import CredentialReader
from lbgen.render.templates import builtin_names
from lbgen.settings import ENV_FILE, Settings, TargetSettings, default_file, foreign_variables, load_settings
from lbgen.snapshot import Snapshot

F = TypeVar("F", bound=Callable[..., Any])

_CONFIG = click.option(
    "--config",
    "config_file",
    envvar=ENV_FILE,
    type=click.Path(path_type=Path),
    help="Settings file. Default: ./lbgen.yml, else /etc/lbgen/lbgen.yml, if it exists.",
)
_DOCKER = (
    click.option(
        "--endpoint",
        metavar="URL",
        multiple=True,
        help="Docker endpoint to follow: unix://, tcp://, ssh:// or context:NAME. May be repeated; tried in order. "
        "Default: DOCKER_HOST, else the current Docker context.",
    ),
    click.option("--log-level", type=click.Choice(list(logs.LEVELS)), help="Lowest severity to log."),
    click.option("--log-format", type=click.Choice(["text", "json"]), help="Format of the log lines."),
)
_FROM = (
    click.option(
        "--from",
        "from_files",
        metavar="FILE",
        multiple=True,
        type=click.Path(path_type=Path),
        help="Read services, tasks and nodes from this file instead of Docker: a snapshot (see 'lbgen snapshot'), or a "
        "stack file as 'docker stack deploy' takes it. Stack files may be repeated; they are merged in order.",
    ),
    click.option(
        "--stack",
        metavar="NAME",
        help="Name that the stack files of --from would be deployed under. Default: derived from the first one's name.",
    ),
)
_TARGET = (
    click.option(
        "--proxy",
        metavar="KIND",
        help=f"Write for this proxy instead of the settings' targets: {', '.join(builtin_names())}.",
    ),
    click.option("--templates", metavar="DIR", help="Your own templates, searched before those of --proxy."),
)
REQUIRE = click.option(
    "--require",
    metavar="SERVICE[,...]",
    multiple=True,
    callback=lambda _context, _option, values: tuple(
        name for value in values for name in map(str.strip, value.split(",")) if name
    ),
    help="Fail if one of these services is not routed, and say why (exit code 5). May be repeated.",
)
ALLOW_EMPTY = click.option("--allow-empty", is_flag=True, help="Accept that no service is routed.")


@dataclass(frozen=True)
class CommonOptions:
    """The common options of one call, as they were on the command line."""

    config_file: Path | None = None
    endpoint: tuple[str, ...] = ()
    log_level: str | None = None
    log_format: str | None = None
    from_files: tuple[Path, ...] = ()
    stack: str | None = None
    proxy: str | None = None
    templates: str | None = None

    def settings(self, log_level: str | None = None, under: Mapping[str, object] | None = None) -> Settings:
        """Read the settings, options last, and set up logging.

        Args:
            log_level: the level if no option names one; None: that of the settings.
            under: settings that a hub has handed out.
        """
        flags: dict[tuple[str, ...], object] = {
            ("log", "level"): self.log_level or log_level,
            ("log", "format"): self.log_format,
        }
        if self.from_files:
            flags["source",] = {"file": list(map(str, self.from_files))}
        elif self.endpoint:
            flags["source", "docker", "endpoints"] = list(self.endpoint)
        flags["source", "stack"] = self.stack
        settings = load_settings(self.file, os.environ, flags, under=under)
        logs.configure(settings.log.level, settings.log.format)
        self._foreign_variables_told  # noqa: B018 -- told once
        return settings

    def drains(self, settings: Settings) -> Drains:
        """Return what operators drain here; nothing of a file, which may be about any place."""
        return Drains(None if self.from_files else settings.state / drain_store.FILE)

    @cached_property
    def _foreign_variables_told(self) -> None:
        if names := foreign_variables(os.environ):
            logs.log.warning(
                "variables_ignored",
                names=", ".join(names),
                effect="they are taken for somebody else's, such as Kubernetes' links to services",
            )

    @cached_property
    def file(self) -> Path | None:
        """The settings file, the same for the whole call: one that is deleted later is missing, not replaced."""
        return self.config_file or default_file()

    def settings_with_targets(
        self,
        log_level: str | None = None,
        output: Path | None = None,
        under: Mapping[str, object] | None = None,
        *,
        idle: bool = False,
    ) -> Settings:
        """Read the settings as `settings` does, with the targets to write for and no others.

        Args:
            output: directory of the targets' files; None: that of the settings.
            under: as for `settings`.
            idle: a hub or an agent that offers facts needs no target.
        Raises:
            SettingsError: there is no target.
        """
        settings = self.settings(log_level, under)
        targets = self.targets(settings)
        if not targets and not (idle and _serves_others(settings)):
            raise SettingsError(
                "no proxy to write for: name one with --proxy haproxy, or under 'targets' in the settings"
            )
        if output:
            targets = {name: target.model_copy(update={"output": output}) for name, target in targets.items()}
        return settings.model_copy(update={"targets": targets})

    def targets(self, settings: Settings) -> dict[str, TargetSettings]:
        """Return the target that --proxy and --templates name, else those of the settings."""
        templates = [name for name in (self.templates, self.proxy) if name]
        if not templates:
            return settings.targets
        target = settings.targets.get(self.proxy or "", TargetSettings(templates=templates))
        return {self.proxy or "custom": target.model_copy(update={"templates": templates})}


def _serves_others(settings: Settings) -> bool:
    return bool(settings.hub or any(part.hub and part.hub.offer for part in settings.parts.values()))


def common_options(*, source: bool = True, target: bool = True, file: bool = True) -> Callable[[F], F]:
    """Add the common options to a command, which gets them as its first argument.

    Args:
        source: also those that name the source and the log's level and format.
        file: --from among them.
        target: also those that choose a proxy.
    """
    options = [_CONFIG, *(_DOCKER if source else ()), *(_FROM if source and file else ())]
    options += _TARGET if target else ()

    def decorate(command: F) -> F:
        @functools.wraps(command)
        def call(**values: Any) -> Any:
            common = {field.name: values.pop(field.name) for field in fields(CommonOptions) if field.name in values}
            return command(CommonOptions(**common), **values)

        decorated: Any = call
        for option in reversed(options):
            decorated = option(decorated)
        return decorated  # type: ignore[no-any-return]

    return decorate


def read_source(
    settings: Settings, proxies: Collection[str] = (), drains: Drains | None = None
) -> tuple[Snapshot, Model]:
    """Read the source once; return the snapshot and its model, with notes and problems of the credentials.

    Args:
        proxies: kinds of the targets' proxies; empty: not known.
        drains: what operators drain here; None: it does not count.
    """
    drains = drains or Drains()
    snapshot = drains.applied(assembly.source(settings).take())
    ages = drains.origins(snapshot)
    over = frozenset(id_ for id_, age in ages.items() if age >= settings.discovery.drain_grace)
    model = build(snapshot, settings.rules(), over)
    credentials = CredentialReader(settings, proxies=proxies).read()
    unseen = unseen_certificates(model, credentials, settings.certificates)
    notes = snapshot.notes + unseen + slow_passwords(credentials)
    return replace(snapshot, notes=notes), with_credential_problems(model, credentials)


@contextlib.contextmanager
def annotated_errors(form: str) -> Iterator[None]:
    """Show an error of the settings or the source in the format of a report, too."""
    try:
        yield
    except (SourceError, SettingsError) as error:
        from lbgen.report.annotations import error_annotations, github_lines, gitlab_report

        if form == "github":
            print_lines(github_lines(error_annotations(error)))
        elif form == "gitlab":
            print_json(gitlab_report(error_annotations(error)))
        raise
