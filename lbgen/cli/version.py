"""`lbgen version`."""

from __future__ import annotations

import platform

import click

import lbgen
from lbgen.cli.output import OUTPUT, print_json


@click.command()
@OUTPUT
def version(form: str) -> None:
    """Print the version."""
    if form == "json":
        print_json({"lbgen": lbgen.__version__, "python": platform.python_version()})
    else:
        click.echo(f"lbgen {lbgen.__version__} (Python {platform.python_version()})")
