"""The flags that several commands have, and what they come to: settings, targets and a source."""

from __future__ import annotations

import contextlib
import functools
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import click

from lbgen.base import logs
from lbgen.base.errors import SettingsError, SourceError
from lbgen.daemon import assembly
from lbgen.model import Model, build
from lbgen.render.credentials import Reader, noted
from lbgen.render.templates import builtin_names
from lbgen.report import annotations as findings
from lbgen.report.positions import Places
from lbgen.settings import ENV_FILE, Settings, TargetSettings, default_file, load_settings
from lbgen.snapshot import Snapshot

F = TypeVar("F", bound=Callable[..., Any])

CONFIG = click.option(
    "--config",
    "config_file",
    envvar=ENV_FILE,
    type=click.Path(path_type=Path),
    help="Settings file. Default: lbgen.yml here, then /etc/lbgen/lbgen.yml, if there is one.",
)
FORM = click.option("--output", "form", type=click.Choice(["text", "json"]), default="text", help="Form of the result.")
REPORT = click.option(
    "--output",
    "form",
    type=click.Choice(["text", "json", "github", "gitlab"]),
    default="text",
    help="Form of the result; github: annotations for a workflow's log, gitlab: a code quality report.",
)
_DOCKER = (
    click.option(
        "--endpoint",
        metavar="URL",
        multiple=True,
        help="Docker endpoint to follow: unix://, tcp://, ssh:// or context:NAME; may be repeated, tried in "
        "order. Default: DOCKER_HOST, else the current Docker context.",
    ),
    click.option("--log-level", type=click.Choice(list(logs.LEVELS)), help="Least severe lines to log."),
    click.option("--log-format", type=click.Choice(["text", "json"]), help="Form of the log lines."),
)
_FROM = (
    click.option(
        "--from",
        "from_files",
        metavar="FILE",
        multiple=True,
        type=click.Path(path_type=Path),
        help="Read services, tasks and nodes from this file instead of Docker: a snapshot (see 'lbgen snapshot'), or a "
        "stack file as 'docker stack deploy' takes it; of the latter several may be given, to be merged.",
    ),
    click.option(
        "--stack",
        metavar="NAME",
        help="Name that the stack files of --from would be deployed as. Default: made from the first one's name.",
    ),
)
_TARGET = (
    click.option(
        "--proxy",
        metavar="KIND",
        help=f"Write for this proxy, whatever targets the settings have: {', '.join(builtin_names())}.",
    ),
    click.option("--templates", metavar="DIR", help="Your own templates, searched before those of --proxy."),
)


@dataclass(frozen=True)
class Given:
    """The common flags of one call, as given on the command line."""

    config_file: Path | None = None
    endpoint: tuple[str, ...] = ()
    log_level: str | None = None
    log_format: str | None = None
    from_files: tuple[Path, ...] = ()
    stack: str | None = None
    proxy: str | None = None
    templates: str | None = None

    def settings(self, log_level: str | None = None) -> Settings:
        """Read the settings, flags last, and set up logging.

        Args:
            log_level: where no flag names one; None: as the settings say.
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
        settings = load_settings(self.file, os.environ, flags)
        logs.configure(settings.log.level, settings.log.format)
        return settings

    @cached_property
    def file(self) -> Path | None:
        """The settings file, the same for the whole call: one that goes away later is missed, not replaced."""
        return self.config_file or default_file()

    def chosen(self, log_level: str | None = None, output: Path | None = None) -> Settings:
        """Read the settings as `settings` does, with the targets to write for and no others.

        Args:
            output: directory of the targets' files; None: as the settings say.
        """
        settings = self.settings(log_level)
        targets = self.targets(settings)
        if output:
            targets = {name: target.model_copy(update={"output": output}) for name, target in targets.items()}
        return settings.model_copy(update={"targets": targets})

    def targets(self, settings: Settings) -> dict[str, TargetSettings]:
        """Return the targets to write for; raise SettingsError if there is none."""
        return assembly.chosen_targets(settings, self.proxy, self.templates)

    @property
    def names_target(self) -> bool:
        """Whether a flag says which proxy to write for."""
        return bool(self.proxy or self.templates)


def given(*, source: bool = True, target: bool = True, file: bool = True) -> Callable[[F], F]:
    """Add the common flags to a command, which gets them as its first argument, a `Given`.

    Args:
        source: also the flags that say where facts come from and how to log.
        file: --from among them.
        target: also those that choose a proxy.
    """
    options = [CONFIG, *(_DOCKER if source else ()), *(_FROM if source and file else ())]
    options += _TARGET if target else ()

    def add(command: F) -> F:
        @functools.wraps(command)
        def called(**values: Any) -> Any:
            common = {name: values.pop(name) for name in Given.__dataclass_fields__ if name in values}
            return command(Given(**common), **values)

        wrapped: Any = called
        for option in reversed(options):
            wrapped = option(wrapped)
        return wrapped  # type: ignore[no-any-return]

    return add


def taken(settings: Settings) -> tuple[Snapshot, Model]:
    """Ask the source once; return what it says and what comes of it."""
    snapshot = assembly.source_of(settings).take()
    return snapshot, noted(build(snapshot, settings.rules()), Reader(settings).read())


def places_of(settings: Settings) -> Places:
    """Return where in the source's files things are written; in Docker they have no places."""
    return Places(settings.source.file)


@contextlib.contextmanager
def annotated(form: str) -> Iterator[None]:
    """Show an error that leaves nothing to report on in the form that was asked for, too."""
    try:
        yield
    except (SourceError, SettingsError) as error:
        if form == "github":
            show(findings.github(findings.of_error(error)))
        elif form == "gitlab":
            click.echo(json.dumps(findings.gitlab(findings.of_error(error)), indent=2))
        raise


def show(lines: Iterable[str]) -> None:
    """Print lines; colours are dropped where nobody would see them."""
    for line in lines:
        click.echo(line)
