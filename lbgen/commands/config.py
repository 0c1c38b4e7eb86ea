"""`lbgen config check` and `lbgen config schema`."""

from __future__ import annotations

import json

import click

from lbgen import wiring
from lbgen.commands.given import Given, given
from lbgen.config import Settings


@click.group("config")
def config() -> None:
    """Check the settings, or describe them."""


@config.command()
@given(target=False, file=False)
def check(common: Given) -> None:
    """Read the settings and the template sets they name; list everything that is wrong (exit code 2)."""
    settings = common.settings()
    for name, target in settings.targets.items():
        wiring.renderer_of(name, target, settings)
    click.echo("the settings are fine")


@config.command()
def schema() -> None:
    """Print the JSON Schema of the settings file."""
    click.echo(json.dumps(Settings.model_json_schema(), indent=2))
