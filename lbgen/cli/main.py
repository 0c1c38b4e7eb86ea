"""``lbgen``: the table of commands, and the one place that turns an error into its message and exit code."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Mapping
from typing import Any

import click

from lbgen.base.errors import LbgenError

# Where each command is, and its line in `lbgen --help`: a command imports what it needs when it is called, and help
# nothing at all.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "config": ("lbgen.cli.config:config", "Check the settings, or print their JSON Schema."),
    "drain": ("lbgen.cli.drain:drain", "Take a host, a node or a server out, so that it can be stopped."),
    "explain": ("lbgen.cli.explain:explain", "Explain why a service is routed as it is, or is not routed."),
    "history": ("lbgen.cli.status:history", "Show what a running daemon changed last."),
    "hub": ("lbgen.cli.hub:hub", "Admit edges to a hub, and roll settings out to them."),
    "join": ("lbgen.cli.join:join", "Make this machine an edge of a hub, with a token."),
    "lint": ("lbgen.cli.lint:lint", "List problems, unread labels, and what the proxies cannot do."),
    "ls": ("lbgen.cli.ls:ls", "List all routes: listener, match, and the servers with their state."),
    "migrate": ("lbgen.cli.migrate:migrate", "Make settings from those of another load balancer."),
    "render": ("lbgen.cli.render:render", "Print or write the configuration; apply nothing."),
    "run": ("lbgen.cli.run:run", "Run the daemon: follow, render, check, apply, verify."),
    "snapshot": ("lbgen.cli.snapshot:snapshot", "Record what there is, for 'lbgen render --from'."),
    "status": ("lbgen.cli.status:status", "Show the state of a running daemon."),
    "templates": ("lbgen.cli.templates:templates", "List, copy and test template sets."),
    "version": ("lbgen.cli.version:version", "Print the version."),
}

EXIT_CODES = """
\b
Exit codes:
  0  success
  1  unexpected error
  2  the command line or the settings cannot be used; explain: there is no such service
  3  a template failed, or the proxy's checker refused the files
  4  the source (Docker, a file or a hub) cannot be read; drain, history, hub, ls, status: no daemon answers
  5  problems were found (lint, render --strict), or a service is not routed (explain, --require)
  6  the result differs from the directory given to --diff, or from a golden file
"""


class Group(click.Group):
    """Imports a command when it is called, and turns every LbgenError into its message and exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """List the names for help and completion."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command; None: there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        collecting = gc.isenabled()
        gc.disable()  # nothing that is imported is garbage: to look for some takes a tenth of the time
        try:
            command: click.Command = getattr(importlib.import_module(module), name)
        finally:
            gc.freeze()  # nor will it be, so that no later search goes through it, of which the last is at the exit
            if collecting:
                gc.enable()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the table of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except LbgenError as error:
            click.echo(f"lbgen: {error}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
def main() -> None:
    """Keep a load balancer's configuration in step with Docker.

    lbgen follows the services of a Swarm, of Docker hosts, of a hub or of a file, works out which servers receive
    traffic, renders the proxy's configuration, has the proxy's own binary check it, applies it and verifies that it is
    live. A service takes part when it has the label lbgen.enable=true.

    \b
    Try it without a Swarm:
      lbgen render --once --from examples/snapshot.yml --proxy haproxy
    """
