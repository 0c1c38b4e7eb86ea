"""The flags that several commands have, and what they come to: settings, targets and a source."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from lbgen import config, logs, wiring
from lbgen.model import Model, build
from lbgen.named_files import Reader, noted
from lbgen.render.templates import builtin_names
from lbgen.snapshot import Snapshot

F = TypeVar("F", bound=Callable[..., Any])

CONFIG = click.option(
    "--config",
    "config_file",
    envvar=config.ENV_FILE,
    type=click.Path(path_type=Path),
    help="Settings file. Default: lbgen.yml here, then /etc/lbgen/lbgen.yml, if there is one.",
)
FORM = click.option("--output", "form", type=click.Choice(["text", "json"]), default="text", help="Form of the result.")
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
_FROM = click.option(
    "--from",
    "from_file",
    type=click.Path(path_type=Path),
    help="Read services, tasks and nodes from this snapshot file (see 'lbgen snapshot') instead of Docker.",
)
_TARGET = (
    click.option(
        "--proxy",
        metavar="KIND",
        help=f"Write for this proxy, whatever targets the settings have: {', '.join(builtin_names())}.",
    ),
    click.option("--templates", metavar="DIR", help="Your own templates, searched before those of --proxy."),
)


@dataclass(frozen=True, slots=True)
class Given:
    """The common flags of one call, as given on the command line."""

    config_file: Path | None = None
    endpoint: tuple[str, ...] = ()
    log_level: str | None = None
    log_format: str | None = None
    from_file: Path | None = None
    proxy: str | None = None
    templates: str | None = None

    def settings(self, log_level: str | None = None) -> config.Settings:
        """Read the settings, flags last, and set up logging.

        Args:
            log_level: where no flag names one; None: as the settings say.
        """
        file = self.config_file or next((path for path in config.DEFAULT_FILES if path.is_file()), None)
        flags: dict[tuple[str, ...], object] = {
            ("log", "level"): self.log_level or log_level,
            ("log", "format"): self.log_format,
        }
        if self.from_file:
            flags["source",] = {"file": str(self.from_file)}
        elif self.endpoint:
            flags["source", "docker", "endpoints"] = list(self.endpoint)
        settings = config.load(file, os.environ, flags)
        logs.configure(settings.log.level, settings.log.format)
        return settings

    def targets(self, settings: config.Settings) -> dict[str, config.Target]:
        """Return the targets to write for; raise SettingsError if there is none."""
        return wiring.chosen_targets(settings, self.proxy, self.templates)

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
    options = [CONFIG, *(_DOCKER if source else ()), *((_FROM,) if source and file else ())]
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


def taken(settings: config.Settings) -> tuple[Snapshot, Model]:
    """Ask the source once; return what it says and what comes of it."""
    snapshot = wiring.source_of(settings).take()
    return snapshot, noted(build(snapshot, settings.rules()), Reader(settings).read())


def show(lines: Iterable[str]) -> None:
    """Print lines; colours are dropped where nobody would see them."""
    for line in lines:
        click.echo(line)
