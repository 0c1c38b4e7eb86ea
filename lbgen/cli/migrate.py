"""`lbgen migrate`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from lbgen.render.templates import builtin_names
from lbgen.report.migrate.migration import migrated
from lbgen.report.migrate.stack_files import StackService, services_in, traefiks_own
from lbgen.report.migrate.words import Words, read_environment, read_file, read_flags, split


@click.group()
def migrate() -> None:
    """Make settings from those of another load balancer."""


@migrate.command()
@click.option(
    "--static",
    "static_files",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Traefik's static configuration, YAML or TOML. May be repeated; of what two files say the last one counts.",
)
@click.option("--command-line", metavar="TEXT", default="", help="Traefik's arguments, if these are how it is told.")
@click.option(
    "--from",
    "stack_files",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Stack file of Traefik's own service, whose command and TRAEFIK_ variables are read. May be repeated: the "
    "labels of all services tell what entry points carry.",
)
@click.option("--from-service", metavar="NAME", default="", help="Which service of --from that is. Default: by image.")
@click.option(
    "--dynamic",
    "dynamic_files",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="File of Traefik's file provider, as it is on this machine. May be repeated.",
)
@click.option(
    "--proxy",
    metavar="KIND",
    type=click.Choice(builtin_names()),
    default="haproxy",
    show_default=True,
    help=f"Proxy to write for: {', '.join(builtin_names())}.",
)
def traefik(
    static_files: tuple[Path, ...],
    command_line: str,
    stack_files: tuple[Path, ...],
    from_service: str,
    dynamic_files: tuple[Path, ...],
    proxy: str,
) -> None:
    """Print a settings file for what Traefik's static configuration says.

    Reads the static configuration from files, from the arguments on Traefik's command line, or from the stack file of
    Traefik's own service; connects to nothing and changes nothing. Entry points become listeners, with their
    redirections, trusted load balancers and TLS; the Swarm provider becomes section discovery; what entry points add to
    routers, and files of the file provider, become section discovery.traefik.

    Comments say what was decided, what is left for you to decide, and of every option that is not carried over why it
    is not. No value of such an option is shown. 'lbgen config check' accepts the result as it is; docs/migration.md
    tells how to go on.

    \b
    Examples:
      lbgen migrate traefik --static traefik.yml > lbgen.yml
      lbgen migrate traefik --from traefik-stack.yml --from shop-stack.yml --dynamic dynamic.yml > lbgen.yml
      lbgen migrate traefik --command-line '--entrypoints.web.address=:80 --providers.swarm=true'

    \b
    Exit codes:
      0  settings were printed
      2  a static configuration cannot be read, or none was named
      4  a stack file cannot be read, or has no service of Traefik's
    """
    services = services_in(stack_files, os.environ)
    own = None
    if stack_files and (from_service or not (static_files or command_line)):
        own = traefiks_own(services, from_service)
    words, of = _static_configuration(static_files, own, command_line)
    labels = [service.labels for service in services]
    click.echo(migrated(words, of, proxy=proxy, files=dynamic_files, labels=labels), nl=False)


def _static_configuration(files: tuple[Path, ...], own: StackService | None, command_line: str) -> tuple[Words, str]:
    """Return Traefik's static configuration, and the names of its files and services for messages.

    Args:
        own: the stack file's service that is Traefik; None: it is not asked.
    """
    words, read = Words(), []
    for path in files:
        read_file(words, path)
        read.append(str(path))
    if own:
        read_environment(words, own.environment)
        read_flags(words, own.arguments)
        read.append(f"service {own.name} of {own.file}")
    if command_line:
        read_flags(words, split(command_line))
        read.append("the command line")
    return words, " and ".join(read)
