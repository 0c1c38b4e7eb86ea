"""`lbgen config check` and `lbgen config schema`."""

from __future__ import annotations

import click

from lbgen.base.terminal import in_one
from lbgen.cli.options import CommonOptions, common_options
from lbgen.cli.output import print_json, print_lines
from lbgen.daemon import assembly
from lbgen.labels import schema as label_schema
from lbgen.settings import Settings


@click.group("config")
def config() -> None:
    """Check the settings, or print their JSON Schema."""


@config.command()
@common_options(target=False, file=False)
def check(common: CommonOptions) -> None:
    """Check the settings, their template sets and whether they fit the proxies.

    Lists everything that is wrong with the settings, Docker endpoints without protection on the way, and what of
    Traefik's files and entry points is left out or closes the routers that name it. Connects to nothing, and starts
    nothing but the proxies' programs, to ask for their versions.

    \b
    Exit codes:
      0  'lbgen run' accepts these settings
      2  the settings cannot be used
      3  a template set cannot be read
      4  an endpoint of Docker cannot be read
    """
    settings = common.settings()
    risks = assembly.check(settings)
    if settings.hub:
        from lbgen.hub.authority import Authority

        Authority.load(settings.hub.authority, settings.hub.own_name)
    for risk in risks:
        click.echo(f"risk: {in_one(risk)}")
    for note in settings.discovery.traefik.checked().notes:
        click.echo(in_one(f"note: {note.label}: {note.what}"))
    for name, entry_point in settings.discovery.traefik.entrypoints.items():
        print_lines(f"note: {note}" for note in entry_point.notes(name))
    click.echo("the settings are fine")


@config.command()
@click.option("--labels", is_flag=True, help="Print that of a service's labels: the map 'deploy.labels' of a stack.")
def schema(labels: bool) -> None:
    """Print the JSON Schema of the settings file, or of labels: for editors and pipelines.

    The schema of labels accepts every label that is not lbgen's. What a schema cannot express (whether a rule is valid,
    how long a timeout may be) is checked by 'lbgen lint'.
    """
    print_json(label_schema.document() if labels else Settings.model_json_schema())
