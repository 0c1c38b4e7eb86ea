"""``lbgen``: the commands of `lbgen.cli`, and the one place that turns an error into its message and exit code."""

from __future__ import annotations

import json
import platform
import sys
from typing import Any

import click

import lbgen
from lbgen.base.errors import LbgenError
from lbgen.cli.config import config
from lbgen.cli.explain import explain
from lbgen.cli.lint import lint
from lbgen.cli.options import FORM
from lbgen.cli.render import render
from lbgen.cli.run import run
from lbgen.cli.snapshot import snapshot
from lbgen.cli.status import history, status
from lbgen.cli.templates import templates

EXIT_CODES = """
\b
Exit codes:
  0  fine
  1  something unexpected
  2  the command line or the settings cannot be used; explain: there is no such service
  3  the proxy's checker, or a template, refused
  4  the source (Docker, or the file) cannot be read; status, history: no daemon answers
  5  problems were found (lint, render --strict), or the service is not routed (explain)
  6  the result differs from the directory given to --diff, or from a golden file
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


@click.command()
@FORM
def version(form: str) -> None:
    """Print the version."""
    if form == "json":
        click.echo(json.dumps({"lbgen": lbgen.__version__, "python": platform.python_version()}))
    else:
        click.echo(f"lbgen {lbgen.__version__} (Python {platform.python_version()})")


for command in (run, render, lint, explain, snapshot, status, history, templates, config, version):
    main.add_command(command)

if __name__ == "__main__":
    sys.exit(main())
