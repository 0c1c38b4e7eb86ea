"""`lbgen config check` and `lbgen config schema`."""

from __future__ import annotations

import json

import click

from lbgen.cli.options import Given, given
from lbgen.daemon import assembly
from lbgen.labels import schema as label_schema
from lbgen.settings import Settings


@click.group("config")
def config() -> None:
    """Check the settings, or describe them."""


@config.command()
@given(target=False, file=False)
def check(common: Given) -> None:
    """Read the settings and the template sets they name; list everything that is wrong (exit code 2)."""
    settings = common.settings()
    for name, target in settings.targets.items():
        assembly.renderer_of(name, target, settings)
    click.echo("the settings are fine")


@config.command()
@click.option("--labels", is_flag=True, help="Of a service's labels instead: the map 'deploy.labels' of a stack file.")
def schema(labels: bool) -> None:
    """Print the JSON Schema of the settings file, or of labels: for editors and pipelines.

    That of labels allows what lbgen can read, and all labels that are not lbgen's. What no schema can say (whether a
    rule is one, how long a time-out may be) is left to 'lbgen lint'.
    """
    click.echo(json.dumps(label_schema.document() if labels else Settings.model_json_schema(), indent=2))
