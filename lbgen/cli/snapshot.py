"""`lbgen snapshot`."""

from __future__ import annotations

from pathlib import Path

import click

from lbgen.cli.options import CommonOptions, common_options
from lbgen.daemon import assembly
from lbgen.source.file import write_snapshot


@click.command()
@common_options(target=False, file=False)
@click.option("-o", "output", type=click.Path(path_type=Path), help="File to write. Default: standard output.")
def snapshot(common: CommonOptions, output: Path | None) -> None:
    """Record a Swarm for 'lbgen render --from'.

    Records the services, tasks, nodes and networks, as far as lbgen reads them: labels of services and nodes, but no
    environment variables, mounts, commands, configs or secrets.
    """
    settings = common.settings("warning")
    text = write_snapshot(assembly.source(settings).take(), output)
    if not output:
        click.echo(text, nl=False)
