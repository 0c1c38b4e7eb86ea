"""`lbgen snapshot`."""

from __future__ import annotations

from pathlib import Path

import click

from lbgen.cli.options import Given, given
from lbgen.daemon import assembly
from lbgen.source.file import write_snapshot


@click.command()
@given(target=False, file=False)
@click.option("-o", "output", type=click.Path(path_type=Path), help="File to write. Default: standard output.")
def snapshot(common: Given, output: Path | None) -> None:
    """Record the Swarm's services, tasks, nodes and networks, for 'lbgen render --from'.

    Records what lbgen reads and nothing else: no environment variables, mounts, commands, configs or secrets. Labels
    of services and nodes are part of it.
    """
    settings = common.settings("warning")
    text = write_snapshot(assembly.source_of(settings).take(), output)
    if not output:
        click.echo(text, nl=False)
