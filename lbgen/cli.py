"""The commands. Results go to standard output, logs and errors to standard error; nobody imports this."""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import structlog

import lbgen
from lbgen import config, logs, wiring
from lbgen.apply.supervise import reap_orphans
from lbgen.authoring import watched
from lbgen.errors import LbgenError, ProblemsFound
from lbgen.lane import Lane
from lbgen.lint import Limit, Report, limits
from lbgen.loop import Follower, Loop
from lbgen.model import build
from lbgen.named_files import Reader, noted
from lbgen.preview import Preview, Wishes
from lbgen.render import Renderer
from lbgen.render.templates import builtin_names
from lbgen.source import Source
from lbgen.source.file import write_snapshot
from lbgen.status import client, text
from lbgen.status.server import served
from lbgen.status.view import View

log = structlog.get_logger()
F = TypeVar("F", bound=Callable[..., Any])

EXIT_CODES = """
\b
Exit codes:
  0  fine
  1  something unexpected
  2  the command line or the settings cannot be used
  3  the proxy's checker, or a template, refused
  4  the source (Docker, or the file) cannot be read; status, history: no daemon answers
  5  problems were found (lint, render --strict)
  6  the result differs from the directory given to --diff
"""


class Group(click.Group):
    """Turns every error raised on purpose into its message and exit code: the only place that does."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except LbgenError as error:
            click.echo(f"lbgen: {error}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
def main() -> None:
    """Keep a load balancer's configuration true to a Docker Swarm.

    lbgen follows the services, tasks and nodes of a Swarm (or a recorded snapshot of one), works out who may
    receive traffic, renders the proxy's configuration, has the proxy's own binary check it, applies it and proves
    that it is live. A service takes part when it has the label lbgen.enable=true.

    \b
    Try it without a Swarm:
      lbgen render --once --from examples/snapshot.yml --proxy haproxy
    """


_CONFIG = click.option(
    "--config",
    "config_file",
    envvar=config.ENV_FILE,
    type=click.Path(path_type=Path),
    help="Settings file. Default: lbgen.yml here, then /etc/lbgen/lbgen.yml, if there is one.",
)


def _common(command: F) -> F:
    """Add the flags that every command reading settings has."""
    for option in reversed(
        [
            _CONFIG,
            click.option(
                "--endpoint",
                metavar="URL",
                multiple=True,
                help="Docker endpoint to follow: unix://, tcp://, ssh:// or context:NAME; may be repeated, tried in "
                "order. Default: DOCKER_HOST, else the current Docker context.",
            ),
            click.option("--log-level", type=click.Choice(list(logs.LEVELS)), help="Least severe lines to log."),
            click.option("--log-format", type=click.Choice(["text", "json"]), help="Form of the log lines."),
        ]
    ):
        command = option(command)
    return command


def _from(command: F) -> F:
    return click.option(
        "--from",
        "from_file",
        type=click.Path(path_type=Path),
        help="Read services, tasks and nodes from this snapshot file (see 'lbgen snapshot') instead of Docker.",
    )(command)


def _target(command: F) -> F:
    for option in reversed(
        [
            click.option(
                "--proxy",
                metavar="KIND",
                help=f"Write for this proxy, whatever targets the settings have: {', '.join(builtin_names())}.",
            ),
            click.option(
                "--templates",
                metavar="DIR",
                help="Your own templates, searched before those of --proxy.",
            ),
        ]
    ):
        command = option(command)
    return command


@main.command()
@_common
@_from
@_target
@click.option("-o", "output", type=click.Path(path_type=Path), help="Directory of the proxy's files.")
def run(
    config_file: Path | None,
    endpoint: tuple[str, ...],
    log_level: str | None,
    log_format: str | None,
    from_file: Path | None,
    proxy: str | None,
    templates: str | None,
    output: Path | None,
) -> None:
    """Follow, render, check, apply, verify: the daemon.

    Serves with the last good files from the start, also while Docker cannot be reached. Ends on SIGTERM or SIGINT,
    re-renders on SIGHUP.
    """
    settings = _settings(config_file, endpoint, log_level, log_format, from_file)
    chosen = wiring.chosen_targets(settings, proxy, templates)
    if output:
        chosen = {name: target.model_copy(update={"output": output}) for name, target in chosen.items()}
    targets = [wiring.target_of(name, target, settings) for name, target in chosen.items()]
    log.info("started", version=lbgen.__version__, pid=os.getpid())
    lanes = [Lane(target) for target in targets]
    loop = _loop(settings, wiring.source_of(settings), lanes)
    ended = threading.Event()
    if os.getpid() == 1:
        threading.Thread(target=reap_orphans, args=[ended], name="reap", daemon=True).start()
    with served(_status_address(settings), View(loop, targets, lanes), wiring.feeds_of(targets)):
        _run(loop, [target.renderer for target in targets], settings)
    ended.set()
    log.info("stopped")


@main.command()
@_common
@_from
@_target
@click.option("--once", is_flag=True, help="Render once and exit; without it, again after every change.")
@click.option("-o", "output", metavar="DIR|-", default="-", help="Where the files go. Default: -, standard output.")
@click.option("--check", is_flag=True, help="Have the proxy's own binary check the result (exit code 3).")
@click.option(
    "--diff", type=click.Path(path_type=Path), metavar="DIR", help="Show what differs from these files (exit code 6)."
)
@click.option("--strict", is_flag=True, help="Fail if any service has a problem (exit code 5).")
@click.option("--output", "form", type=click.Choice(["text", "json"]), default="text", help="Form of the result.")
def render(
    config_file: Path | None,
    endpoint: tuple[str, ...],
    log_level: str | None,
    log_format: str | None,
    from_file: Path | None,
    proxy: str | None,
    templates: str | None,
    once: bool,
    output: str,
    check: bool,
    diff: Path | None,
    strict: bool,
    form: str,
) -> None:
    """Print or write the configuration lbgen would apply; apply nothing."""
    settings = _settings(config_file, endpoint, log_level or "warning", log_format, from_file)
    chosen = wiring.chosen_targets(settings, proxy, templates)
    previews = []
    for name, target in chosen.items():
        directory = None if output == "-" else Path(output) / (name if len(chosen) > 1 else "")
        compared = diff / (name if len(chosen) > 1 else "") if diff else None
        wishes = Wishes(directory, True, check, compared, strict, form == "json")
        renderer = wiring.renderer_of(name, target, settings)
        previews.append(Preview(name, renderer, wiring.checker_of(name, target, settings), wishes))
    source = wiring.source_of(settings)
    if not once:
        loop = _loop(settings, source, previews)
        _run(loop, [preview.renderer for preview in previews], settings)
        return
    snapshot = source.take()
    model = noted(build(snapshot, settings.rules()), Reader(settings).read())
    for problem in model.problems:
        log.warning("problem", problem=str(problem))
    failures = []
    for preview in previews:
        try:
            preview.show(preview.renderer.render(model, snapshot), model)
        except LbgenError as error:
            failures.append(error)
    if failures:
        raise min(failures, key=lambda error: error.exit_code)


@main.command()
@_common
@_from
@_target
@click.option("--strict", is_flag=True, help="Also fail where a proxy can do what is asked only in part.")
@click.option("--output", "form", type=click.Choice(["text", "json"]), default="text", help="Form of the result.")
def lint(
    config_file: Path | None,
    endpoint: tuple[str, ...],
    log_level: str | None,
    log_format: str | None,
    from_file: Path | None,
    proxy: str | None,
    templates: str | None,
    strict: bool,
    form: str,
) -> None:
    """List problems with labels and nodes, and what the proxies cannot do of what is asked (exit code 5).

    What a proxy can do in part is listed with what happens instead, and is no reason to fail. Without --proxy the
    settings' targets are asked; without any, only problems are listed.
    """
    settings = _settings(config_file, endpoint, log_level or "warning", log_format, from_file)
    chosen = wiring.chosen_targets(settings, proxy, templates) if proxy or templates else settings.targets
    snapshot = wiring.source_of(settings).take()
    model = noted(build(snapshot, settings.rules()), Reader(settings).read())
    found: list[Limit] = []
    for name, target in chosen.items():
        renderer = wiring.renderer_of(name, target, settings)
        kind = renderer.templates.manifest.proxy
        found += limits(renderer.served(model), snapshot, name, kind, renderer.target.version)
    report = Report(model.problems, tuple(found))
    if form == "json":
        click.echo(json.dumps(report.document(), indent=2))
    else:
        _show(report.lines())
    if report.failing(strict=strict):
        sys.exit(ProblemsFound.exit_code)


@main.command()
@_common
@click.option("-o", "output", type=click.Path(path_type=Path), help="File to write. Default: standard output.")
def snapshot(
    config_file: Path | None,
    endpoint: tuple[str, ...],
    log_level: str | None,
    log_format: str | None,
    output: Path | None,
) -> None:
    """Record the Swarm's services, tasks, nodes and networks, for 'lbgen render --from'.

    Records what lbgen reads and nothing else: no environment variables, mounts, commands, configs or secrets. Labels
    of services and nodes are part of it.
    """
    settings = _settings(config_file, endpoint, log_level or "warning", log_format, None)
    text = write_snapshot(wiring.source_of(settings).take(), output)
    if not output:
        click.echo(text, nl=False)


def _asking(command: F) -> F:
    """Add the flags of the commands that ask a running daemon."""
    for option in reversed(
        [
            _CONFIG,
            click.option(
                "--status", "url", metavar="URL", help="Where it answers. Default: status.bind of the settings, here."
            ),
            click.option(
                "--output", "form", type=click.Choice(["text", "json"]), default="text", help="Form of the result."
            ),
        ]
    ):
        command = option(command)
    return command


@main.command("status")
@_asking
@click.option("--ready", is_flag=True, help="Only tell by the exit code (0, 1) whether it has served a snapshot yet.")
def status_command(config_file: Path | None, url: str | None, form: str, ready: bool) -> None:
    """Ask a running daemon how it is: generation, source, servers by state, problems."""
    url = _daemon(config_file, url)
    if ready:
        why = client.unready(url)
        click.echo(why or "ready", err=bool(why))
        sys.exit(1 if why else 0)
    document = client.ask(url, "/api/v1/status")
    if form == "json":
        click.echo(json.dumps(document, indent=2))
    else:
        _show(text.status(document, client.ask(url, "/api/v1/problems")))


@main.command()
@_asking
@click.option("--limit", type=click.IntRange(1, 10000), default=20, show_default=True, help="How many, at most.")
def history(config_file: Path | None, url: str | None, form: str, limit: int) -> None:
    """Ask a running daemon what it changed last, how, why, and how long after the change in Swarm that was live."""
    document = client.ask(_daemon(config_file, url), f"/api/v1/history?limit={limit}")
    if form == "json":
        click.echo(json.dumps(document, indent=2))
    else:
        _show(text.history(document))


@main.group("config")
def config_group() -> None:
    """Check the settings, or describe them."""


@config_group.command("check")
@_common
def config_check(
    config_file: Path | None, endpoint: tuple[str, ...], log_level: str | None, log_format: str | None
) -> None:
    """Read the settings and the template sets they name; list everything that is wrong (exit code 2)."""
    settings = _settings(config_file, endpoint, log_level, log_format, None)
    for name, target in settings.targets.items():
        wiring.renderer_of(name, target, settings)
    click.echo("the settings are fine")


@config_group.command("schema")
def config_schema() -> None:
    """Print the JSON Schema of the settings file."""
    click.echo(json.dumps(config.Settings.model_json_schema(), indent=2))


@main.command()
@click.option("--output", "form", type=click.Choice(["text", "json"]), default="text", help="Form of the result.")
def version(form: str) -> None:
    """Print the version."""
    if form == "json":
        click.echo(json.dumps({"lbgen": lbgen.__version__, "python": platform.python_version()}))
    else:
        click.echo(f"lbgen {lbgen.__version__} (Python {platform.python_version()})")


def _settings(
    config_file: Path | None,
    endpoint: tuple[str, ...],
    log_level: str | None,
    log_format: str | None,
    from_file: Path | None,
) -> config.Settings:
    """Read the settings, flags last, and set up logging."""
    if config_file is None:
        config_file = next((path for path in config.DEFAULT_FILES if path.is_file()), None)
    flags: dict[tuple[str, ...], object] = {("log", "level"): log_level, ("log", "format"): log_format}
    if from_file:
        flags["source",] = {"file": str(from_file)}
    elif endpoint:
        flags["source", "docker", "endpoints"] = list(endpoint)
    settings = config.load(config_file, os.environ, flags)
    logs.configure(settings.log.level, settings.log.format)
    return settings


def _status_address(settings: config.Settings) -> tuple[str, int] | None:
    return config.split_bind(settings.status.bind) if settings.status.bind else None


def _daemon(config_file: Path | None, url: str | None) -> str:
    """Return where to ask: as the flag says, else where a daemon with the same settings answers."""
    return client.tidied(url) if url else client.url_of(_status_address(_settings(config_file, (), None, None, None)))


def _show(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def _loop(settings: config.Settings, source: Source, followers: Sequence[Follower]) -> Loop:
    grace = settings.discovery.drain_grace
    return Loop(source, settings.rules(), followers, drain_grace=grace, files=Reader(settings))


def _run(loop: Loop, renderers: Iterable[Renderer], settings: config.Settings) -> None:
    """Run the loop until a signal ends it; render again when a template, a certificate or a users file is saved."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.stop())
    signal.signal(signal.SIGHUP, lambda *_: loop.poke())
    directories = [directory for renderer in renderers for directory in renderer.templates.directories]
    named = (settings.certificates, settings.users, settings.client_cas)
    directories += [path for path in named if path.is_dir()]
    with watched(directories, loop.poke):
        loop.run()


if __name__ == "__main__":
    sys.exit(main())
